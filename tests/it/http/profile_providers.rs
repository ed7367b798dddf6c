//! The flags that each provider's profile sets, seen from outside; a generic directory behaves
//! otherwise.

use serde_json::{Value, json};

use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Client, ENTERPRISE, TestApp, group};

on_both_databases![
    every_provider_has_a_kind_and_shows_its_profile,
    group_names_are_unique_where_groups_are_looked_up_by_name,
    unquoted_filter_values_are_text_for_clients_that_leave_the_quotation_marks_out,
    negative_count_is_the_largest_page_for_pingfederate,
    onelogin_sends_the_early_names_of_schemas,
    google_users_get_a_display_name_and_an_address,
    keycloak_groups_wait_for_their_members,
    authentik_sees_no_bulk_and_patches_in_chunks,
    legacy_group_schema_of_microsoft_is_passed_over_everywhere,
];

const PROVIDERS: [&str; 12] = [
    "authentik",
    "cyberark",
    "entra",
    "google",
    "jumpcloud",
    "keycloak",
    "okta",
    "onelogin",
    "oracle",
    "pingfederate",
    "pingone",
    "rippling",
];

/// Asks every provider's directory and a generic one; `special` are those where it holds.
#[track_caller]
fn holds_for(app: &TestApp, special: &[&str], holds: impl Fn(&Client) -> bool) {
    for provider in PROVIDERS.iter().chain(&["generic", "default", "rfc"]) {
        let (_, client) = app.directory(&format!("scim.{provider}"));
        assert_eq!(holds(&client), special.contains(provider), "{provider}");
    }
}

fn every_provider_has_a_kind_and_shows_its_profile(app: &TestApp) {
    for provider in PROVIDERS {
        let (directory, _) = app.directory(&format!("scim.{provider}"));
        let shown = app.api.get(&format!("/api/v1/directories/{}/profile", directory.id));
        assert_eq!(shown.expect(200).body["provider"], provider);
    }
}

fn group_names_are_unique_where_groups_are_looked_up_by_name(app: &TestApp) {
    let by_name = ["entra", "okta", "onelogin", "pingfederate", "pingone"];
    holds_for(app, &by_name, |client| {
        create(client, "/Groups", group("Staff", &[]));
        let second = client.post("/Groups", group("staff", &[]));
        assert!([201, 409].contains(&second.status), "{}", second.text);
        second.status == 409
    });
}

fn unquoted_filter_values_are_text_for_clients_that_leave_the_quotation_marks_out(app: &TestApp) {
    holds_for(app, &["authentik", "entra", "pingfederate"], |client| {
        for name in ["ada@example.com", "1042", "true", "null"] {
            create(client, "/Users", plain_user(name));
        }
        let found = ["ada@example.com", "1042", "true", "null"].map(|name| {
            let list = client.filter("/Users", &format!("userName eq {name}"));
            if list.status == 200 {
                assert!(texts(&list, "userName").is_empty() || texts(&list, "userName") == [name]);
                return list.total() == 1;
            }
            list.expect_scim_error(400, Some("invalidFilter"));
            false
        });
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        found[0]
    });
}

fn negative_count_is_the_largest_page_for_pingfederate(app: &TestApp) {
    holds_for(app, &["pingfederate"], |client| {
        create(client, "/Groups", group("Staff", &[]));
        let list = client.get("/Groups?startIndex=1&count=-1");
        assert_eq!(list.total(), 1);
        assert_eq!(list.body["itemsPerPage"], list.ids().len());
        list.ids().len() == 1
    });
}

fn onelogin_sends_the_early_names_of_schemas(app: &TestApp) {
    const EARLY: &str = "urn:scim:schemas:extension:enterprise:2.0";
    let body = json!({
        "schemas": ["urn:scim:schemas:core:2.0", EARLY],
        "userName": "ada@example.com",
        "emails": {"value": "ada@example.com", "type": "work"},
        EARLY: {"department": "Research", "manager": {"value": "m1"}},
    });
    let read = |answer: &Value| {
        let ours = &answer[ENTERPRISE];
        assert!(
            ours.is_null()
                || *ours
                    == json!({"department": "Research",
            "manager": {"value": "m1"}}),
            "{answer}"
        );
        assert_eq!(answer["schemas"][0], USER);
        ours.is_object()
    };
    for (provider, expected) in [("onelogin", true), ("generic", false), ("okta", false)] {
        let (_, client) = app.directory(&format!("scim.{provider}"));
        let made = client.post("/Users", body.clone()).expect(201);
        assert_eq!(read(&made.body), expected, "{provider}");
        let put = client.put(&format!("/Users/{}?", made.id()), body.clone()).expect(200);
        assert_eq!(read(&put.body), expected, "{provider}");
        assert_eq!(put.body["emails"], json!([{"value": "ada@example.com", "type": "work"}]));
    }
}

fn google_users_get_a_display_name_and_an_address(app: &TestApp) {
    let mut body = plain_user("ada@example.com");
    body["name"] = json!({"givenName": "Ada", "familyName": "Lane"});
    for (kind, display_name, email) in [
        ("scim.google", json!("Ada Lane"), json!("ada@example.com")),
        ("scim.generic", json!(null), json!(null)),
    ] {
        let (directory, client) = app.directory(kind);
        let made = client.post("/Users", body.clone()).expect(201);
        assert_eq!(made.body["displayName"], display_name, "{kind}");
        let event = app.events(&directory).pop().expect("an event").1;
        assert_eq!(event["email"], email, "{kind}");
        // The name that is replaced brings its displayName along; a given one stays.
        let mut married = body.clone();
        married["name"]["familyName"] = json!("Hill");
        let path = format!("/Users/{}", made.id());
        let put = client.put(&path, married.clone()).expect(200);
        let expected = if display_name.is_null() { json!(null) } else { json!("Ada Hill") };
        assert_eq!(put.body["displayName"], expected, "{kind}");
        married["displayName"] = json!("A. Hill");
        let put = client.put(&path, married).expect(200);
        assert_eq!(put.body["displayName"], "A. Hill", "{kind}");
    }
}

fn keycloak_groups_wait_for_their_members(app: &TestApp) {
    let (directory, client) = app.directory("scim.keycloak");
    let made = client.post("/Groups", group("Staff", &["kc-user-1"])).expect(201);
    assert_eq!(made.body["members"], json!(null));
    let waiting = app.api.get(&format!("/api/v1/directories/{}/pending_members", directory.id));
    assert_eq!(waiting.expect(200).body["data"][0]["value"], "kc-user-1");
    let mut body = plain_user("ada");
    body["externalId"] = json!("kc-user-1");
    let id = create(&client, "/Users", body);
    let shown = client.get(&format!("/Groups/{}", made.id())).expect(200);
    assert_eq!(shown.body["members"][0]["value"], id);
    let answer = app.scim.post("/Groups", group("Staff", &["kc-user-1"]));
    answer.expect_scim_error(400, Some("invalidValue"));
}

fn authentik_sees_no_bulk_and_patches_in_chunks(app: &TestApp) {
    holds_for(app, &["authentik"], |client| {
        let bulk = client.get("/ServiceProviderConfig").expect(200).body["bulk"].clone();
        // The number is the size of its chunks; below one it would send none.
        assert!(bulk["maxOperations"].as_u64().is_some_and(|n| n >= 1), "{bulk}");
        bulk["supported"] == false
    });
}

fn legacy_group_schema_of_microsoft_is_passed_over_everywhere(app: &TestApp) {
    const LEGACY: &str = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";
    for provider in PROVIDERS.iter().chain(&["generic"]) {
        let (_, client) = app.directory(&format!("scim.{provider}"));
        let mut body = group("Staff", &[]);
        body["schemas"] = json!(["urn:ietf:params:scim:schemas:core:2.0:Group", LEGACY]);
        let made = client.post("/Groups", body).expect(201);
        let expected = json!(["urn:ietf:params:scim:schemas:core:2.0:Group"]);
        assert_eq!(made.body["schemas"], expected, "{provider}");
    }
}
