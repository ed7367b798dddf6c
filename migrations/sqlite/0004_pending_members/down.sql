DROP INDEX member_pending_created;
DROP INDEX member_pending_value;
