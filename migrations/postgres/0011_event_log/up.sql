-- Readers go by position, which is given to committed events alone: see src/store/sequencer.rs.
-- The first statement waits for every unit that appends, and keeps new ones out until the end.
ALTER TABLE event DROP CONSTRAINT event_pkey;
ALTER TABLE event ADD PRIMARY KEY (key, directory_key);

CREATE TABLE event_position (
    position      BIGINT NOT NULL,
    directory_key BIGINT NOT NULL,
    event_key     BIGINT NOT NULL,
    PRIMARY KEY (position, directory_key)
);
CREATE UNIQUE INDEX event_position_event ON event_position (directory_key, event_key);
CREATE INDEX event_position_directory ON event_position (directory_key, position);

-- One row: the last position, the greatest key that was looked at, and the keys below it that were
-- not there, as JSON ranges.
CREATE TABLE event_sequencer (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    position BIGINT  NOT NULL,
    key      BIGINT  NOT NULL,
    gaps     TEXT    NOT NULL
);

INSERT INTO event_position (position, directory_key, event_key)
    SELECT row_number() OVER (ORDER BY key), directory_key, key FROM event;
INSERT INTO event_sequencer (one, position, key, gaps)
    SELECT 1, COALESCE(MAX(position), 0), COALESCE(MAX(event_key), 0), '[]' FROM event_position;

-- Whose the events of a directory are that is no more.
CREATE TABLE directory_past (
    directory_key   BIGINT NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL
);
CREATE INDEX directory_past_organization ON directory_past (organization_id);
INSERT INTO directory_past (directory_key, organization_id)
    SELECT e.directory_key, COALESCE(CAST(e.data AS jsonb) ->> 'organization_id', '') FROM event e
    WHERE e.event = 'dsync.deleted'
    AND NOT EXISTS (SELECT 1 FROM directory d WHERE d.key = e.directory_key);

-- How far named consumers have got. A name belongs to the organizations of the API key that uses it;
-- owner lists them, and is empty for keys without a limit.
CREATE TABLE consumer (
    owner    TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    created  BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    PRIMARY KEY (owner, name)
);
