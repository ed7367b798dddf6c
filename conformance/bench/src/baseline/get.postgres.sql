-- The row of a user by its id, as `pgbench --select-only` reads one of its accounts.

SELECT key, id, resource_type, active, doc, extra, version, created, modified
FROM resource
WHERE id = :id AND directory_key = :directory_key AND resource_type = 'User';
