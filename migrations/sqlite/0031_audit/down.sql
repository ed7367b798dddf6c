DROP INDEX event_member;
DROP INDEX event_resource;
DROP TABLE audit_forget;
DROP TABLE audit;
