DROP TABLE brake_account;
DROP INDEX oauth_client_expires;
DROP INDEX directory_token_expires;
DROP TABLE alarm;
DROP TABLE brake_member;
DROP TABLE brake_note;
-- What still waits is told.
INSERT INTO event (directory_key, id, event, resource_id, data, created, reason)
    SELECT directory_key, 'event_held_' || CAST(key AS TEXT), event, resource_id, data, created, reason
    FROM event_held ORDER BY directory_key, rank, key;
DROP TABLE event_held;
DROP TABLE brake_count;
DROP INDEX directory_last_request;
ALTER TABLE directory DROP COLUMN longest_silence;
DROP INDEX directory_brake;
ALTER TABLE directory DROP COLUMN brake_until;
ALTER TABLE directory DROP COLUMN brake_since;
ALTER TABLE directory DROP COLUMN brake;
