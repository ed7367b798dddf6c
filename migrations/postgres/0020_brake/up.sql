-- Why events of a directory wait: 'holding' until somebody decides, 'releasing' and 'undoing' until that
-- is done; null while none wait. A unit reads it with the row that it takes anyway.
ALTER TABLE directory ADD COLUMN brake TEXT COLLATE "C"
    CHECK (brake IN ('holding', 'releasing', 'undoing'));
ALTER TABLE directory ADD COLUMN brake_since BIGINT;
-- The last of the events that wait, when a release was decided on.
ALTER TABLE directory ADD COLUMN brake_until BIGINT;
CREATE INDEX directory_brake ON directory (brake, key) WHERE brake IS NOT NULL;

-- The longest time that passed between two requests, and who has not been heard of for long.
ALTER TABLE directory ADD COLUMN longest_silence BIGINT NOT NULL DEFAULT 0;
CREATE INDEX directory_last_request ON directory (last_request, key) WHERE last_request IS NOT NULL;

-- What a directory has taken away, minute by minute.
CREATE TABLE brake_count (
    directory_key BIGINT  NOT NULL,
    minute        BIGINT  NOT NULL,
    slot          INTEGER NOT NULL,
    users         BIGINT  NOT NULL,
    memberships   BIGINT  NOT NULL,
    role_groups   BIGINT  NOT NULL,
    PRIMARY KEY (directory_key, minute, slot)
);
CREATE INDEX brake_count_minute ON brake_count (minute);

-- Events that wait. before_data is what the app was told of the resource before the event, null where it
-- knew nothing; member_id is the user of an event of a membership. rank is 0 for what came, and the place
-- in the order of what an undo has made of it.
CREATE TABLE event_held (
    key           BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1),
    directory_key BIGINT  NOT NULL,
    rank          INTEGER NOT NULL DEFAULT 0,
    event         TEXT    NOT NULL,
    resource_id   TEXT COLLATE "C"    NOT NULL,
    member_id     TEXT COLLATE "C"    NOT NULL,
    before_data   TEXT,
    data          TEXT    NOT NULL,
    reason        TEXT,
    created       BIGINT  NOT NULL,
    PRIMARY KEY (directory_key, key)
);
CREATE UNIQUE INDEX event_held_order ON event_held (directory_key, rank, key);
CREATE INDEX event_held_subject ON event_held (directory_key, resource_id, member_id, rank, key);

-- What an undo puts back. what is 'deleted' with the resource as it was, 'inactive' for a user who was
-- active, 'manager' for a user whose manager went (doc is that member). failed says why it cannot be.
-- given marks what came while events waited: it was not there before, so nothing puts it back.
CREATE TABLE brake_note (
    directory_key BIGINT  NOT NULL,
    what          TEXT COLLATE "C"    NOT NULL CHECK (what IN ('deleted', 'inactive', 'manager')),
    id            TEXT COLLATE "C"    NOT NULL,
    resource_type TEXT    NOT NULL,
    user_name_key TEXT COLLATE "C",
    doc           TEXT    NOT NULL,
    extra         TEXT,
    version       BIGINT  NOT NULL,
    created       BIGINT  NOT NULL,
    suspended     BOOLEAN NOT NULL,
    groupless_since BIGINT,
    failed        TEXT,
    given         BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (directory_key, what, id)
);

-- Memberships that ended. silent says that no event told so, because the group went; given is as above.
CREATE TABLE brake_member (
    directory_key BIGINT  NOT NULL,
    group_id      TEXT COLLATE "C"    NOT NULL,
    member_id     TEXT COLLATE "C"    NOT NULL,
    silent        BOOLEAN NOT NULL,
    given         BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (directory_key, group_id, member_id)
);

-- What needs somebody's attention. directory_key is 0 for what belongs to no directory. level tells the
-- steps of one condition apart.
CREATE TABLE alarm (
    id              TEXT COLLATE "C"    NOT NULL,
    directory_key   BIGINT  NOT NULL,
    directory_id    TEXT,
    organization_id TEXT COLLATE "C",
    kind            TEXT COLLATE "C"    NOT NULL,
    subject         TEXT COLLATE "C"    NOT NULL,
    level           BIGINT  NOT NULL,
    message         TEXT    NOT NULL,
    detail          TEXT    NOT NULL,
    raised          BIGINT  NOT NULL,
    resolved        BIGINT,
    PRIMARY KEY (id, directory_key)
);
CREATE UNIQUE INDEX alarm_raised ON alarm (directory_key, kind, subject) WHERE resolved IS NULL;
CREATE INDEX alarm_kind ON alarm (kind, id) WHERE resolved IS NULL;
CREATE INDEX alarm_resolved ON alarm (resolved) WHERE resolved IS NOT NULL;

CREATE INDEX directory_token_expires ON directory_token (expires, directory_key)
    WHERE expires IS NOT NULL;
CREATE INDEX oauth_client_expires ON oauth_client (expires, directory_key) WHERE expires IS NOT NULL;

-- Users whose identities catch up with them when the hold is over.
CREATE TABLE brake_account (
    directory_key BIGINT NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (directory_key, user_id)
);
