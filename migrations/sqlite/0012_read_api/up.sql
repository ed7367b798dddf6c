-- What the read API needs. metadata is a JSON object of texts.
ALTER TABLE organization ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';

-- Domains of organizations, lower-case.
CREATE TABLE organization_domain (
    organization_key BIGINT NOT NULL REFERENCES organization (key),
    domain           TEXT   NOT NULL,
    id               TEXT   NOT NULL,
    state            TEXT   NOT NULL CHECK (state IN ('pending', 'verified')),
    created          BIGINT NOT NULL,
    modified         BIGINT NOT NULL,
    PRIMARY KEY (organization_key, domain)
) WITHOUT ROWID;
CREATE UNIQUE INDEX organization_domain_id ON organization_domain (id);
CREATE INDEX organization_domain_domain ON organization_domain (domain, organization_key);

-- Lists go by id.
DROP INDEX directory_organization;
CREATE INDEX directory_organization ON directory (organization_key, id);
CREATE INDEX resource_app ON resource (directory_key, resource_type, id)
    WHERE app_state <> 'hidden';
CREATE INDEX departed_user_id ON departed_user (directory_key, id);

-- The departed are found by what the app knows them by. email_key is the address that the app was
-- shown, as a comparison key; who left before this column was there is found by the user name.
ALTER TABLE departed_user ADD COLUMN email_key TEXT;
CREATE INDEX departed_user_email ON departed_user (directory_key, email_key)
    WHERE email_key IS NOT NULL;
CREATE INDEX departed_user_external_id ON departed_user (directory_key, external_id)
    WHERE external_id IS NOT NULL;

-- By how much the numbers of users that the app sees differ from those of resource_count, which go by
-- what SCIM says. Only users whom a policy hides, suspends or keeps make a difference; the triggers
-- notice whatever changes one.
CREATE TABLE app_count (
    directory_key BIGINT  NOT NULL,
    slot          INTEGER NOT NULL,
    active        BIGINT  NOT NULL,
    inactive      BIGINT  NOT NULL,
    PRIMARY KEY (directory_key, slot)
) WITHOUT ROWID;

INSERT INTO app_count (directory_key, slot, active, inactive)
SELECT directory_key, 0, SUM(a), SUM(i) FROM (
    SELECT directory_key, (app_state = 'active') - active AS a,
        (app_state = 'inactive') - (NOT active) AS i
    FROM resource WHERE resource_type = 'User'
        AND app_state <> CASE WHEN active THEN 'active' ELSE 'inactive' END
    UNION ALL
    SELECT directory_key, 0, 1 FROM departed_user)
GROUP BY directory_key;

CREATE TRIGGER resource_app_insert AFTER INSERT ON resource
WHEN new.resource_type = 'User'
    AND new.app_state <> CASE WHEN new.active THEN 'active' ELSE 'inactive' END
BEGIN
    INSERT INTO app_count (directory_key, slot, active, inactive)
    VALUES (new.directory_key, 0, (new.app_state = 'active') - new.active,
        (new.app_state = 'inactive') - (NOT new.active))
    ON CONFLICT (directory_key, slot) DO UPDATE
    SET active = active + excluded.active, inactive = inactive + excluded.inactive;
END;

CREATE TRIGGER resource_app_update AFTER UPDATE OF app_state, active ON resource
WHEN new.resource_type = 'User'
    AND (new.app_state <> CASE WHEN new.active THEN 'active' ELSE 'inactive' END
        OR old.app_state <> CASE WHEN old.active THEN 'active' ELSE 'inactive' END)
BEGIN
    INSERT INTO app_count (directory_key, slot, active, inactive)
    VALUES (new.directory_key, 0,
        (new.app_state = 'active') - new.active - (old.app_state = 'active') + old.active,
        (new.app_state = 'inactive') - (NOT new.active)
            - (old.app_state = 'inactive') + (NOT old.active))
    ON CONFLICT (directory_key, slot) DO UPDATE
    SET active = active + excluded.active, inactive = inactive + excluded.inactive;
END;

CREATE TRIGGER resource_app_delete AFTER DELETE ON resource
WHEN old.resource_type = 'User'
    AND old.app_state <> CASE WHEN old.active THEN 'active' ELSE 'inactive' END
BEGIN
    INSERT INTO app_count (directory_key, slot, active, inactive)
    VALUES (old.directory_key, 0, old.active - (old.app_state = 'active'),
        (NOT old.active) - (old.app_state = 'inactive'))
    ON CONFLICT (directory_key, slot) DO UPDATE
    SET active = active + excluded.active, inactive = inactive + excluded.inactive;
END;

CREATE TRIGGER departed_user_app_insert AFTER INSERT ON departed_user
BEGIN
    INSERT INTO app_count (directory_key, slot, active, inactive)
    VALUES (new.directory_key, 0, 0, 1)
    ON CONFLICT (directory_key, slot) DO UPDATE SET inactive = inactive + 1;
END;

CREATE TRIGGER departed_user_app_delete AFTER DELETE ON departed_user
BEGIN
    INSERT INTO app_count (directory_key, slot, active, inactive)
    VALUES (old.directory_key, 0, 0, -1)
    ON CONFLICT (directory_key, slot) DO UPDATE SET inactive = inactive - 1;
END;

-- POST requests with an Idempotency-Key. fingerprint is of the request. answer is sealed and null until
-- there is one; committed says that the unit of the request is in the database. lease says until when
-- its runner is believed to be at it.
CREATE TABLE idempotent_request (
    api_key_id  TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    runner      TEXT    NOT NULL,
    lease       BIGINT  NOT NULL,
    committed   BOOLEAN NOT NULL,
    status      INTEGER,
    answer      TEXT,
    created     BIGINT  NOT NULL,
    PRIMARY KEY (api_key_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotent_request_created ON idempotent_request (created);
