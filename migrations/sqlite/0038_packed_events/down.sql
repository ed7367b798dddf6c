-- event_text is a function of the program. Where there is none this fails, and nothing is lost.
UPDATE event SET data = event_text(data) WHERE typeof(data) = 'blob';
DROP INDEX event_member;
ALTER TABLE event DROP COLUMN member_id;
CREATE INDEX event_member ON event (json_extract(data, '$.user.id'), id)
    WHERE event IN ('dsync.group.user_added', 'dsync.group.user_removed');
