//! While a change goes on, and when several processes see it at different times.

use serde_json::{Value, json};

use super::{devices, execute, here, number, put, read};
use crate::http::{api_error, create};
use crate::on_both_databases;
use crate::support::{Answer, TestApp, patch};

on_both_databases![
    writes_are_refused_while_resources_are_converted,
    change_that_a_stopped_process_left_is_finished,
    change_that_cannot_be_finished_is_taken_back,
    several_processes_may_finish_one_change,
    changes_at_the_same_time_leave_one_of_them,
    writes_during_changes_end_by_one_of_the_schemas,
    write_by_schemas_that_another_process_changed_is_refused_once,
];

fn plain() -> Value {
    devices(json!([{"name": "serial"}, {"name": "count", "type": "integer"}]))
}

fn indexed() -> Value {
    devices(json!([{"name": "serial"}, {"name": "count", "type": "integer", "indexed": true}]))
}

/// Puts the directory where a process leaves it that stops in the middle of a change to `document`:
/// no resource is converted yet.
fn leave_half_done(app: &TestApp, document: &Value) {
    execute(
        app,
        &format!(
            "UPDATE directory_schema SET previous = document, document = '{document}' WHERE {here}; \
             UPDATE directory SET converting = TRUE, schema_version = schema_version + 1 \
             WHERE id = '{id}';",
            here = here(app),
            id = app.directory.id
        ),
    );
}

fn finish(app: &TestApp) {
    let service = app.service().clone();
    app.wait(async move { service.finish_schema_changes().await }).expect("finished");
}

#[track_caller]
fn assert_come_back_later(answer: Answer) {
    assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.text);
    let detail = answer.expect_scim_error(503, None);
    assert_eq!(detail, "The rules of this directory are being changed; try again.");
}

fn writes_are_refused_while_resources_are_converted(app: &TestApp) {
    put(app, plain()).expect(200);
    let device = format!("/Devices/{}", create(&app.scim, "/Devices", json!({"count": 7})));
    let user = format!("/Users/{}", create(&app.scim, "/Users", json!({"userName": "ada"})));
    let (_, other) = app.directory("scim.generic");
    // The server looks for unfinished changes at its start; it must not finish this one now.
    let set = |converting: &str, previous: &str| {
        let (here, id) = (here(app), &app.directory.id);
        execute(
            app,
            &format!(
                "UPDATE directory SET converting = {converting} WHERE id = '{id}'; \
                 UPDATE directory_schema SET previous = {previous} WHERE {here};"
            ),
        );
    };
    set("TRUE", "NULL");
    let title = patch(json!([{"op": "add", "path": "title", "value": "Dr"}]));
    // Each of them twice: also when the process has read the new schemas.
    for _ in 0..2 {
        assert_come_back_later(app.scim.post("/Devices", json!({"count": 8})));
        assert_come_back_later(app.scim.put(&device, json!({"count": 8})));
        assert_come_back_later(app.scim.patch(&user, title.clone()));
        assert_come_back_later(app.scim.delete(&user));
        // Reads go on, and other directories do not notice.
        assert_eq!(app.scim.get(&device).expect(200).body["count"], 7);
        assert_eq!(app.scim.get("/Users").total(), 1);
    }
    create(&other, "/Users", json!({"userName": "ben"}));
    set("FALSE", "'{}'");
    let message = api_error(&put(app, plain()), 409, "schema_change_under_way");
    assert_eq!(message, "Another change of this directory's schemas is under way; try again.");
    leave_half_done(app, &indexed());
    finish(app);
    app.scim.patch(&user, title).expect(200);
    app.scim.put(&device, json!({"count": 8})).expect(200);
    assert_eq!(app.scim.filter("/Devices", "count eq 8").total(), 1);
}

fn change_that_a_stopped_process_left_is_finished(app: &TestApp) {
    put(app, plain()).expect(200);
    for n in 0..450 {
        create(&app.scim, "/Devices", json!({"serial": format!("s{n}"), "count": n}));
    }
    leave_half_done(app, &indexed());
    finish(app);
    assert_eq!(read(app), indexed());
    let entries =
        format!("SELECT COUNT(*) FROM resource_attr WHERE path_id >= 1000 AND {}", here(app));
    assert_eq!(number(app, &entries), 450);
    // Some resources were converted, some were not.
    execute(
        app,
        &format!(
            "DELETE FROM resource_attr WHERE path_id >= 1000 AND {here} AND resource_key IN \
             (SELECT key FROM resource WHERE {here} AND key % 3 = 0);",
            here = here(app)
        ),
    );
    assert!(number(app, &entries) < 450);
    execute(
        app,
        &format!(
            "UPDATE directory_schema SET previous = '{}' WHERE {}; \
             UPDATE directory SET converting = TRUE WHERE id = '{}';",
            plain(),
            here(app),
            app.directory.id
        ),
    );
    finish(app);
    assert_eq!(number(app, &entries), 450);
    assert_eq!(app.scim.filter("/Devices", "count lt 100").total(), 100);
    create(&app.scim, "/Devices", json!({"count": 1}));
    finish(app);
}

fn change_that_cannot_be_finished_is_taken_back(app: &TestApp) {
    put(app, plain()).expect(200);
    for n in 0..4 {
        create(&app.scim, "/Devices", json!({"serial": "same", "count": n}));
    }
    let before = app.scim.get("/Devices").expect(200).text;
    leave_half_done(app, &devices(json!([{"name": "serial", "uniqueness": "server"}])));
    finish(app);
    assert_eq!(read(app), plain());
    let refused = app.scim.post("/Devices", json!({"serial": "same"}));
    // The process that had the schemas between learns by the refusal.
    if refused.status == 503 {
        assert_come_back_later(refused);
        create(&app.scim, "/Devices", json!({"serial": "same"}));
    }
    let after = app.scim.get("/Devices?count=4").expect(200);
    let resources = |text: &str| -> Value {
        let list: Value = serde_json::from_str(text).expect("JSON");
        list["Resources"].as_array().expect("a list").iter().take(4).cloned().collect()
    };
    assert_eq!(resources(&after.text), resources(&before));
    let claims = format!("SELECT COUNT(*) FROM resource_unique WHERE {}", here(app));
    assert_eq!(number(app, &claims), 0);
}

fn several_processes_may_finish_one_change(app: &TestApp) {
    put(app, plain()).expect(200);
    for n in 0..450 {
        create(&app.scim, "/Devices", json!({"serial": format!("s{n}"), "count": n}));
    }
    for round in 0..3 {
        leave_half_done(app, &if round % 2 == 0 { indexed() } else { plain() });
        let service = app.service().clone();
        app.wait(async move {
            let all = (0..4).map(|_| service.finish_schema_changes());
            for ended in futures_util::future::join_all(all).await {
                ended.expect("finished");
            }
        });
        let entries =
            format!("SELECT COUNT(*) FROM resource_attr WHERE path_id >= 1000 AND {}", here(app));
        assert_eq!(number(app, &entries), if round % 2 == 0 { 450 } else { 0 });
        assert_eq!(app.scim.filter("/Devices", "count lt 100").total(), 100);
    }
    let converting = format!(
        "SELECT COUNT(*) FROM directory WHERE converting = TRUE AND id = '{}'",
        app.directory.id
    );
    assert_eq!(number(app, &converting), 0);
}

fn changes_at_the_same_time_leave_one_of_them(app: &TestApp) {
    put(app, plain()).expect(200);
    for n in 0..250 {
        create(&app.scim, "/Devices", json!({"serial": format!("s{n}"), "count": n}));
    }
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6)
            .map(|n| {
                let document = devices(json!([
                    {"name": "serial", "description": format!("{n}"), "indexed": n % 2 == 0},
                    {"name": "count", "type": "integer", "indexed": n % 2 == 1},
                ]));
                scope.spawn(move || put(app, document))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(done >= 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        api_error(refused, 409, "schema_change_under_way");
    }
    // Exactly one of the two is indexed now, with every resource.
    let left = read(app);
    let first = left["schemas"][0]["attributes"][0]["indexed"] == true;
    let entries =
        format!("SELECT COUNT(*) FROM resource_attr WHERE path_id >= 1000 AND {}", here(app));
    assert_eq!(number(app, &entries), 250, "{first} {left}");
    assert_eq!(app.scim.filter("/Devices", "serial eq \"S7\" and count eq 7").total(), 1);
}

/// Each write that was acknowledged is indexed and unique as the last schemas want it.
fn writes_during_changes_end_by_one_of_the_schemas(app: &TestApp) {
    put(app, plain()).expect(200);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let made: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (stop, scim) = (&stop, app.scim.clone());
                scope.spawn(move || {
                    let mut made = 0;
                    for n in 0.. {
                        if stop.load(std::sync::atomic::Ordering::SeqCst) {
                            break;
                        }
                        let serial = format!("w{writer}-{n}");
                        let answer = scim.post("/Devices", json!({"serial": serial, "count": 7}));
                        match answer.status {
                            201 => made += 1,
                            503 => {}
                            other => panic!("{other}: {}", answer.text),
                        }
                    }
                    made
                })
            })
            .collect();
        for round in 0..10 {
            put(app, if round % 2 == 0 { indexed() } else { plain() }).expect(200);
        }
        put(app, indexed()).expect(200);
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
    });
    assert_eq!(app.scim.get("/Devices?count=0").total(), made);
    assert_eq!(app.scim.filter("/Devices", "count eq 7").total(), made);
}

fn write_by_schemas_that_another_process_changed_is_refused_once(app: &TestApp) {
    // Written by hand: a change that goes on could be finished by the look at the server's start as
    // well, which makes this process read the schemas once more.
    execute(
        app,
        &format!(
            "INSERT INTO directory_schema (directory_key, document, previous) \
             SELECT key, '{}', NULL FROM directory WHERE id = '{id}'; \
             UPDATE directory SET schema_version = schema_version + 1 WHERE id = '{id}';",
            plain(),
            id = app.directory.id
        ),
    );
    create(&app.scim, "/Devices", json!({"serial": "1"}));
    // Another process has changed the schemas and is done; this one has not read them yet.
    let new = devices(json!([{"name": "serial"}, {"name": "owner"}]));
    execute(
        app,
        &format!(
            "UPDATE directory_schema SET document = '{new}' WHERE {}; \
             UPDATE directory SET schema_version = schema_version + 1 WHERE id = '{}';",
            here(app),
            app.directory.id
        ),
    );
    let sent = json!({"serial": "2", "owner": "Ada"});
    assert_come_back_later(app.scim.post("/Devices", sent.clone()));
    assert_eq!(app.scim.get("/Devices").total(), 1);
    let made = app.scim.post("/Devices", sent).expect(201);
    assert_eq!(made.body["owner"], "Ada");
}
