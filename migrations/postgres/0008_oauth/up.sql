-- Clients that fetch access tokens (RFC 6749 §4.4). hash is of a secret; jwks are public keys, for clients
-- that sign (RFC 7523): a row has one of them. The id stands first because a client is looked up before
-- its directory is known.
CREATE TABLE oauth_client (
    id            TEXT COLLATE "C" NOT NULL,
    directory_key BIGINT NOT NULL REFERENCES directory (key),
    name          TEXT,
    suffix        TEXT,
    hash          TEXT,
    jwks          TEXT,
    scope         TEXT COLLATE "C" NOT NULL,
    expires       BIGINT,
    created       BIGINT NOT NULL,
    last_used     BIGINT,
    PRIMARY KEY (id, directory_key)
);
CREATE INDEX oauth_client_directory ON oauth_client (directory_key, id);

-- Assertions that were used, so that none counts twice; jti is a digest of what the client made up.
CREATE TABLE oauth_jti (
    directory_key BIGINT NOT NULL,
    client_id     TEXT COLLATE "C" NOT NULL,
    jti           TEXT COLLATE "C" NOT NULL,
    expires       BIGINT NOT NULL,
    PRIMARY KEY (directory_key, client_id, jti)
);
CREATE INDEX oauth_jti_expires ON oauth_jti (expires);
