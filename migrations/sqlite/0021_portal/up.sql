-- Links by which an administrator of an organization sets its directories up, and the session that came
-- of each. hash is the SHA-256 of the secret in the link, session_hash that of the session's; it is null
-- until the link was used. expires ends the link until then, and the session afterwards. Whoever deletes
-- the organization ends both, also those that are made at the same moment: hence the cascade.
CREATE TABLE portal_link (
    id               TEXT   NOT NULL PRIMARY KEY,
    organization_key BIGINT NOT NULL REFERENCES organization (key) ON DELETE CASCADE,
    hash             TEXT   NOT NULL,
    session_hash     TEXT,
    external_user_id TEXT,
    return_url       TEXT,
    success_url      TEXT,
    expires          BIGINT NOT NULL,
    created          BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX portal_link_hash ON portal_link (hash);
CREATE UNIQUE INDEX portal_link_session ON portal_link (session_hash);
CREATE INDEX portal_link_organization ON portal_link (organization_key, external_user_id);
CREATE INDEX portal_link_expires ON portal_link (expires);
