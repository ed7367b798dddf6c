-- Instants are milliseconds since 1970-01-01T00:00:00Z. Keys are local to the database, ids are
-- public. Comparison keys are made by the program, never by SQL functions. Keys of organizations,
-- directories and resources are never used again: a late request must not meet the next tenant, and a list
-- of keys that was stored before must not name a resource that came after it.

CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE organization (
    key         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    external_id TEXT,
    created     BIGINT  NOT NULL,
    modified    BIGINT  NOT NULL
);
CREATE UNIQUE INDEX organization_id ON organization (id);
CREATE UNIQUE INDEX organization_external_id ON organization (external_id);

CREATE TABLE directory (
    key              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id               TEXT    NOT NULL,
    organization_key BIGINT  NOT NULL REFERENCES organization (key),
    external_key     TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    settings         TEXT    NOT NULL,
    config           TEXT    NOT NULL,
    created          BIGINT  NOT NULL,
    modified         BIGINT  NOT NULL,
    last_request     BIGINT
);
CREATE UNIQUE INDEX directory_id ON directory (id);
CREATE UNIQUE INDEX directory_external_key ON directory (external_key);
CREATE INDEX directory_organization ON directory (organization_key);

-- The id stands first because a token is looked up before its directory is known.
CREATE TABLE directory_token (
    id            TEXT   NOT NULL,
    directory_key BIGINT NOT NULL REFERENCES directory (key),
    suffix        TEXT   NOT NULL,
    hash          TEXT   NOT NULL,
    scope         TEXT   NOT NULL,
    user_id       TEXT,
    expires       BIGINT,
    created       BIGINT NOT NULL,
    last_used     BIGINT,
    PRIMARY KEY (id, directory_key)
) WITHOUT ROWID;
CREATE INDEX directory_token_directory ON directory_token (directory_key, id);

CREATE TABLE api_key (
    id               TEXT   NOT NULL PRIMARY KEY,
    name             TEXT   NOT NULL,
    suffix           TEXT   NOT NULL,
    hash             TEXT   NOT NULL,
    scopes           TEXT   NOT NULL,
    organization_ids TEXT,
    expires          BIGINT,
    created          BIGINT NOT NULL,
    last_used        BIGINT
) WITHOUT ROWID;

-- doc is canonical JSON without meta, groups and members; extra is what no schema knows; display is
-- what member and group lists show.
CREATE TABLE resource (
    key           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    directory_key BIGINT  NOT NULL REFERENCES directory (key),
    id            TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    user_name_key TEXT,
    display_key   TEXT,
    display       TEXT,
    external_id   TEXT,
    active        BOOLEAN NOT NULL,
    doc           TEXT    NOT NULL,
    extra         TEXT,
    version       BIGINT  NOT NULL,
    created       BIGINT  NOT NULL,
    modified      BIGINT  NOT NULL
);
CREATE UNIQUE INDEX resource_id ON resource (id, directory_key);
CREATE UNIQUE INDEX resource_user_name ON resource (directory_key, resource_type, user_name_key)
    WHERE user_name_key IS NOT NULL;
CREATE INDEX resource_display ON resource (directory_key, resource_type, display_key)
    WHERE display_key IS NOT NULL;
CREATE INDEX resource_external_id ON resource (directory_key, external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX resource_type ON resource (directory_key, resource_type, key);

-- Uniqueness that a profile or a schema asks for; scope names the rule.
CREATE TABLE resource_unique (
    directory_key BIGINT NOT NULL,
    scope         TEXT   NOT NULL,
    key           TEXT   NOT NULL,
    resource_key  BIGINT NOT NULL REFERENCES resource (key),
    PRIMARY KEY (directory_key, scope, key)
) WITHOUT ROWID;
CREATE INDEX resource_unique_resource ON resource_unique (directory_key, resource_key);

CREATE TABLE resource_attr (
    directory_key BIGINT  NOT NULL,
    path_id       INTEGER NOT NULL,
    key           TEXT    NOT NULL,
    resource_key  BIGINT  NOT NULL,
    ordinal       INTEGER NOT NULL,
    PRIMARY KEY (directory_key, path_id, key, resource_key, ordinal)
) WITHOUT ROWID;

-- The sum over the slots is the number of resources.
CREATE TABLE resource_count (
    directory_key BIGINT  NOT NULL,
    resource_type TEXT    NOT NULL,
    active        BOOLEAN NOT NULL,
    slot          INTEGER NOT NULL,
    n             BIGINT  NOT NULL,
    PRIMARY KEY (directory_key, resource_type, active, slot)
) WITHOUT ROWID;

CREATE TABLE member (
    directory_key BIGINT NOT NULL,
    group_key     BIGINT NOT NULL REFERENCES resource (key),
    member_key    BIGINT NOT NULL REFERENCES resource (key),
    PRIMARY KEY (directory_key, group_key, member_key)
) WITHOUT ROWID;
CREATE INDEX member_member ON member (directory_key, member_key, group_key);

CREATE TABLE member_pending (
    directory_key BIGINT NOT NULL,
    group_key     BIGINT NOT NULL REFERENCES resource (key),
    value         TEXT   NOT NULL,
    created       BIGINT NOT NULL,
    PRIMARY KEY (directory_key, group_key, value)
) WITHOUT ROWID;

-- The key rises in the order in which the changes of one resource happened.
CREATE TABLE event (
    key           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    directory_key BIGINT  NOT NULL,
    id            TEXT    NOT NULL,
    event         TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    data          TEXT    NOT NULL,
    created       BIGINT  NOT NULL
);
CREATE UNIQUE INDEX event_id ON event (id, directory_key);
