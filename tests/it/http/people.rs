//! People and groups are found in all directories, and a person has a story.

use serde_json::{Value, json};

use super::assert_invalid;
use super::own_schemas::execute;
use crate::on_both_databases;
use crate::support::{TestApp, encode, group, patch, user};
use rollbook::store::people::{Known, Search};
use rollbook::store::{StoreError, Tx};

on_both_databases![
    people_are_found_by_what_they_are_known_by,
    people_are_found_by_their_names_once,
    people_who_were_stored_before_names_were_looked_for_are_found_by_them,
    pages_have_everybody_once,
    limited_keys_find_their_own,
    groups_are_found_by_their_name,
    group_is_shown_with_its_members,
    story_tells_changes_and_who_caused_them,
    deleted_user_has_a_story,
    searches_use_indexes,
];

fn person(name: &str, emails: &[&str], external_id: &str) -> Value {
    let mut body = user(name);
    body["externalId"] = json!(external_id);
    body["emails"] = emails.iter().map(|email| json!({"value": email})).collect();
    body
}

#[track_caller]
fn found(app: &TestApp, query: &str) -> Vec<String> {
    let page = app.api.get(&format!("/api/v1/people?{query}")).expect(200).body;
    let rows = page["data"].as_array().expect("a list").iter();
    rows.map(|row| row["user_name"].as_str().expect("text").to_owned()).collect()
}

fn people_are_found_by_what_they_are_known_by(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    app.scim.post("/Users", person("Ada", &["countess@example.com"], "00uA")).expect(201);
    scim.post("/Users", person("adam", &["x@example.com", "adam@example.com"], "00uB")).expect(201);
    scim.post("/Users", person("zoe", &["adele@example.com"], "ad0")).expect(201);
    assert_eq!(found(app, "q=AD"), ["Ada", "adam", "zoe"]);
    assert_eq!(found(app, "q=countess"), ["Ada"]);
    assert_eq!(found(app, "q=00u"), ["Ada", "adam"]);
    assert_eq!(found(app, "q=00U"), [""; 0], "external ids have letter case");
    assert_eq!(
        found(app, &format!("q=ad&organization_id={}", other.organization_id)),
        ["adam", "zoe"]
    );
    assert_eq!(found(app, "q=ad&organization_id=org_1"), [""; 0]);
    for query in ["q=", "q=%20", &format!("q={}", "a".repeat(257))] {
        assert_invalid(&app.api.get(&format!("/api/v1/people?{query}")), "q");
    }
    assert_invalid(&app.api.get("/api/v1/people?q=a&limit=201"), "limit");
    assert_invalid(&app.api.get("/api/v1/people?q=a&after=nonsense"), "after");
    // What LIKE would read is a character like others.
    assert_eq!(found(app, "q=%25"), [""; 0]);
}

fn people_are_found_by_their_names_once(app: &TestApp) {
    let named = |user_name: &str, shown: Option<&str>, given: &str, family: &str| {
        let mut body = user(user_name);
        body["displayName"] = json!(shown);
        body["name"] = json!({"givenName": given, "familyName": family});
        app.scim.post("/Users", body).expect(201).id()
    };
    let ada = named("u1", Some("Countess Ada"), "Ada", "Lovelace");
    named("u2", Some("Adam Ábel"), "Adam", "Ábel");
    named("love", None, "Grace", "Hopper");
    assert_eq!(found(app, "q=ada"), ["u1", "u2"]);
    assert_eq!(found(app, "q=ada%20l"), ["u1"]);
    assert_eq!(found(app, "q=countess"), ["u1"]);
    assert_eq!(found(app, "q=LOVE"), ["love", "u1"], "a user name comes before a name");
    assert_eq!(found(app, "q=hopper"), ["love"]);
    assert_eq!(found(app, "q=%C3%81bel"), ["u2"]);
    assert_eq!(found(app, "q=race"), [""; 0]);
    let change = json!([{"op": "replace", "path": "name.familyName", "value": "King"}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(change)).expect(200);
    assert_eq!(found(app, "q=lovelace"), [""; 0]);
    assert_eq!(found(app, "q=king"), ["u1"]);
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    assert_eq!(found(app, "q=king"), [""; 0]);
}

fn people_who_were_stored_before_names_were_looked_for_are_found_by_them(app: &TestApp) {
    let (_, scim) = app.directory("scim.okta");
    let named = |n: usize| {
        let mut body = user(&format!("u{n}"));
        body["displayName"] = json!(format!("Person {n}"));
        body
    };
    // More than are named at a time, and another directory behind them.
    (0..205).for_each(|n| drop(app.scim.post("/Users", named(n)).expect(201)));
    scim.post("/Users", named(999)).expect(201);
    let forgotten = "DELETE FROM resource_attr WHERE path_id = 5;";
    // The server has looked when it began, and there was nobody.
    execute(app, &format!("{forgotten} DELETE FROM setting WHERE name = 'person_names'"));
    assert_eq!(found(app, "q=person%20"), [""; 0]);
    app.wait(app.service().name_people()).expect("names");
    assert_eq!(found(app, "q=person%20204"), ["u204"]);
    assert_eq!(found(app, "q=person%20999"), ["u999"]);
    assert_eq!(found(app, "q=person%20&limit=200").len(), 200);
    execute(app, forgotten);
    app.wait(app.service().name_people()).expect("nothing");
    assert_eq!(found(app, "q=person%20"), [""; 0], "it is done once");
}

fn pages_have_everybody_once(app: &TestApp) {
    let (_, scim) = app.directory("scim.okta");
    for n in 0..7 {
        let client = if n % 2 == 0 { &app.scim } else { &scim };
        let address = format!("user{n}@example.com");
        client.post("/Users", person(&format!("user{n}"), &[&address], "user")).expect(201);
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!("/api/v1/people?q=user&limit=2{after}");
        let page = app.api.get(&query).expect(200).body;
        let rows = page["data"].as_array().expect("a list");
        names.extend(rows.iter().map(|row| row["user_name"].clone()));
        let Some(cursor) = page["list_metadata"]["after"].as_str() else { break };
        after = format!("&after={}", encode(cursor));
    }
    assert_eq!(names, ["user0", "user2", "user4", "user6", "user1", "user3", "user5"]);
}

fn limited_keys_find_their_own(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    let mine = app.scim.post("/Users", person("ada", &[], "a")).expect(201).id();
    let theirs = scim.post("/Users", person("adam", &[], "a")).expect(201).id();
    let ids = [&app.directory.organization_id];
    let body = json!({"name": "Limited", "scopes": ["manage"], "organization_ids": ids});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let client = app.api.with_bearer(made.body["secret"].as_str());
    let names = |query: &str| {
        let page = client.get(&format!("/api/v1/people?{query}")).expect(200).body;
        page["data"].as_array().expect("a list").len()
    };
    assert_eq!(names("q=a"), 1);
    assert_eq!(names(&format!("q=a&organization_id={}", other.organization_id)), 0);
    client.get(&format!("/api/v1/people/{mine}/story")).expect(200);
    client.get(&format!("/api/v1/people/{theirs}/story")).expect(404);
}

fn groups_are_found_by_their_name(app: &TestApp) {
    app.scim.post("/Groups", group("Sales", &[])).expect(201);
    app.scim.post("/Groups", group("Support", &[])).expect(201);
    let page = app.api.get("/api/v1/groups?q=sa").expect(200).body;
    assert_eq!(page["data"][0]["name"], "Sales");
    assert_eq!(page["data"].as_array().expect("a list").len(), 1);
}

fn group_is_shown_with_its_members(app: &TestApp) {
    let ids: Vec<String> =
        ["a", "b", "c"].map(|name| app.scim.post("/Users", user(name)).expect(201).id()).into();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let team = app.scim.post("/Groups", group("Team", &members)).expect(201).id();
    let path = format!("/api/v1/groups/{team}");
    let first = app.api.get(&format!("{path}?limit=2")).expect(200).body;
    assert_eq!((&first["group"]["name"], &first["group"]["id"]), (&json!("Team"), &json!(team)));
    let after = first["after"].as_str().expect("there is more");
    let rest = app.api.get(&format!("{path}?limit=2&after={after}")).expect(200).body;
    let both = [&first, &rest].map(|page| page["members"].as_array().expect("a list").clone());
    let mut found: Vec<Value> = both.concat().iter().map(|one| one["id"].clone()).collect();
    found.sort_by_key(Value::to_string);
    let mut ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!((found, &rest["after"]), (ids, &json!(null)));
    app.api.get("/api/v1/groups/directory_group_1").expect(404);
    assert_invalid(&app.api.get(&format!("{path}?limit=501")), "limit");
}

fn story_tells_changes_and_who_caused_them(app: &TestApp) {
    let id = app.scim.post("/Users", person("ada", &["ada@example.com"], "a")).expect(201).id();
    let change = json!([{"op": "replace", "path": "title", "value": "Lead"}]);
    app.scim.patch(&format!("/Users/{id}"), patch(change)).expect(200);
    let team = app.scim.post("/Groups", group("Team", &[&id])).expect(201).id();
    let path = format!("/api/v1/people/{id}/story");
    let story = app.api.get(&path).expect(200).body;
    assert_eq!(story["person"]["user_name"], "ada");
    assert_eq!(story["groups"][0]["id"], json!(team));
    let changes = story["data"].as_array().expect("a list");
    let mut what: Vec<&str> =
        changes.iter().map(|change| change["what"].as_str().expect("text")).collect();
    // The clock stands still, so their order is not told by it.
    what.sort_unstable();
    assert_eq!(what, ["dsync.group.user_added", "dsync.user.created", "dsync.user.updated"]);
    for change in changes {
        assert_eq!(change["by"]["type"], "request", "{change}");
        let request = change["by"]["id"].as_str().expect("an id");
        let directory = &app.directory.id;
        let record = format!("/api/v1/directories/{directory}/requests/{request}");
        let record = app.api.get(&record).expect(200).body;
        assert!(record["event_ids"].to_string().contains(change["id"].as_str().expect("an id")));
    }
    let updated = changes.iter().find(|change| change["what"] == "dsync.user.updated");
    assert_eq!(updated.expect("a change")["after"]["job_title"], "Lead");
    let added = changes.iter().find(|change| change["what"] == "dsync.group.user_added");
    assert_eq!(added.expect("a change")["group"], "Team");
    let first = app.api.get(&format!("{path}?limit=2")).expect(200).body;
    let after = first["list_metadata"]["after"].as_str().expect("a cursor");
    let second = app.api.get(&format!("{path}?limit=2&after={after}")).expect(200).body;
    let (first, second) = (first["data"].as_array(), second["data"].as_array());
    let all = [first.expect("a list").as_slice(), second.expect("a list")].concat();
    assert_eq!(all, *changes);
    app.api.get("/api/v1/people/directory_user_none/story").expect(404);
    app.api.get(&format!("/api/v1/people/{team}/story")).expect(404);
}

fn deleted_user_has_a_story(app: &TestApp) {
    let id = app.scim.post("/Users", person("ada", &[], "a")).expect(201).id();
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    let story = app.api.get(&format!("/api/v1/people/{id}/story")).expect(200).body;
    assert_eq!(story["person"], Value::Null);
    assert_eq!(story["directory_id"], json!(app.directory.id));
    let what: Vec<&Value> =
        story["data"].as_array().expect("a list").iter().map(|change| &change["what"]).collect();
    assert!(what.contains(&&json!("dsync.user.deleted")), "{what:?}");
}

/// However many directories there are, a search goes along their indexes and sorts nothing on SQLite.
fn searches_use_indexes(app: &TestApp) {
    let service = app.service().clone();
    let plans = app.wait(async move {
        let work = move |tx: &mut Tx<'_>| {
            tx.explained(|tx| {
                for known in [
                    Known::UserName,
                    Known::Email,
                    Known::ExternalId,
                    Known::PersonName,
                    Known::Name,
                ] {
                    let resource_type = if known == Known::Name { "Group" } else { "User" };
                    let (prefix, organizations, beyond) = ("a", None, None);
                    let limit = 10;
                    let search =
                        Search { resource_type, known, prefix, organizations, beyond, limit };
                    tx.people_search(&search)?;
                }
                let range = rollbook::store::ListRange {
                    from: rollbook::store::RangeFrom::Newest,
                    limit: 10,
                };
                tx.told_list("directory_user_1", &range)?;
                Ok::<_, StoreError>(())
            })
        };
        service.store.read("explain", work).await
    });
    for plan in plans.expect("plans") {
        let lines = || plan.lines().skip(1);
        // The halves of a story are sorted when each has been cut at the limit.
        let is_story = plan.contains("memberships");
        let sorted = if is_story { "Sort Key: e.data" } else { "TEMP B-TREE FOR ORDER BY" };
        let scan = ["SCAN r", "SCAN e", "Seq Scan on resource", sorted];
        let is_scan = |line: &str| scan.iter().any(|scan| line.contains(scan));
        // An empty table is read as it is on PostgreSQL.
        let is_sqlite = lines().any(|line| line.starts_with("SEARCH"));
        assert!(!is_sqlite || !lines().any(is_scan), "{plan}");
    }
}
