-- The schemas of a directory's own. The version says which ones a writer must have read; zero means
-- that there are none. previous is there while resources are being converted.
ALTER TABLE directory ADD COLUMN schema_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE directory ADD COLUMN converting BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE directory_schema (
    directory_key BIGINT NOT NULL PRIMARY KEY REFERENCES directory (key),
    document      TEXT   NOT NULL,
    previous      TEXT
);

-- Managers get an index: who has somebody as a manager is asked when that user goes. A key is cut to
-- 256 bytes; longer text that is not ASCII, which is no id, gets one when it changes.
INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
SELECT directory_key, 3, substr(manager, 1, 256), key, 0
FROM (
    SELECT directory_key, key, CAST(doc AS jsonb)
        -> 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'
        -> 'manager' ->> 'value' AS manager
    FROM resource WHERE resource_type = 'User'
) found
WHERE octet_length(manager) <= 256 OR octet_length(manager) = length(manager);
