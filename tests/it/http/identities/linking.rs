//! Which accounts are one person.

use std::time::Duration;

use serde_json::json;

use super::Company;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    accounts_with_one_verified_address_are_one_person,
    others_are_only_suggested,
    account_that_comes_later_to_the_primary_directory_is_suggested,
    change_of_an_address_moves_no_link,
    ended_identity_is_never_matched_again,
    hidden_user_comes_back_as_the_same_person,
    departed_user_keeps_the_identity_until_the_grace_is_over,
    organizations_are_kept_apart,
    departed_user_is_matched_with_nobody,
    hidden_user_lets_an_address_go,
    address_of_whom_the_brake_holds_is_nobodys,
    users_of_one_directory_are_only_suggested,
    identity_has_fifty_accounts_at_most,
    no_identity_without_the_switch,
];

fn accounts_with_one_verified_address_are_one_person(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let ada = offices[0].hire("ada", "Ada@Example.com");
    let lane = offices[1].hire("lane", "ada@example.COM");
    let third = offices[2].hire("third", "ADA@EXAMPLE.COM");
    assert!(company.are_one(&ada, &lane) && company.are_one(&ada, &third));
    let identity = company.of(&ada);
    assert_eq!(identity["state"], "active");
    let links: Vec<(&str, &str)> = identity["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .map(|a| (a["email"].as_str().expect("text"), a["linked_by"].as_str().expect("text")))
        .collect();
    let expected =
        [("Ada@Example.com", "first"), ("ada@example.COM", "email"), ("ADA@EXAMPLE.COM", "email")];
    assert_eq!(links, expected);
    for name in ["title", "department", "phone", "start_date", "end_date"] {
        assert!(identity[name].is_null() && identity.get(name).is_some(), "{name}");
    }
    assert!(company.suggestions().is_empty());
    let names: Vec<String> = company.told().into_iter().map(|(name, _)| name).collect();
    let updated = "rollbook.identity.updated";
    assert_eq!(names, ["rollbook.identity.created", updated, updated]);
    // Active while any of them is.
    offices[0].set(&ada, "active", json!(false));
    offices[1].set(&lane, "active", json!(false));
    assert_eq!(company.of(&ada)["state"], "active");
    offices[2].set(&third, "active", json!(false));
    assert_eq!(company.of(&ada)["state"], "inactive");
    let (_, last) = company.told().pop().expect("an event");
    assert_eq!(last["previous_attributes"]["state"], "active");
    assert_eq!(last["previous_attributes"]["accounts"][2]["state"], "active");
    assert_eq!(last["previous_attributes"].as_object().map(serde_json::Map::len), Some(2));
}

fn others_are_only_suggested(app: &TestApp) {
    for (first, second, reason) in [
        // A domain that is pending, and one that is unknown.
        (("ada", "a@example.org"), ("lane", "a@example.org"), Some("email")),
        (("ada", "a@elsewhere.test"), ("lane", "a@elsewhere.test"), Some("email")),
        // A name is no proof.
        (("Ada Lane", "a@example.com"), ("ada lane", "b@example.com"), Some("name")),
        (("Ada Lane", ""), ("ADA LANE ", ""), Some("name")),
        (("ada", "a@example.com"), ("lane", "b@example.com"), None),
        (("ada", "a@example.com"), ("lane", "a@sub.example.com"), None),
    ] {
        let (company, offices) = Company::keeping(app, 2);
        let a = offices[0].hire(first.0, first.1);
        let b = offices[1].hire(second.0, second.1);
        assert!(!company.are_one(&a, &b), "{first:?} {second:?}");
        let other = company.of(&a)["id"].as_str().expect("an id").to_owned();
        let expected: Vec<_> =
            reason.map(|reason| (b.clone(), other, reason.to_owned())).into_iter().collect();
        assert_eq!(company.suggestions(), expected, "{first:?} {second:?}");
    }
    // Two identities have the address.
    let (company, offices) = Company::keeping(app, 3);
    let a = offices[0].hire("ada", "a@example.com");
    let b = offices[1].hire("lane", "b@example.com");
    offices[1].set(&b, "emails", json!([{"value": "a@example.com", "primary": true}]));
    let c = offices[2].hire("third", "a@example.com");
    assert!(!company.are_one(&c, &a) && !company.are_one(&c, &b));
    let of_c = company.suggestions().into_iter().filter(|(user, ..)| *user == c);
    assert_eq!(of_c.count(), 2);
    // The change of the address suggested the one that had it before.
    assert!(company.suggestions().iter().any(|(user, ..)| *user == b));
}

fn account_that_comes_later_to_the_primary_directory_is_suggested(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    company.primary(Some(&offices[0]));
    // The other account is in the primary directory.
    let ada = offices[0].hire("ada", "a@example.com");
    let lane = offices[1].hire("lane", "a@example.com");
    assert!(company.are_one(&ada, &lane));
    // Neither is.
    let ben = offices[1].hire("ben", "b@example.com");
    let also = offices[2].hire("also", "b@example.com");
    assert!(company.are_one(&ben, &also));
    // Only the one that arrives is: whoever was there before may be anybody.
    let late = offices[0].hire("late", "b@example.com");
    assert!(!company.are_one(&late, &ben));
    let other = company.of(&ben)["id"].as_str().expect("an id").to_owned();
    assert_eq!(company.suggestions(), [(late, other, "email".to_owned())]);
}

fn change_of_an_address_moves_no_link(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let ada = offices[0].hire("ada", "a@example.com");
    let lane = offices[1].hire("lane", "a@example.com");
    let ben = offices[0].hire("ben", "b@example.com");
    let identity = company.of(&ada)["id"].clone();
    for address in ["b@example.com", "c@example.com", "a@example.com"] {
        offices[1].set(&lane, "emails", json!([{"value": address, "primary": true}]));
        assert_eq!(company.of(&lane)["id"], identity, "{address}");
    }
    assert!(!company.are_one(&lane, &ben));
}

fn ended_identity_is_never_matched_again(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let ada = offices[0].hire("ada", "a@example.com");
    let lane = offices[1].hire("lane", "a@example.com");
    let identity = company.of(&ada)["id"].as_str().expect("an id").to_owned();
    let alias = json!({"email": "other@example.org"});
    app.api.post(&format!("{}/identities/{identity}/aliases", company.path), alias).expect(201);
    offices[0].dismiss(&ada);
    assert_eq!(company.of(&lane)["accounts"].as_array().map(Vec::len), Some(1));
    offices[1].dismiss(&lane);
    let shown = app.api.get(&format!("{}/identities/{identity}", company.path)).expect(200).body;
    assert_eq!((&shown["state"], &shown["accounts"]), (&json!("ended"), &json!([])));
    assert_eq!(company.told().last().expect("events").0, "rollbook.identity.ended");
    assert_eq!(company.list("identities"), Vec::<serde_json::Value>::new());
    assert_eq!(company.list("identities?state=ended").len(), 1);
    // Somebody else has the address now, or the one that was confirmed.
    let next = offices[0].hire("next", "a@example.com");
    assert_ne!(company.of(&next)["id"], identity.as_str());
    let other = offices[0].hire("other", "other@example.org");
    assert_ne!(company.of(&other)["id"], identity.as_str());
    assert!(company.suggestions().is_empty());
}

fn hidden_user_comes_back_as_the_same_person(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let path = format!("/api/v1/directories/{}", offices[0].id);
    app.api.patch(&path, json!({"settings": {"inactive_users": "delete"}})).expect(200);
    let ada = offices[0].hire("ada", "a@example.com");
    let identity = company.of(&ada)["id"].clone();
    offices[0].set(&ada, "active", json!(false));
    assert_eq!(
        (&company.of(&ada)["id"], &company.of(&ada)["state"]),
        (&identity, &json!("inactive"))
    );
    offices[0].set(&ada, "active", json!(true));
    assert_eq!(
        (&company.of(&ada)["id"], &company.of(&ada)["state"]),
        (&identity, &json!("active"))
    );
    // One who goes while hidden goes for good.
    offices[0].set(&ada, "active", json!(false));
    offices[0].dismiss(&ada);
    assert_eq!(company.with_email("a@example.com").len(), 0);
    assert_eq!(company.told().last().expect("events").0, "rollbook.identity.ended");
}

fn departed_user_keeps_the_identity_until_the_grace_is_over(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 1);
    let path = format!("/api/v1/directories/{}", offices[0].id);
    app.api.patch(&path, json!({"settings": {"grace_period": "1h"}})).expect(200);
    let ada = offices[0].hire("ada", "a@example.com");
    offices[0].dismiss(&ada);
    assert_eq!(company.of(&ada)["state"], "inactive");
    app.clock.advance(Duration::from_secs(3_600));
    app.apply_policies();
    assert_eq!(company.with_email("a@example.com").len(), 0);
    assert_eq!(company.list("identities?state=ended").len(), 1);
}

fn organizations_are_kept_apart(app: &TestApp) {
    let (one, first) = Company::keeping(app, 1);
    let (other, second) = Company::keeping(app, 1);
    let ada = first[0].hire("ada", "a@example.com");
    let lane = second[0].hire("ada", "a@example.com");
    assert_ne!(one.of(&ada)["id"], other.of(&lane)["id"]);
    assert_eq!((one.suggestions(), other.suggestions()), (vec![], vec![]));
    assert_eq!(one.list(&format!("identities?user_id={lane}")), Vec::<serde_json::Value>::new());
}

fn departed_user_is_matched_with_nobody(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    let path = format!("/api/v1/directories/{}", offices[0].id);
    app.api.patch(&path, json!({"settings": {"delete": "deactivate"}})).expect(200);
    let ada = offices[0].hire("ada", "a@example.com");
    let left = offices[1].hire("left", "a@example.com");
    let ben = offices[0].hire("ben", "b@example.com");
    offices[0].dismiss(&ada);
    offices[0].dismiss(&ben);
    assert_eq!(company.of(&left)["state"], "inactive");
    assert_eq!(company.list("orphaned_access").len(), 1);
    // Somebody else has the address now, and nothing of hers becomes theirs.
    let next = offices[0].hire("next", "a@example.com");
    assert!(!company.are_one(&next, &left) && !company.are_one(&next, &ada));
    assert_eq!(company.list("orphaned_access")[0]["user_id"], left.as_str());
    // Of one who has left nothing else behind nobody is reminded.
    let other = offices[1].hire("other", "b@example.com");
    assert!(!company.are_one(&other, &ben));
    assert_eq!(company.of(&other)["state"], "active");
    assert!(company.suggestions().iter().all(|(user, ..)| *user == next));
    assert_eq!(company.with_email("b@example.com").len(), 2, "it is still shown");
}

fn hidden_user_lets_an_address_go(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let path = format!("/api/v1/directories/{}", offices[0].id);
    app.api.patch(&path, json!({"settings": {"inactive_users": "delete"}})).expect(200);
    let ada = offices[0].hire("ada", "a@example.com");
    offices[0].set(&ada, "active", json!(false));
    offices[0].set(&ada, "emails", json!([{"value": "a-old@example.com", "primary": true}]));
    assert_eq!(company.of(&ada)["accounts"][0]["email"], "a-old@example.com");
    let next = offices[1].hire("next", "a@example.com");
    assert!(!company.are_one(&next, &ada));
    assert_eq!(company.of(&next)["state"], "active");
}

fn users_of_one_directory_are_only_suggested(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let first = offices[0].hire("first", "noreply@example.com");
    let second = offices[0].hire("second", "noreply@example.com");
    assert!(!company.are_one(&first, &second));
    let other = company.of(&first)["id"].as_str().expect("an id").to_owned();
    assert_eq!(company.suggestions(), [(second.clone(), other, "email".to_owned())]);
    let third = offices[1].hire("third", "noreply@example.com");
    assert!(!company.are_one(&third, &first) && !company.are_one(&third, &second));
}

fn identity_has_fifty_accounts_at_most(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 1);
    let ada = offices[0].hire("ada", "a@example.com");
    let identity = company.of(&ada)["id"].as_str().expect("an id").to_owned();
    let alias = json!({"email": "noreply@elsewhere.test"});
    app.api.post(&format!("{}/identities/{identity}/aliases", company.path), alias).expect(201);
    let users: Vec<String> = (0..50)
        .map(|n| offices[0].hire(&format!("service-{n}"), "noreply@elsewhere.test"))
        .collect();
    assert_eq!(company.of(&ada)["accounts"].as_array().map(Vec::len), Some(50));
    assert!(company.are_one(&ada, &users[48]) && !company.are_one(&ada, &users[49]));
}

fn no_identity_without_the_switch(app: &TestApp) {
    let company = Company::new(app);
    let office = company.office("scim.generic");
    office.hire("ada", "a@example.com");
    for path in ["identities", "identities/identity_1", "identity_suggestions", "orphaned_access"] {
        let refused = app.api.get(&format!("{}/{path}", company.path)).expect(409);
        assert_eq!(refused.body["code"], "identities_off", "{path}");
        assert!(refused.body["message"].as_str().expect("text").contains("primary_directory"));
    }
    let state = app.api.get(&format!("{}/primary_directory", company.path)).expect(200).body;
    assert_eq!((&state["identities"], &state["directory_id"]), (&json!("off"), &json!(null)));
    assert!(company.told().is_empty());
}

/// What has become of a user waits to be told, and so does the identity: meanwhile the address proves nothing.
fn address_of_whom_the_brake_holds_is_nobodys(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    let gone: Vec<String> =
        ["a", "b", "c"].map(|name| offices[0].hire(name, &format!("{name}@example.com"))).into();
    let brake = format!("/api/v1/directories/{}/brake", offices[0].id);
    let limit = json!({"at_least": 1, "more_than": 1, "percent": 100});
    let settings = json!({"mode": "hold", "limits": {"users": limit, "memberships": limit}});
    app.api.put(&brake, settings).expect(200);
    gone.iter().for_each(|user| offices[0].dismiss(user));
    assert_eq!(company.of(&gone[2])["state"], "active", "nobody was told yet");
    // Somebody else has the address by now.
    let new = offices[1].hire("new", "c@example.com");
    assert!(!company.are_one(&gone[2], &new));
    app.api.post(&format!("{brake}/release"), json!({})).expect(200);
    assert_eq!(company.of(&new)["accounts"].as_array().map(Vec::len), Some(1));
}
