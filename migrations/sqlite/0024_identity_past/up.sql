-- Users who were accounts of an identity and are gone: what the primary directory says of a person counts
-- also when it has deleted the user. identity.root_key and identity_suggestion.into_root_key, which said it
-- of one directory alone, are not read any more; what they know is kept here, under the id of the identity.
CREATE TABLE identity_past (
    directory_key BIGINT NOT NULL REFERENCES directory (key),
    user_id       TEXT   NOT NULL,
    identity_key  BIGINT NOT NULL REFERENCES identity (key),
    PRIMARY KEY (directory_key, user_id)
) WITHOUT ROWID;
CREATE INDEX identity_past_identity ON identity_past (identity_key, directory_key);
INSERT INTO identity_past (directory_key, user_id, identity_key)
    SELECT i.root_key, i.id, i.key FROM identity i JOIN directory d ON d.key = i.root_key
    WHERE i.state IN ('active', 'inactive', 'merged') AND NOT EXISTS (
        SELECT 1 FROM identity_account a
        WHERE a.identity_key = i.key AND a.directory_key = i.root_key);

-- departed: SCIM has deleted the user, whom the app still sees; nobody is matched with it. linked: when it
-- became an account of a person, in milliseconds; zero for those of before.
ALTER TABLE identity_account ADD COLUMN departed BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE identity_account ADD COLUMN linked BIGINT NOT NULL DEFAULT 0;
UPDATE identity_account SET departed = TRUE WHERE EXISTS (
    SELECT 1 FROM departed_user u
    WHERE u.directory_key = identity_account.directory_key AND u.id = identity_account.user_id);

CREATE INDEX identity_suggestion_into ON identity_suggestion (into_key) WHERE into_key IS NOT NULL;
