DROP INDEX directory_past_directory;
ALTER TABLE directory_past DROP COLUMN directory_id;
