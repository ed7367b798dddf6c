-- The data of new events is packed (see src/store/packed.rs), so the user of a membership has a column. The data
-- of those that are there stays as it is.
DROP INDEX event_member;
ALTER TABLE event ADD COLUMN member_id TEXT;
UPDATE event SET member_id = json_extract(data, '$.user.id')
    WHERE event IN ('dsync.group.user_added', 'dsync.group.user_removed');
CREATE INDEX event_member ON event (member_id, id) WHERE member_id IS NOT NULL;
