-- Rises with every change of what a directory is read by: a run that began before decides nothing about what
-- comes after.
ALTER TABLE sync_directory ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
