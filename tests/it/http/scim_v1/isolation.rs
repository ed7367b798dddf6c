//! What belongs to one directory is nothing to another, and the key in the path may be left out.

use serde_json::json;

use super::{base_of, client, client_of, group, refused, user};
use crate::http::{assert_nothing_stored, create};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    token_of_another_directory_is_403,
    token_alone_names_the_directory,
    ids_of_another_directory_are_unknown,
];

fn token_of_another_directory_is_403(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let path = format!("/Users/{}", create(&client_of(&other), "/Users", user("eve@example.com")));
    let mut foreign = client(app);
    foreign.bearer = Some(other.token);
    for answer in [
        foreign.get("/Users"),
        foreign.get("/ServiceProviderConfigs"),
        foreign.get(&path),
        foreign.post("/Users", user("ben@example.com")),
        foreign.put(&path, user("ben@example.com")),
        foreign.patch(&path, json!({"active": false})),
        foreign.delete(&path),
        foreign.post("/Bulk", json!({})),
        foreign.get("/Nothing"),
    ] {
        let description = refused(&answer, 403);
        assert!(description.contains("another directory"), "{description}");
    }
    assert_nothing_stored(app);
}

fn token_alone_names_the_directory(app: &TestApp) {
    let (other, _) = app.directory("scim.generic");
    let mut bare = client_of(&other);
    bare.base = format!("{}/scim/v1", app.url);
    let made = bare.post("/Users", user("eve@example.com")).expect(201);
    let location = format!("{}/Users/{}", base_of(&other), made.id());
    assert_eq!(made.header("location"), Some(location.as_str()));
    assert_eq!(bare.get("/Users").total(), 1);
    assert_nothing_stored(app);
}

fn ids_of_another_directory_are_unknown(app: &TestApp) {
    let (other, _) = app.directory("scim.generic");
    let theirs = client_of(&other);
    let eve = create(&theirs, "/Users", user("eve@example.com"));
    let staff = create(&theirs, "/Groups", group("Staff", &[&eve]));
    let told = app.events(&other).len();
    let scim = client(app);
    for (path, body) in [
        (format!("/Users/{eve}"), user("eve@example.com")),
        (format!("/Groups/{staff}"), group("Staff", &[])),
    ] {
        for answer in [
            scim.get(&path),
            scim.put(&path, body),
            scim.patch(&path, json!({"displayName": "x"})),
            scim.delete(&path),
        ] {
            refused(&answer, 404);
        }
        theirs.get(&path).expect(200);
    }
    assert_eq!(scim.filter("/Users", &format!("id eq \"{eve}\" or userName pr")).total(), 0);
    refused(&scim.post("/Groups", group("Mine", &[&eve])), 400);
    assert_nothing_stored(app);
    let mine = format!("/Groups/{}", create(&scim, "/Groups", group("Mine", &[])));
    let description = refused(&scim.patch(&mine, json!({"members": [{"value": eve}]})), 400);
    assert!(description.contains(&eve), "{description}");
    // A member that is somewhere else is no member here.
    scim.patch(&mine, json!({"members": [{"value": eve, "operation": "delete"}]})).expect(200);
    assert_eq!(app.events(&other).len(), told);
    assert_eq!(
        theirs.get(&format!("/Groups/{staff}")).expect(200).body["members"][0]["value"],
        eve
    );
}
