-- What the app has been told of a user; hidden users it takes for deleted. groupless_since is when the
-- last direct membership ended, while the directory suspends such users; suspended says that the app
-- was told so. Other resources stay active.
ALTER TABLE resource ADD COLUMN app_state TEXT NOT NULL DEFAULT 'active'
    CHECK (app_state IN ('active', 'inactive', 'hidden'));
ALTER TABLE resource ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE resource ADD COLUMN groupless_since BIGINT;
UPDATE resource SET app_state = 'inactive' WHERE resource_type = 'User' AND NOT active;
CREATE INDEX resource_groupless ON resource (directory_key, groupless_since)
    WHERE groupless_since IS NOT NULL AND NOT suspended;

-- Users whom SCIM has deleted and the app still sees, inactive.
CREATE TABLE departed_user (
    id            TEXT   NOT NULL,
    directory_key BIGINT NOT NULL REFERENCES directory (key),
    user_name_key TEXT   NOT NULL,
    external_id   TEXT,
    doc           TEXT   NOT NULL,
    extra         TEXT,
    created       BIGINT NOT NULL,
    modified      BIGINT NOT NULL,
    departed      BIGINT NOT NULL,
    PRIMARY KEY (id, directory_key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX departed_user_user_name ON departed_user (directory_key, user_name_key);
CREATE INDEX departed_user_departed ON departed_user (directory_key, departed);

-- How far the users of a directory have been brought to changed policies; null when all are.
ALTER TABLE directory ADD COLUMN policy_cursor BIGINT;

-- Why access was taken away, on the events that do so.
ALTER TABLE event ADD COLUMN reason TEXT;
