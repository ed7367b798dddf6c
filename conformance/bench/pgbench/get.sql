-- What GET by id asks of PostgreSQL: one row by its id. See README.md beside this file.
SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, r.version, r.created, r.modified, r.app_state, r.suspended, r.groupless_since FROM resource r WHERE r.id = :id AND r.directory_key = CAST(:directory AS BIGINT) AND r.resource_type = 'User';
