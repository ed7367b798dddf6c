-- A value that waits is looked for when a resource appears that it may mean, and when it is old.
CREATE INDEX member_pending_value ON member_pending (directory_key, value);
CREATE INDEX member_pending_created ON member_pending (created);
