//! Access is taken away, a part at a time.

use rollbook::service::Credentials;
use serde_json::json;

use super::{finish, neighbour, path, person, state};
use crate::on_both_databases;
use crate::support::{TestApp, user};

on_both_databases![
    calling_off_leaves_the_rest_as_they_are,
    directories_take_turns,
    frozen_directory_takes_no_write_that_was_let_in_before,
    nothing_is_under_way_unless_somebody_asked,
];

/// Enough for a look to come in between.
const USERS: usize = 600;

fn calling_off_leaves_the_rest_as_they_are(app: &TestApp) {
    for n in 0..USERS {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    let way = path(&app.directory);
    app.api.post(&way, json!({"mode": "deprovision"})).expect(200);
    let look = || app.api.get(&way).expect(200).body;
    while look()["done"] == 0 {
        std::thread::yield_now();
    }
    let ended = app.api.delete(&way).expect(200).body;
    assert_eq!((&ended["state"], &ended["total"]), (&json!("called_off"), &json!(USERS)));
    let done = ended["done"].as_u64().expect("a number");
    assert!(done > 0 && done < 600, "{ended}");
    finish(app);
    assert_eq!(look(), ended);
    assert_eq!(state(app, &app.directory), "disabled");
    let told = app.events(&app.directory);
    let gone = told.iter().filter(|(_, data)| data["state"] == "inactive").count();
    assert_eq!(u64::try_from(gone), Ok(done));
    let view = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200).body;
    assert_eq!(view["metadata"]["users"], json!({"active": 600 - done, "inactive": done}));
    app.api.delete(&way).expect(404);
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&directory, json!({"state": "linked"})).expect(200);
    app.scim.post("/Users", user("new@example.com")).expect(201);
}

fn directories_take_turns(app: &TestApp) {
    let (small, scim) = neighbour(app, json!({}));
    scim.post("/Users", person("1", "ada@example.com")).expect(201);
    for n in 0..130 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    for directory in [&app.directory, &small] {
        app.api.post(&path(directory), json!({"mode": "deprovision"})).expect(200);
    }
    finish(app);
    for (directory, users) in [(&app.directory, 130), (&small, 1)] {
        let told = app.events(directory);
        let of = |name: &str| told.iter().filter(|(told, _)| told == name).count();
        assert_eq!((of("dsync.user.updated"), of("dsync.deleted")), (users, 1));
        let done = app.api.get(&path(directory));
        assert!(done.status == 404 || done.body["state"] == "done", "{}", done.text);
    }
}

fn frozen_directory_takes_no_write_that_was_let_in_before(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let service = app.service().clone();
    let (key, token) = (app.directory.external_key.clone(), app.directory.token.clone());
    // As a request that was let in a moment before.
    let opened = app.wait(async move {
        service.scim_access(Credentials::Token(&token), Some(key.as_str()), None).await
    });
    let access = opened.expect("it is let in");
    app.api.post(&path(&app.directory), json!({"mode": "freeze"})).expect(200);
    let before = app.events(&app.directory).len();
    let service = app.service().clone();
    let written = app.wait(async move {
        let resource_type = access.directory.registry.by_name("User").cloned().expect("users");
        service.delete(&access, &resource_type, &id, None).await
    });
    let error = written.expect_err("refused").to_scim();
    assert_eq!(error.status, 403, "{}", error.detail);
    assert_eq!(app.events(&app.directory).len(), before);
}

fn nothing_is_under_way_unless_somebody_asked(app: &TestApp) {
    app.api.get(&path(&app.directory)).expect(404);
    app.api.delete(&path(&app.directory)).expect(404);
    let odd = json!({"mode": "deprovision", "to": app.directory.id});
    app.api.post(&path(&app.directory), odd).expect(422);
    assert_eq!(state(app, &app.directory), "linked");
}
