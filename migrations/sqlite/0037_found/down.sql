ALTER TABLE sync_directory DROP COLUMN found;
