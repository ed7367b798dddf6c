-- One create of a user: the directory as it is now, the row, its index entries, the event, the total.

SELECT state, schema_version, converting, settings, policy_cursor,
    EXISTS (SELECT 1 FROM member_intent i WHERE i.directory_key = directory.key),
    brake
FROM directory
WHERE key = :directory_key;

INSERT INTO resource (directory_key, id, resource_type, user_name_key, display_key, display,
    external_id, active, doc, extra, version, created, modified, app_state,
    custom_attributes, attribute_faults, roles)
VALUES (:directory_key, :id, :resource_type, :user_name_key, :display_key, :display,
    :external_id, :active, :doc, :extra, 1, :now, :now, :app_state,
    :custom_attributes, :attribute_faults, :roles)
RETURNING key, id;

INSERT OR IGNORE INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
VALUES (:directory_key, :path_id_1, :attribute_1, :key, :ordinal_1);

INSERT OR IGNORE INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
VALUES (:directory_key, :path_id_2, :attribute_2, :key, :ordinal_2);

INSERT OR IGNORE INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
VALUES (:directory_key, :path_id_3, :attribute_3, :key, :ordinal_3);

INSERT OR IGNORE INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
VALUES (:directory_key, :path_id_4, :attribute_4, :key, :ordinal_4);

INSERT OR FAIL INTO event (directory_key, id, event, resource_id, created, reason, data, member_id)
VALUES (:directory_key, :event_id, :event, :id, :now, :reason, :data, :member_id);

INSERT INTO resource_count (directory_key, resource_type, active, slot, n)
VALUES (:directory_key, :resource_type, :active, 0, :one)
ON CONFLICT (directory_key, resource_type, active, slot)
DO UPDATE SET n = resource_count.n + excluded.n;
