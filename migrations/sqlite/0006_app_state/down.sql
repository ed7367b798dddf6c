ALTER TABLE event DROP COLUMN reason;
ALTER TABLE directory DROP COLUMN policy_cursor;
DROP TABLE departed_user;
DROP INDEX resource_groupless;
ALTER TABLE resource DROP COLUMN groupless_since;
ALTER TABLE resource DROP COLUMN suspended;
ALTER TABLE resource DROP COLUMN app_state;
