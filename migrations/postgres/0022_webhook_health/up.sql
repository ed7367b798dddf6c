-- Which event attempts and head_since are about; and when the test event was accepted last.
ALTER TABLE webhook_endpoint ADD COLUMN head_position BIGINT;
ALTER TABLE webhook_endpoint ADD COLUMN probed BIGINT;
-- Since when nothing that the replay sends is accepted, and when it was given up because of that.
ALTER TABLE webhook_replay ADD COLUMN since BIGINT;
ALTER TABLE webhook_replay ADD COLUMN failed BIGINT;
