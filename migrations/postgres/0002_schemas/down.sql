DELETE FROM resource_attr WHERE path_id >= 3;
DROP TABLE directory_schema;
ALTER TABLE directory DROP COLUMN converting;
ALTER TABLE directory DROP COLUMN schema_version;
