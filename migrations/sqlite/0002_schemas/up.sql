-- The schemas of a directory's own. The version says which ones a writer must have read; zero means
-- that there are none. previous is there while resources are being converted.
ALTER TABLE directory ADD COLUMN schema_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE directory ADD COLUMN converting BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE directory_schema (
    directory_key BIGINT NOT NULL PRIMARY KEY REFERENCES directory (key),
    document      TEXT   NOT NULL,
    previous      TEXT
) WITHOUT ROWID;

-- Managers get an index: who has somebody as a manager is asked when that user goes. A key is cut to
-- 256 bytes; longer text that is not ASCII, which is no id, gets one when it changes.
INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
SELECT r.directory_key, 3, substr(m.value, 1, 256), r.key, 0
FROM resource r
JOIN json_each(r.doc, '$."urn:ietf:params:scim:schemas:extension:enterprise:2.0:User".manager') m
    ON m.key = 'value'
WHERE r.resource_type = 'User' AND m.type = 'text'
    AND (length(CAST(m.value AS BLOB)) <= 256 OR length(CAST(m.value AS BLOB)) = length(m.value));
