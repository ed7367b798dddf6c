ALTER TABLE directory DROP COLUMN telling_member;
ALTER TABLE directory DROP COLUMN telling_group;
DROP INDEX resource_hidden_group;
