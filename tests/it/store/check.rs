//! `store::check` finds what rows must not be, and says where; on both databases.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::json;

use rollbook::store::{CheckPart, Location, check, repair_counters};

use crate::on_both_databases;
use crate::support::{TestApp, group, patch, user};

on_both_databases![
    sound_database_has_no_findings,
    wrong_counter_is_found_and_repaired,
    wrong_counter_of_what_the_app_sees_is_found_and_repaired,
    rows_of_resources_that_are_gone_are_found,
    directory_that_is_being_deleted_is_left_out,
    tables_of_another_version_are_told_apart,
];

fn location(app: &TestApp) -> Location {
    Location::parse(&app.database.url()).expect("a location")
}

fn execute(app: &TestApp, text: &str) {
    match location(app) {
        Location::Sqlite(path) => {
            let path = path.to_str().expect("UTF-8");
            let mut conn = SqliteConnection::establish(path).expect("the file");
            conn.batch_execute("PRAGMA busy_timeout = 5000").expect("set");
            conn.batch_execute(text)
        }
        Location::Postgres(url) => {
            PgConnection::establish(&url).expect("the database").batch_execute(text)
        }
    }
    .expect(text);
}

fn found(app: &TestApp) -> Vec<CheckPart> {
    let mut told = 0;
    let parts = check(&location(app), |_| told += 1).expect("it can be looked at");
    assert_eq!(told, parts.len());
    parts.into_iter().filter(|part| !part.findings.is_empty()).collect()
}

/// Users, a group, a change of each kind.
fn populate(app: &TestApp) {
    let ids: Vec<String> = (0..20)
        .map(|n| app.scim.post("/Users", user(&format!("user-{n}@example.com"))).expect(201).id())
        .collect();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    app.scim.post("/Groups", group("All", &members)).expect(201);
    let inactive = patch(json!([{"op": "replace", "path": "active", "value": false}]));
    app.scim.patch(&format!("/Users/{}", ids[0]), inactive).expect(200);
    app.scim.delete(&format!("/Users/{}", ids[1])).expect(204);
}

fn sound_database_has_no_findings(app: &TestApp) {
    populate(app);
    let parts = check(&location(app), |_| {}).expect("it can be looked at");
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let of_file = matches!(location(app), Location::Sqlite(_));
    assert_eq!(names.contains(&"file") && names.contains(&"references"), of_file);
    for name in ["tables", "counters", "index entries", "unique values", "memberships"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    assert!(parts.iter().all(|part| part.findings.is_empty() && !part.more), "{parts:?}");
}

fn wrong_counter_is_found_and_repaired(app: &TestApp) {
    populate(app);
    execute(
        app,
        "UPDATE resource_count SET n = n + 3 WHERE resource_type = 'Group'; \
         DELETE FROM resource_count WHERE resource_type = 'User'",
    );
    let parts = found(app);
    assert_eq!(parts.len(), 1, "{parts:?}");
    assert_eq!(
        parts[0].findings,
        [
            format!(
                "{}: Group: the counters say 4 active and 0 inactive resources, there are 1 and 0",
                app.directory.id
            ),
            format!(
                "{}: User: the counters say 0 active and 0 inactive resources, there are 18 and 1",
                app.directory.id
            ),
        ]
    );
    assert!(repair_counters(&location(app)).expect("repaired") > 0);
    assert_eq!(found(app), []);
    assert_eq!(app.scim.get("/Users?count=0").expect(200).total(), 19);
    app.scim.post("/Users", user("next@example.com")).expect(201);
    assert_eq!(found(app), []);
}

/// Policies make the app see other numbers than SCIM: an inactive user as a deleted one, a deleted one for a
/// while.
fn wrong_counter_of_what_the_app_sees_is_found_and_repaired(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api
        .patch(&path, json!({"settings": {"inactive_users": "delete", "delete": "deactivate"}}))
        .expect(200);
    populate(app);
    let active = app.scim.filter("/Users", "active eq true").expect(200).ids();
    app.scim.delete(&format!("/Users/{}", active[0])).expect(204);
    assert_eq!(found(app), []);
    let seen = || app.api.get(&format!("/directories/{}", app.directory.id)).expect(200).body;
    let sound = seen();
    execute(app, "UPDATE app_count SET active = active + 3, inactive = inactive - 1");
    assert_ne!(seen(), sound);
    let parts = found(app);
    assert_eq!(parts.len(), 1, "{parts:?}");
    assert_eq!(parts[0].name, "app counters");
    let expected = format!("{}: what the app sees differs from the users by ", app.directory.id);
    assert!(parts[0].findings[0].starts_with(&expected), "{parts:?}");
    assert!(repair_counters(&location(app)).expect("repaired") > 0);
    assert_eq!(found(app), []);
    assert_eq!(seen(), sound);
    execute(app, "DELETE FROM app_count");
    assert_eq!(found(app).len(), 1);
    repair_counters(&location(app)).expect("repaired");
    assert_eq!((found(app), seen()), (vec![], sound));
}

fn rows_of_resources_that_are_gone_are_found(app: &TestApp) {
    populate(app);
    execute(
        app,
        "INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal) \
         SELECT MAX(directory_key), 1, 'x', 999999, 0 FROM resource; \
         INSERT INTO async_result (directory_key, request_id, operation, outcome) \
         SELECT MAX(directory_key), 'req_x', 0, '{}' FROM resource; \
         INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal) \
         VALUES (424242, 1, 'x', 999998, 0); \
         UPDATE resource SET user_name_key = NULL WHERE id = \
         (SELECT MIN(id) FROM resource WHERE resource_type = 'User')",
    );
    let parts = found(app);
    let of = |name: &str| {
        let part = parts.iter().find(|part| part.name == name);
        part.unwrap_or_else(|| panic!("{name} of {parts:?}")).findings.join("\n")
    };
    let id = &app.directory.id;
    assert!(
        of("index entries").contains(&format!("{id}: index 1 has an entry of resource row 999999"))
    );
    assert!(of("index entries").contains("a directory that is gone: index 1"));
    assert!(of("accepted requests").contains(&format!("{id}: there is a result of request req_x")));
    assert!(of("user names").contains(&format!("{id}: user directory_user_")));
    assert_eq!(parts.len(), 3);
}

fn directory_that_is_being_deleted_is_left_out(app: &TestApp) {
    populate(app);
    execute(
        app,
        "UPDATE resource_count SET n = n + 3; UPDATE directory SET state = 'deleting' \
         WHERE key IN (SELECT directory_key FROM resource_count)",
    );
    assert_eq!(found(app), []);
}

fn tables_of_another_version_are_told_apart(app: &TestApp) {
    execute(app, "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')");
    let parts = found(app);
    assert_eq!(parts.len(), 1, "nothing is asked of tables that are not known: {parts:?}");
    assert_eq!(parts[0].findings, ["migration 9999 is of a newer version of Rollbook than this"]);
}
