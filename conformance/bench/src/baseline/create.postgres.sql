-- One create of a user: the directory as it was, the row, its index entries, the total, the event.

WITH d AS (
    SELECT key FROM directory WHERE key = :directory_key AND state NOT IN ('disabled', 'deleting')
    AND NOT converting AND schema_version = :schema_version AND settings = :settings AND policy_cursor IS NULL
    AND brake IS NULL
    AND pg_advisory_xact_lock_shared(hashtext('directory'),
    CAST(:directory_key % 2147483647 AS INTEGER)) IS NOT NULL FOR KEY SHARE),
r AS (INSERT INTO resource (directory_key, id, resource_type, user_name_key, display_key,
    display, external_id, active, doc, extra, version, created, modified, app_state,
    custom_attributes, attribute_faults, roles)
    SELECT d.key, :id, :resource_type, :user_name_key, :display_key, :display, :external_id,
    :active, :doc, :extra, 1, :now, :now, :app_state, :custom_attributes,
    :attribute_faults, :roles FROM d RETURNING directory_key, key),
a AS (INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
    SELECT r.directory_key, x.path_id, x.key, r.key, x.ordinal FROM r
    CROSS JOIN jsonb_to_recordset(CAST(:entries AS jsonb))
    x (path_id INTEGER, key TEXT, ordinal INTEGER) ON CONFLICT DO NOTHING),
c AS (INSERT INTO resource_count (directory_key, resource_type, active, slot, n)
    SELECT r.directory_key, :resource_type, :active, pg_backend_pid() % 32, 1 FROM r
    ON CONFLICT (directory_key, resource_type, active, slot)
    DO UPDATE SET n = resource_count.n + excluded.n),
e AS (INSERT INTO event (directory_key, id, event, resource_id, data, created, reason)
    SELECT r.directory_key, :event_id, :event, :id, :data, :now, :reason FROM r
    WHERE CAST(:has_event AS BOOLEAN))
SELECT key FROM r;
