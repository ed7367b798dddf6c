-- Lists by meta.created and meta.lastModified go page by page along an index.
CREATE INDEX resource_created ON resource (directory_key, resource_type, created, key);
CREATE INDEX resource_modified ON resource (directory_key, resource_type, modified, key);
