-- Groups of which the app sees nothing, to count them.
CREATE INDEX resource_hidden_group ON resource (directory_key)
    WHERE resource_type = 'Group' AND app_state = 'hidden';

-- While the app is shown groups again: the group of whose members it is being told, and the last one of whom it was.
ALTER TABLE directory ADD COLUMN telling_group BIGINT;
ALTER TABLE directory ADD COLUMN telling_member BIGINT;
