ALTER TABLE directory_token DROP COLUMN made_by;
