-- By which id a directory was known that is no more: its readers have yet to read that it is gone.
ALTER TABLE directory_past ADD COLUMN directory_id TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE directory_past SET directory_id = COALESCE((SELECT CAST(e.data AS jsonb) ->> 'id' FROM event e
    WHERE e.directory_key = directory_past.directory_key AND e.event = 'dsync.deleted'
    ORDER BY e.key DESC LIMIT 1), '');
CREATE INDEX directory_past_directory ON directory_past (directory_id);
