ALTER TABLE webhook_replay DROP COLUMN failed;
ALTER TABLE webhook_replay DROP COLUMN since;
ALTER TABLE webhook_endpoint DROP COLUMN probed;
ALTER TABLE webhook_endpoint DROP COLUMN head_position;
