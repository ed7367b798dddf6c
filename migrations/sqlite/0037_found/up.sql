-- What the last read of everything has found in a source, sealed.
ALTER TABLE sync_directory ADD COLUMN found TEXT;
