//! Lists, filters, and who is told of identities.

use serde_json::{Value, json};

use super::Company;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    identities_are_paged_and_filtered,
    only_native_readers_are_told,
    keys_of_other_organizations_see_nothing,
    decisions_are_counted,
];

fn identities_are_paged_and_filtered(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let users: Vec<String> =
        (0..5).map(|n| offices[0].hire(&format!("u{n}"), &format!("u{n}@example.com"))).collect();
    offices[1].hire("other", "other@example.com");
    offices[0].set(&users[1], "active", json!(false));
    let ids = |rest: &str| -> Vec<String> {
        let rows = company.list(&format!("identities?{rest}")).into_iter();
        rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    };
    let all = ids("");
    assert_eq!(all.len(), 6);
    let mut sorted = all.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    assert_eq!(all, sorted, "newest first");
    let mut walked = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("{}/identities?limit=4{after}", company.path);
        let page = app.api.get(&path).expect(200).body;
        let rows = page["data"].as_array().expect("a page").iter();
        walked.extend(rows.map(|row| row["id"].as_str().expect("an id").to_owned()));
        match page["list_metadata"]["after"].as_str() {
            Some(id) => after = format!("&after={id}"),
            None => break,
        }
    }
    assert_eq!(walked, all);
    assert_eq!(ids("state=inactive").len(), 1);
    assert_eq!(ids("state=active").len(), 5);
    assert_eq!(ids("email=U3%40EXAMPLE.com").len(), 1);
    assert_eq!(ids(&format!("user_id={}", users[2])), [company.of(&users[2])["id"].clone()]);
    assert_eq!(ids(&format!("directory_id={}", offices[1].id)).len(), 1);
    assert_eq!(ids(&format!("directory_id={}&state=inactive", offices[1].id)).len(), 0);
    for (query, status) in [
        ("state=merged", 422),
        ("state=gone", 422),
        ("limit=501", 422),
        ("directory_id=directory_1", 404),
    ] {
        app.api.get(&format!("{}/identities?{query}", company.path)).expect(status);
    }
    app.api.get(&format!("{}/identities/identity_1", company.path)).expect(404);
}

fn only_native_readers_are_told(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    for n in 0..30 {
        offices[n % 2].hire(&format!("u{n}"), &format!("u{}@example.com", n / 2));
    }
    assert_eq!(company.told().len(), 30);
    let walk = |rest: &str| -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/events?organization_id={}&limit=7{rest}{after}", company.id);
            let page = app.api.get(&path).expect(200).body;
            let rows = page["data"].as_array().expect("a page").iter();
            names.extend(rows.map(|row| row["event"].as_str().expect("a name").to_owned()));
            match page["list_metadata"]["after"].as_str() {
                Some(id) => after = format!("&after={id}"),
                None => return names,
            }
        }
    };
    let created = walk("&events=dsync.user.created").len();
    assert_eq!(created, 30);
    for order in ["", "&order=desc"] {
        let names = walk(order);
        // Of each directory that it was activated and its token.
        assert_eq!(names.len(), 34, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("dsync.")));
    }
    assert_eq!(walk("&events=rollbook.identity.created"), Vec::<String>::new());
    let native = |rest: &str| app.api.get(&format!("/api/v1/events?{rest}"));
    let page = native("events=rollbook.identity.updated").expect(200).body;
    assert_eq!(page["data"].as_array().map(Vec::len), Some(15));
    let refused = native("events=rollbook.identity.lost").expect(422);
    assert!(refused.text.contains("rollbook.identity.ended"), "{}", refused.text);
    native("events=dsync.user.lost").expect(422);
}

fn keys_of_other_organizations_see_nothing(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 1);
    offices[0].hire("ada", "a@example.com");
    let key = |organization: &str, scopes: Value| {
        let body = json!({"name": "k", "scopes": scopes, "organization_ids": [organization]});
        let made = app.api.post("/api/v1/api_keys", body).expect(201).body;
        app.api.with_bearer(Some(made["secret"].as_str().expect("a secret")))
    };
    let stranger = key(&app.directory.organization_id, json!(["manage", "read"]));
    let reader = key(&company.id, json!(["read"]));
    for part in ["identities", "identity_suggestions", "orphaned_access", "primary_directory"] {
        let path = format!("{}/{part}", company.path);
        stranger.get(&path).expect(404);
        reader.get(&path).expect(200);
    }
    let path = format!("{}/primary_directory", company.path);
    reader.put(&path, json!({"directory_id": null})).expect(403);
    stranger.put(&path, json!({"directory_id": null})).expect(404);
    app.settle_events();
    let events = stranger.get("/api/v1/events?limit=1000").expect(200);
    assert!(!events.text.contains("rollbook.identity"));
}

fn decisions_are_counted(app: &TestApp) {
    let company = Company::new(app);
    let offices: Vec<_> = (0..2).map(|_| company.office("scim.generic")).collect();
    offices[0].hire("Ada Lane", "a@example.com");
    company.primary(None);
    offices[1].hire("Ada Lane", "b@example.com");
    let id = company.decide_only("accept");
    company.decide(&id, "undo", 200);
    let metrics = app.api.get("/metrics").expect(200).text;
    for line in [
        "rollbook_identity_accounts_linked_total 1",
        "rollbook_identity_decisions_total{decision=\"accept\"} 1",
        "rollbook_identity_decisions_total{decision=\"undo\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}
