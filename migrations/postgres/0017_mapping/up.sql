-- What the operator makes of users. attribute_map and role_map are JSON; mapping_cursor is how far the
-- users of a directory have been brought to changed maps, null when all are.
ALTER TABLE directory ADD COLUMN attribute_map TEXT;
ALTER TABLE directory ADD COLUMN role_map TEXT;
ALTER TABLE directory ADD COLUMN mapping_cursor BIGINT;

-- What the maps have made of a user: custom_attributes is a JSON object, roles a JSON array of slugs, the
-- highest first, attribute_faults a JSON object of what is missing or has failed. Null for nothing.
ALTER TABLE resource ADD COLUMN custom_attributes TEXT;
ALTER TABLE resource ADD COLUMN attribute_faults TEXT;
ALTER TABLE resource ADD COLUMN roles TEXT;
CREATE INDEX resource_attribute_faults ON resource (directory_key, id)
    WHERE attribute_faults IS NOT NULL;

-- Users whom SCIM has deleted keep what they had.
ALTER TABLE departed_user ADD COLUMN custom_attributes TEXT;
ALTER TABLE departed_user ADD COLUMN roles TEXT;

-- Whose roles may no longer be what the memberships say: a user; every user that a group has, beyond
-- after_key (members); every user below a group (below).
CREATE TABLE role_work (
    directory_key BIGINT NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL CHECK (kind IN ('user', 'members', 'below')),
    target_key    BIGINT NOT NULL,
    after_key     BIGINT NOT NULL,
    PRIMARY KEY (directory_key, kind, target_key)
);
