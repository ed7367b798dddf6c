//! Uniqueness is decided by the database, also where data was there before the rule.

use serde_json::{Value, json};

use super::{BADGE, badge, devices, here, number, put, read, user_with};
use crate::http::{api_error, create};
use crate::on_both_databases;
use crate::support::{TestApp, patch};

on_both_databases![
    one_of_many_concurrent_creates_wins,
    one_of_two_concurrent_patches_wins,
    values_of_multi_valued_attributes_are_unique_each,
    extension_of_user_is_unique,
    values_are_free_again_when_they_are_given_up,
    rule_over_duplicates_is_refused_and_nothing_changes,
    rule_over_distinct_values_holds_from_then_on,
    rule_that_goes_is_gone,
    rule_may_change_what_is_equal,
];

fn serials() -> Value {
    devices(json!([{"name": "serial", "uniqueness": "server"}, {"name": "label"}]))
}

fn one_of_many_concurrent_creates_wins(app: &TestApp) {
    put(app, serials()).expect(200);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let scim = app.scim.clone();
                let serial = if n % 2 == 0 { "S-1" } else { "s-1" };
                scope.spawn(move || scim.post("/Devices", json!({"serial": serial})).status)
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    assert_eq!(app.scim.get("/Devices").total(), 1);
}

fn one_of_two_concurrent_patches_wins(app: &TestApp) {
    put(app, serials()).expect(200);
    for round in 0..10 {
        let ids = ["a", "b"]
            .map(|name| create(&app.scim, "/Devices", json!({"serial": format!("{name}{round}")})));
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let workers: Vec<_> = ids
                .iter()
                .map(|id| {
                    let (scim, path) = (app.scim.clone(), format!("/Devices/{id}"));
                    let value = format!("same{round}");
                    let ops = json!([{"op": "replace", "path": "serial", "value": value}]);
                    scope.spawn(move || scim.patch(&path, patch(ops)).status)
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        let mut sorted = statuses.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [200, 409]);
        let filter = format!("serial eq \"same{round}\"");
        assert_eq!(app.scim.filter("/Devices", &filter).total(), 1);
    }
}

fn values_of_multi_valued_attributes_are_unique_each(app: &TestApp) {
    put(
        app,
        devices(json!([
            {"name": "macs", "multiValued": true, "uniqueness": "server"},
            {"name": "ports", "type": "complex", "multiValued": true, "subAttributes": [
                {"name": "value", "uniqueness": "server", "type": "integer"}, {"name": "type"},
            ]},
        ])),
    )
    .expect(200);
    // The same value twice in one resource is no conflict.
    let sent = json!({
        "macs": ["A", "b", "a"], "ports": [{"value": 1, "type": "x"}, {"value": 1, "type": "y"}],
    });
    let first = create(&app.scim, "/Devices", sent);
    let taken = |body: Value, named: &str| {
        let detail = app.scim.post("/Devices", body).expect_scim_error(409, Some("uniqueness"));
        assert!(detail.starts_with(&format!("The attribute \"{named}\" has a value")), "{detail}");
    };
    taken(json!({"macs": ["c", "B"]}), "macs");
    taken(json!({"ports": [{"value": 2}, {"value": 1}]}), "ports.value");
    let second = create(&app.scim, "/Devices", json!({"macs": ["c"], "ports": [{"value": 2}]}));
    let path = format!("/Devices/{second}");
    for operation in [
        json!({"op": "add", "path": "macs", "value": ["d", "A"]}),
        json!({"op": "replace", "path": "ports[value eq 2].value", "value": 1}),
    ] {
        app.scim.patch(&path, patch(json!([operation]))).expect_scim_error(409, Some("uniqueness"));
    }
    assert_eq!(app.scim.get(&path).expect(200).body["macs"], json!(["c"]));
    let operations = json!([{"op": "remove", "path": "macs[value eq \"b\"]"}]);
    app.scim.patch(&format!("/Devices/{first}"), patch(operations)).expect(200);
    create(&app.scim, "/Devices", json!({"macs": ["B"]}));
}

fn extension_of_user_is_unique(app: &TestApp) {
    put(app, badge(json!([{"name": "number", "type": "integer", "uniqueness": "global"}])))
        .expect(200);
    create(&app.scim, "/Users", user_with("ada", json!({BADGE: {"number": 7}})));
    let detail = app
        .scim
        .post("/Users", user_with("ben", json!({BADGE: {"number": 7}})))
        .expect_scim_error(409, Some("uniqueness"));
    assert!(detail.contains(&format!("\"{BADGE}:number\"")), "{detail}");
    create(&app.scim, "/Users", user_with("ben", json!({})));
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created", "dsync.user.created"]);
}

fn values_are_free_again_when_they_are_given_up(app: &TestApp) {
    put(app, serials()).expect(200);
    let path = format!("/Devices/{}", create(&app.scim, "/Devices", json!({"serial": "1"})));
    app.scim.put(&path, json!({"serial": "2"})).expect(200);
    create(&app.scim, "/Devices", json!({"serial": "1"}));
    app.scim.put(&path, json!({})).expect(200);
    create(&app.scim, "/Devices", json!({"serial": "2"}));
    app.scim.put(&path, json!({"serial": "3"})).expect(200);
    app.scim.delete(&path).expect(204);
    create(&app.scim, "/Devices", json!({"serial": "3"}));
    // A value that is not there is not the same as another that is not there.
    create(&app.scim, "/Devices", json!({}));
    create(&app.scim, "/Devices", json!({"serial": null}));
    create(&app.scim, "/Devices", json!({"serial": " "}));
    create(&app.scim, "/Devices", json!({"serial": ""}));
}

fn rule_over_duplicates_is_refused_and_nothing_changes(app: &TestApp) {
    let old = badge(json!([{"name": "number"}, {"name": "hat"}, {"name": "kept"}]));
    put(app, old.clone()).expect(200);
    for (n, number) in ["1", "2", "x", "X ", "3", "2"].iter().enumerate() {
        let more = json!({BADGE: {"number": number, "hat": format!("h{n}"), "kept": "k"}});
        create(&app.scim, "/Users", user_with(&format!("user{n}"), more));
    }
    let before = app.scim.get("/Users").expect(200).text;
    let events = app.events(&app.directory).len();
    let claims = format!("SELECT COUNT(*) FROM resource_unique WHERE {}", here(app));
    // The new schemas would also index, and move and convert values.
    let new = badge(json!([
        {"name": "number", "uniqueness": "server"},
        {"name": "hat", "type": "integer", "indexed": true},
        {"name": "other"},
    ]));
    for _ in 0..2 {
        let message = api_error(&put(app, new.clone()), 409, "duplicate_values");
        assert_eq!(
            message,
            format!(
                "Values that the schemas want to be unique are held by several resources: \
                 {BADGE}:number \"x\", {BADGE}:number \"2\". Nothing was changed."
            )
        );
        assert_eq!(read(app), old);
        assert_eq!(app.scim.get("/Users").expect(200).text, before);
        assert_eq!(app.events(&app.directory).len(), events);
        assert_eq!(number(app, &claims), 0);
    }
    let shown = app.scim.get(&format!("/Schemas/{BADGE}")).expect(200);
    assert_eq!(shown.body["attributes"][0]["uniqueness"], "none");
    // The old schemas work as before, duplicates included.
    let more = json!({BADGE: {"number": "1", "hat": "h"}});
    create(&app.scim, "/Users", user_with("user9", more));
    assert_eq!(app.scim.filter("/Users", &format!("{BADGE}:number eq \"1\"")).total(), 2);
    assert_eq!(app.scim.filter("/Users", &format!("{BADGE}:hat eq \"h2\"")).total(), 1);
}

fn rule_over_distinct_values_holds_from_then_on(app: &TestApp) {
    put(app, devices(json!([{"name": "serial"}, {"name": "label"}]))).expect(200);
    let ids: Vec<String> = (0..450)
        .map(|n| create(&app.scim, "/Devices", json!({"serial": format!("s{n}")})))
        .collect();
    put(app, serials()).expect(200);
    for serial in ["S0", "s199", "s200", "s449"] {
        let answer = app.scim.post("/Devices", json!({"serial": serial}));
        answer.expect_scim_error(409, Some("uniqueness"));
    }
    // No resource was touched.
    let last = app.scim.get(&format!("/Devices/{}", ids[449])).expect(200);
    assert_eq!(last.header("etag"), Some("W/\"1\""));
    app.scim.delete(&format!("/Devices/{}", ids[0])).expect(204);
    create(&app.scim, "/Devices", json!({"serial": "s0"}));
}

fn rule_that_goes_is_gone(app: &TestApp) {
    put(app, serials()).expect(200);
    create(&app.scim, "/Devices", json!({"serial": "1"}));
    put(app, devices(json!([{"name": "serial"}, {"name": "label"}]))).expect(200);
    let claims = format!("SELECT COUNT(*) FROM resource_unique WHERE {}", here(app));
    assert_eq!(number(app, &claims), 0);
    create(&app.scim, "/Devices", json!({"serial": "1"}));
    api_error(&put(app, serials()), 409, "duplicate_values");
}

fn rule_may_change_what_is_equal(app: &TestApp) {
    let rule = |case_exact: bool| {
        devices(json!([{"name": "serial", "uniqueness": "server", "caseExact": case_exact}]))
    };
    put(app, rule(true)).expect(200);
    for serial in ["a", "A", "b"] {
        create(&app.scim, "/Devices", json!({"serial": serial}));
    }
    let message = api_error(&put(app, rule(false)), 409, "duplicate_values");
    assert!(message.contains("serial \"a\""), "{message}");
    app.scim.post("/Devices", json!({"serial": "A"})).expect_scim_error(409, Some("uniqueness"));
    create(&app.scim, "/Devices", json!({"serial": "B"}));
    let list = app.scim.filter("/Devices", "serial eq \"A\" or serial eq \"B\"");
    for id in list.ids() {
        app.scim.delete(&format!("/Devices/{id}")).expect(204);
    }
    put(app, rule(false)).expect(200);
    app.scim.post("/Devices", json!({"serial": "B"})).expect_scim_error(409, Some("uniqueness"));
    put(app, rule(true)).expect(200);
    create(&app.scim, "/Devices", json!({"serial": "B"}));
    app.scim.post("/Devices", json!({"serial": "b"})).expect_scim_error(409, Some("uniqueness"));
}
