-- What people and keys have done through the management interfaces: one row for each use, written in the
-- unit of the change. The id says when. before_data and after_data are JSON objects of what differs, null
-- where there was or is nothing. organization_id and directory_id are ids, not keys: the row stays when
-- they are gone.
CREATE TABLE audit (
    id              TEXT   NOT NULL PRIMARY KEY,
    at              BIGINT NOT NULL,
    actor_type      TEXT   NOT NULL,
    actor_id        TEXT   NOT NULL,
    actor_name      TEXT,
    action          TEXT   NOT NULL,
    organization_id TEXT,
    directory_id    TEXT,
    target_id       TEXT   NOT NULL,
    target_name     TEXT,
    before_data     TEXT,
    after_data      TEXT
) WITHOUT ROWID;
CREATE INDEX audit_organization ON audit (organization_id, id) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_directory ON audit (directory_id, id) WHERE directory_id IS NOT NULL;
CREATE INDEX audit_actor ON audit (actor_id, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_target ON audit (target_id, id);

-- Organizations that were deleted and whose names and values are still to be taken out of the rows above.
CREATE TABLE audit_forget (
    organization_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- The events of one user or group, newest first, and those of a user's memberships.
CREATE INDEX event_resource ON event (resource_id, id);
CREATE INDEX event_member ON event (json_extract(data, '$.user.id'), id)
    WHERE event IN ('dsync.group.user_added', 'dsync.group.user_removed');
