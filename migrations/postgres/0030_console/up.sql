-- Who may sign in to the console. email_key is the address in small letters; password is a PHC string, and
-- null until somebody chose one. subject is issuer and subject of the OpenID provider, once it has named
-- the account: then the address alone opens it no longer.
CREATE TABLE admin (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email        TEXT COLLATE "C" NOT NULL,
    email_key    TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    role         TEXT COLLATE "C" NOT NULL,
    password     TEXT,
    created      BIGINT NOT NULL,
    modified     BIGINT NOT NULL,
    last_sign_in BIGINT,
    subject      TEXT COLLATE "C"
);
CREATE UNIQUE INDEX admin_email_key ON admin (email_key);
CREATE UNIQUE INDEX admin_subject ON admin (subject);

-- Browsers in which somebody is signed in. hash is the SHA-256 of the secret in the cookie. A session ends at
-- expires, which moves with its use, and never later than at ends.
CREATE TABLE admin_session (
    id        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    admin_id  TEXT COLLATE "C" NOT NULL REFERENCES admin (id) ON DELETE CASCADE,
    hash      TEXT COLLATE "C" NOT NULL,
    browser   TEXT COLLATE "C" NOT NULL,
    address   TEXT COLLATE "C" NOT NULL,
    created   BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    ends      BIGINT NOT NULL
);
CREATE UNIQUE INDEX admin_session_hash ON admin_session (hash);
CREATE INDEX admin_session_admin ON admin_session (admin_id);
CREATE INDEX admin_session_expires ON admin_session (expires);

-- Links by which somebody chooses a password, once: the account of admin_id, or, where that is null, the
-- first account of all. hash is the SHA-256 of the secret in the link.
CREATE TABLE admin_link (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    admin_id TEXT COLLATE "C" REFERENCES admin (id) ON DELETE CASCADE,
    hash     TEXT COLLATE "C" NOT NULL,
    created  BIGINT NOT NULL,
    expires  BIGINT NOT NULL
);
CREATE UNIQUE INDEX admin_link_hash ON admin_link (hash);
CREATE INDEX admin_link_admin ON admin_link (admin_id);
CREATE INDEX admin_link_expires ON admin_link (expires);
