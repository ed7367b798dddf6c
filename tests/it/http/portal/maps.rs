//! Attributes with suggestions, and roles by groups.

use serde_json::json;

use super::{enter, led, page};
use crate::http::USER;
use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![
    suggested_attribute_is_tried_and_put,
    faulty_expression_is_told_beside_its_field,
    suggestions_stand_first_or_it_is_said_why_there_are_none,
    group_gives_a_role,
];

fn suggested_attribute_is_tried_and_put(app: &TestApp) {
    let mut ada = user("ada@example.com");
    ada["title"] = json!("Engineer <1>");
    app.scim.post("/Users", ada).expect(201);
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}/attributes", app.directory.id);
    let text = page(browser.get(&at), 200);
    assert!(text.contains("value=\"job_title=\""), "{text}");
    assert!(text.contains("Engineer &#60;1&#62;") && text.contains("1 of 1 have it"), "{text}");
    let chosen = [("proof", &*proof), ("suggestion", "job_title="), ("do", "preview")];
    let text = page(browser.post(&at, &chosen), 200);
    assert!(
        text.contains("What would come of it") && text.contains("job_title: Engineer"),
        "{text}"
    );
    let map = format!("/api/v1/directories/{}/attribute_map", app.directory.id);
    assert_eq!(app.api.get(&map).expect(200).body["attributes"], json!({}), "nothing is put yet");
    let fields = [("name", "job_title"), ("expression", ""), ("required", "0"), ("do", "save")];
    led(&browser, &proof, &at, &fields);
    let put = app.api.get(&map).expect(200).body;
    assert_eq!(put["attributes"]["job_title"]["required"], true);
}

fn faulty_expression_is_told_beside_its_field(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}/attributes", app.directory.id);
    let fields = [
        ("proof", &*proof),
        ("name", "a"),
        ("expression", "raw.title +"),
        ("name", "b"),
        ("expression", "raw.b"),
        ("do", "save"),
    ];
    let text = page(browser.post(&at, &fields), 422);
    assert_eq!(text.matches("class=\"fault\"").count(), 1, "{text}");
    assert!(text.contains("value=\"raw.title +\"") && text.contains("value=\"raw.b\""), "{text}");
}

fn suggestions_stand_first_or_it_is_said_why_there_are_none(app: &TestApp) {
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}/attributes", app.directory.id);
    let text = page(browser.get(&at), 200);
    assert!(text.contains("Nothing can be suggested yet"), "{text}");
    app.scim.post("/Users", json!({"schemas": [USER], "userName": "ada"})).expect(201);
    let text = page(browser.get(&at), 200);
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
    assert!(place("value=\"username=\"") < place("id=\"name-0\""), "{text}");
    assert!(!text.contains("Nothing can be suggested yet"), "{text}");
    let put = json!({"attributes": {"username": {}}});
    let map = format!("/api/v1/directories/{}/attribute_map", app.directory.id);
    app.api.put(&map, put).expect(200);
    let text = page(browser.get(&at), 200);
    assert!(text.contains("Nothing more is suggested"), "{text}");
}

fn group_gives_a_role(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let sales = app.scim.post("/Groups", group("Sales", &[&ada])).expect(201).id();
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}/roles", app.directory.id);
    let who = format!("group:{sales}");
    let text = page(browser.get(&at), 200);
    assert!(text.contains(&format!("value=\"{who}\"")), "{text}");
    let fields =
        |verb| [("who", &*who), ("role", "seller"), ("default_role", "guest"), ("do", verb)];
    let sent = [&[("proof", &*proof)], &fields("preview")[..]].concat();
    let text = page(browser.post(&at, &sent), 200);
    assert!(text.contains("ada@example.com") && text.contains("seller<br>"), "{text}");
    led(&browser, &proof, &at, &fields("save"));
    let map = format!("/api/v1/directories/{}/role_map", app.directory.id);
    let put = app.api.get(&map).expect(200).body;
    assert_eq!((&put["rules"][0]["group"], &put["default_role"]), (&json!(sales), &json!("guest")));
    let wrong = [("proof", &*proof), ("who", &*who), ("role", "Not A Slug"), ("do", "save")];
    assert!(page(browser.post(&at, &wrong), 422).contains("a slug has"));
}
