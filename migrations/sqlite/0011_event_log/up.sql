-- Readers go by position. Units commit one after another here, so the key is the position.
CREATE VIEW event_position AS SELECT key AS position, directory_key, key AS event_key FROM event;
CREATE VIEW event_sequencer AS
    SELECT 1 AS one, COALESCE(MAX(key), 0) AS position, COALESCE(MAX(key), 0) AS key, '[]' AS gaps
    FROM event;
CREATE INDEX event_directory ON event (directory_key);

-- Whose the events of a directory are that is no more.
CREATE TABLE directory_past (
    directory_key   INTEGER NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL
);
CREATE INDEX directory_past_organization ON directory_past (organization_id);
INSERT INTO directory_past (directory_key, organization_id)
    SELECT e.directory_key, COALESCE(json_extract(e.data, '$.organization_id'), '') FROM event e
    WHERE e.event = 'dsync.deleted'
    AND NOT EXISTS (SELECT 1 FROM directory d WHERE d.key = e.directory_key);

-- How far named consumers have got. A name belongs to the organizations of the API key that uses it;
-- owner lists them, and is empty for keys without a limit.
CREATE TABLE consumer (
    owner    TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    position BIGINT  NOT NULL,
    created  BIGINT  NOT NULL,
    modified BIGINT  NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
