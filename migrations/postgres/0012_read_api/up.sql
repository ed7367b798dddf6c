-- What the read API needs. metadata is a JSON object of texts.
ALTER TABLE organization ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';

-- Domains of organizations, lower-case.
CREATE TABLE organization_domain (
    organization_key BIGINT           NOT NULL REFERENCES organization (key),
    domain           TEXT COLLATE "C" NOT NULL,
    id               TEXT COLLATE "C" NOT NULL,
    state            TEXT             NOT NULL CHECK (state IN ('pending', 'verified')),
    created          BIGINT           NOT NULL,
    modified         BIGINT           NOT NULL,
    PRIMARY KEY (organization_key, domain)
);
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
ALTER TABLE departed_user ADD COLUMN email_key TEXT COLLATE "C";
CREATE INDEX departed_user_email ON departed_user (directory_key, email_key)
    WHERE email_key IS NOT NULL;
CREATE INDEX departed_user_external_id ON departed_user (directory_key, external_id)
    WHERE external_id IS NOT NULL;

-- By how much the numbers of users that the app sees differ from those of resource_count, which go by
-- what SCIM says. Only users whom a policy hides, suspends or keeps make a difference; the triggers
-- notice whatever changes one. A connection adds to one slot, whichever transaction it is at: a process
-- has few connections and their numbers lie together, so two seldom have the same one and wait for each
-- other, possibly crosswise with the rows of users.
CREATE TABLE app_count (
    directory_key BIGINT  NOT NULL,
    slot          INTEGER NOT NULL,
    active        BIGINT  NOT NULL,
    inactive      BIGINT  NOT NULL,
    PRIMARY KEY (directory_key, slot)
);

INSERT INTO app_count (directory_key, slot, active, inactive)
SELECT directory_key, 0, SUM(a), SUM(i) FROM (
    SELECT directory_key,
        CAST(app_state = 'active' AS INTEGER) - CAST(active AS INTEGER) AS a,
        CAST(app_state = 'inactive' AS INTEGER) - CAST(NOT active AS INTEGER) AS i
    FROM resource WHERE resource_type = 'User'
        AND app_state <> CASE WHEN active THEN 'active' ELSE 'inactive' END
    UNION ALL
    SELECT directory_key, 0, 1 FROM departed_user) deviating
GROUP BY directory_key;

CREATE FUNCTION app_count_add(d_key BIGINT, d_active INTEGER, d_inactive INTEGER) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO app_count (directory_key, slot, active, inactive)
    VALUES (d_key, pg_backend_pid() % 32, d_active, d_inactive)
    ON CONFLICT (directory_key, slot) DO UPDATE
    SET active = app_count.active + excluded.active,
        inactive = app_count.inactive + excluded.inactive
$$;

CREATE FUNCTION resource_app_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    a INTEGER := 0;
    i INTEGER := 0;
BEGIN
    IF TG_OP <> 'DELETE' THEN
        a := CAST(new.app_state = 'active' AS INTEGER) - CAST(new.active AS INTEGER);
        i := CAST(new.app_state = 'inactive' AS INTEGER) - CAST(NOT new.active AS INTEGER);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        a := a - CAST(old.app_state = 'active' AS INTEGER) + CAST(old.active AS INTEGER);
        i := i - CAST(old.app_state = 'inactive' AS INTEGER) + CAST(NOT old.active AS INTEGER);
    END IF;
    IF a <> 0 OR i <> 0 THEN
        PERFORM app_count_add(COALESCE(new.directory_key, old.directory_key), a, i);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER resource_app_insert AFTER INSERT ON resource FOR EACH ROW
WHEN (new.resource_type = 'User'
    AND new.app_state <> CASE WHEN new.active THEN 'active' ELSE 'inactive' END)
EXECUTE FUNCTION resource_app_counted();

CREATE TRIGGER resource_app_update AFTER UPDATE OF app_state, active ON resource FOR EACH ROW
WHEN (new.resource_type = 'User'
    AND (new.app_state <> CASE WHEN new.active THEN 'active' ELSE 'inactive' END
        OR old.app_state <> CASE WHEN old.active THEN 'active' ELSE 'inactive' END))
EXECUTE FUNCTION resource_app_counted();

CREATE TRIGGER resource_app_delete AFTER DELETE ON resource FOR EACH ROW
WHEN (old.resource_type = 'User'
    AND old.app_state <> CASE WHEN old.active THEN 'active' ELSE 'inactive' END)
EXECUTE FUNCTION resource_app_counted();

CREATE FUNCTION departed_user_app_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM app_count_add(new.directory_key, 0, 1);
    ELSE
        PERFORM app_count_add(old.directory_key, 0, -1);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER departed_user_app_insert AFTER INSERT ON departed_user FOR EACH ROW
EXECUTE FUNCTION departed_user_app_counted();

CREATE TRIGGER departed_user_app_delete AFTER DELETE ON departed_user FOR EACH ROW
EXECUTE FUNCTION departed_user_app_counted();

-- POST requests with an Idempotency-Key. fingerprint is of the request. answer is sealed and null until
-- there is one; committed says that the unit of the request is in the database. lease says until when
-- its runner is believed to be at it.
CREATE TABLE idempotent_request (
    api_key_id  TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT             NOT NULL,
    runner      TEXT             NOT NULL,
    lease       BIGINT           NOT NULL,
    committed   BOOLEAN          NOT NULL,
    status      INTEGER,
    answer      TEXT,
    created     BIGINT           NOT NULL,
    PRIMARY KEY (api_key_id, key)
);
CREATE INDEX idempotent_request_created ON idempotent_request (created);
