-- Persons of an organization, in whichever of its directories they are.

-- A row for each organization that keeps identities; who changes one of its identities holds this row.
-- It has one primary directory at most. settle_cursor: key of the last identity that was brought to a
-- changed primary directory; null when all are.
CREATE TABLE organization_identity (
    organization_key BIGINT  NOT NULL PRIMARY KEY REFERENCES organization (key),
    primary_key      BIGINT  REFERENCES directory (key),
    settle_cursor    BIGINT,
    created          BIGINT  NOT NULL
);
CREATE UNIQUE INDEX organization_identity_primary ON organization_identity (primary_key)
    WHERE primary_key IS NOT NULL;

-- Users who were there when the organization began to keep identities: after_id is the last one of the
-- directory that was looked at. The row goes with the last user.
CREATE TABLE identity_walk (
    directory_key    BIGINT NOT NULL PRIMARY KEY REFERENCES directory (key),
    organization_key BIGINT NOT NULL,
    after_id         TEXT COLLATE "C"   NOT NULL
);
CREATE INDEX identity_walk_organization ON identity_walk (organization_key);

-- profile is a JSON object, as the primary directory gives it. root_key: the last primary directory that
-- had an account of it. Ended ones have no account and are never matched again.
CREATE TABLE identity (
    key              BIGINT  NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    organization_key BIGINT  NOT NULL REFERENCES organization (key),
    id               TEXT COLLATE "C"    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('active', 'inactive', 'ended', 'merged')),
    profile          TEXT    NOT NULL,
    root_key         BIGINT,
    merged_into      BIGINT,
    created          BIGINT  NOT NULL,
    modified         BIGINT  NOT NULL
);
CREATE UNIQUE INDEX identity_id ON identity (id);
CREATE INDEX identity_organization ON identity (organization_key, id);
CREATE INDEX identity_state ON identity (organization_key, state, id);
CREATE INDEX identity_settle ON identity (organization_key, key);
CREATE INDEX identity_merged ON identity (merged_into) WHERE merged_into IS NOT NULL;

-- A user as its identity knows it. email, email_key, name_key and profile are what the app was shown.
-- orphaned: active while its identity is not.
CREATE TABLE identity_account (
    directory_key    BIGINT  NOT NULL REFERENCES directory (key),
    user_id          TEXT COLLATE "C"    NOT NULL,
    organization_key BIGINT  NOT NULL,
    identity_key     BIGINT  NOT NULL REFERENCES identity (key),
    active           BOOLEAN NOT NULL,
    orphaned         BOOLEAN NOT NULL,
    email            TEXT,
    email_key        TEXT COLLATE "C",
    name_key         TEXT COLLATE "C",
    profile          TEXT    NOT NULL,
    linked_by        TEXT    NOT NULL,
    PRIMARY KEY (directory_key, user_id)
);
CREATE INDEX identity_account_identity ON identity_account (identity_key, user_id);
CREATE INDEX identity_account_email ON identity_account (organization_key, email_key, identity_key)
    WHERE email_key IS NOT NULL;
CREATE INDEX identity_account_name ON identity_account (organization_key, name_key, identity_key)
    WHERE name_key IS NOT NULL;
CREATE INDEX identity_account_orphaned ON identity_account (organization_key, user_id)
    WHERE orphaned;

-- Addresses that an operator has confirmed to be a person's.
CREATE TABLE identity_alias (
    organization_key BIGINT NOT NULL REFERENCES organization (key),
    email_key        TEXT COLLATE "C"   NOT NULL,
    identity_key     BIGINT NOT NULL REFERENCES identity (key),
    email            TEXT   NOT NULL,
    created          BIGINT NOT NULL,
    PRIMARY KEY (organization_key, email_key)
);
CREATE INDEX identity_alias_identity ON identity_alias (identity_key);

-- That the identity of an account is the same person as another identity. Once accepted, from_key is
-- the identity that was merged into into_key, and into_root_key is what root_key of the latter was before.
CREATE TABLE identity_suggestion (
    directory_key    BIGINT  NOT NULL REFERENCES directory (key),
    user_id          TEXT COLLATE "C"    NOT NULL,
    identity_key     BIGINT  NOT NULL REFERENCES identity (key),
    organization_key BIGINT  NOT NULL,
    id               TEXT COLLATE "C"    NOT NULL,
    reason           TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('open', 'accepted', 'rejected')),
    from_key         BIGINT,
    into_key         BIGINT,
    into_root_key    BIGINT,
    created          BIGINT  NOT NULL,
    decided          BIGINT,
    PRIMARY KEY (directory_key, user_id, identity_key)
);
CREATE INDEX identity_suggestion_organization ON identity_suggestion (organization_key, state, id);
CREATE INDEX identity_suggestion_identity ON identity_suggestion (identity_key);

-- The accounts that an accepted suggestion has moved, and how each was linked before.
CREATE TABLE identity_move (
    directory_key BIGINT NOT NULL REFERENCES directory (key),
    user_id       TEXT COLLATE "C"   NOT NULL,
    suggestion_id TEXT COLLATE "C"   NOT NULL,
    linked_by     TEXT   NOT NULL,
    PRIMARY KEY (directory_key, user_id, suggestion_id)
);
CREATE INDEX identity_move_suggestion ON identity_move (suggestion_id);
