DROP INDEX resource_modified;
DROP INDEX resource_created;
