//! The primary directory: what it says of a person, and what another one would change.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Company, steady};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, patch};

on_both_databases![
    primary_directory_gives_state_and_profile,
    who_is_gone_from_the_primary_directory_is_inactive,
    another_primary_directory_is_shown_before_it_counts,
    there_is_one_primary_directory_at_most,
    primary_directory_is_not_deleted_unseen,
    directory_that_goes_takes_its_accounts_along,
    directory_that_is_being_deleted_has_nobodys_address,
    directories_that_issue_no_tokens_are_named,
    wrong_choices_are_refused,
];

fn orphans(company: &Company<'_>) -> Vec<String> {
    let rows = company.list("orphaned_access").into_iter();
    rows.map(|row| row["user_id"].as_str().expect("an id").to_owned()).collect()
}

fn primary_directory_gives_state_and_profile(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    let ada = offices[0].hire("ada", "a@example.com");
    let ops = json!([
        {"op": "add", "path": "title", "value": "Lead"},
        {"op": "add", "path": format!("{ENTERPRISE}:department"), "value": "Lab"},
        {"op": "add", "path": "phoneNumbers", "value": [{"value": "+1", "type": "work"}]},
    ]);
    offices[0].scim.patch(&format!("/Users/{ada}"), patch(ops)).expect(200);
    let lane = offices[1].hire("lane", "a@example.com");
    offices[1].set(&lane, "title", json!("Nobody"));
    let identity = company.of(&lane);
    for (name, value) in [("title", "Lead"), ("department", "Lab"), ("phone", "+1")] {
        assert_eq!(identity[name], value, "{name}");
    }
    assert_eq!(orphans(&company), Vec::<String>::new());
    // Whoever is inactive there is inactive; what stays active elsewhere is shown, and left alone.
    offices[0].set(&ada, "active", json!(false));
    assert_eq!(company.of(&lane)["state"], "inactive");
    assert_eq!(orphans(&company), [lane.as_str()]);
    let user = offices[1].scim.get(&format!("/Users/{lane}")).expect(200);
    assert_ne!(user.body["active"], false);
    offices[1].set(&lane, "active", json!(false));
    assert_eq!(orphans(&company), Vec::<String>::new());
    offices[0].set(&ada, "active", json!(true));
    assert_eq!(company.of(&lane)["state"], "active");
}

fn who_is_gone_from_the_primary_directory_is_inactive(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    let ada = offices[0].hire("ada", "a@example.com");
    let lane = offices[1].hire("lane", "a@example.com");
    let alone = offices[1].hire("alone", "b@example.com");
    offices[0].dismiss(&ada);
    let identity = company.of(&lane);
    assert_eq!((&identity["state"], &identity["title"]), (&json!("inactive"), &Value::Null));
    assert_eq!(orphans(&company), [lane.as_str()]);
    assert_eq!(company.of(&alone)["state"], "active", "the primary directory never knew this one");
    // It stays so when something else changes.
    offices[1].set(&lane, "title", json!("Clerk"));
    assert_eq!(company.of(&lane)["state"], "inactive");
    company.primary(None);
    assert_eq!(company.of(&lane)["state"], "active");
    // Whoever goes while another directory is the primary one is gone there all the same.
    let ben = offices[0].hire("ben", "c@example.com");
    let moor = offices[1].hire("moor", "c@example.com");
    company.primary(Some(&offices[1]));
    offices[0].dismiss(&ben);
    assert_eq!(company.of(&moor)["state"], "active");
    company.primary(Some(&offices[0]));
    assert_eq!(company.of(&moor)["state"], "inactive");
}

fn another_primary_directory_is_shown_before_it_counts(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    let ada = offices[0].hire("ada", "a@example.com");
    let lane = offices[1].hire("lane", "a@example.com");
    offices[0].set(&ada, "title", json!("Lead"));
    offices[1].set(&lane, "title", json!("Clerk"));
    offices[1].set(&lane, "active", json!(false));
    let only_here = offices[0].hire("here", "b@example.com");
    offices[0].set(&only_here, "title", json!("Boss"));
    offices[0].hire("plain", "c@example.com");
    let (before, told) = (company.list("identities"), company.told().len());
    let path = format!("{}/primary_directory", company.path);
    let dry = app.api.put(&path, json!({"directory_id": offices[1].id, "dry_run": true}));
    let dry = dry.expect(200).body;
    let diff = &dry["diff"];
    // The one becomes inactive with an account that stays active, the other has no profile any more.
    for (name, number) in [
        ("identities", 2),
        ("activated", 0),
        ("deactivated", 1),
        ("orphaned_accounts", 1),
        ("no_longer_orphaned_accounts", 0),
    ] {
        assert_eq!(diff[name], number, "{name} in {diff}");
    }
    let example = &diff["examples"][0];
    assert_eq!(example["identity_id"], company.of(&ada)["id"]);
    assert_eq!(example["from"]["profile"]["title"], "Lead");
    assert_eq!(
        (&example["to"]["state"], &example["to"]["profile"]["title"]),
        (&json!("inactive"), &json!("Clerk"))
    );
    // Nothing has happened.
    assert_eq!((company.list("identities"), company.told().len()), (before, told));
    let now = app.api.get(&path).expect(200).body;
    assert_eq!(now["directory_id"], offices[0].id.as_str());
    let done = company.primary(Some(&offices[1]));
    assert_eq!(done["directory_id"], offices[1].id.as_str());
    let identity = company.of(&ada);
    assert_eq!((&identity["state"], &identity["title"]), (&json!("inactive"), &json!("Clerk")));
    assert_eq!(orphans(&company), [ada.as_str()]);
    assert_eq!(company.of(&only_here)["title"], Value::Null);
    let events = company.told();
    assert_eq!(events.len(), told + 2);
    let (name, data) = &events[told];
    assert_eq!(name, "rollbook.identity.updated");
    assert_eq!(data["previous_attributes"], json!({"state": "active", "title": "Lead"}));
    let mut data = data.clone();
    data.as_object_mut().expect("an object").shift_remove("previous_attributes");
    assert_eq!(steady(data), steady(identity));
    assert_eq!(app.api.get(&path).expect(200).body["identities"], "on");
}

fn there_is_one_primary_directory_at_most(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let primaries = || -> Vec<String> {
        let path = format!("/api/v1/directories?organization_id={}", company.id);
        let page = app.api.get(&path).expect(200).body;
        let rows = page["data"].as_array().expect("a list").iter();
        rows.filter(|row| row["primary"] == true)
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(primaries(), Vec::<String>::new());
    for office in [&offices[0], &offices[2], &offices[1]] {
        company.primary(Some(office));
        assert_eq!(primaries(), [office.id.as_str()]);
    }
    std::thread::scope(|scope| {
        for office in &offices {
            let (api, path) = (app.api.clone(), format!("{}/primary_directory", company.path));
            scope.spawn(move || api.put(&path, json!({"directory_id": office.id})).expect(200));
        }
    });
    assert_eq!(primaries().len(), 1);
}

fn primary_directory_is_not_deleted_unseen(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    for path in ["/api/v1/directories", "/directories"] {
        let refused = app.api.delete(&format!("{path}/{}", offices[0].id)).expect(409);
        assert_eq!(refused.body["code"], "directory_is_primary");
        assert!(refused.body["message"].as_str().expect("text").contains("dry_run"));
    }
    offices[0].hire("ada", "a@example.com");
    company.primary(Some(&offices[1]));
    app.api.delete(&format!("/api/v1/directories/{}", offices[0].id)).expect(202);
    app.purge();
    assert_eq!(company.list("identities?state=ended").len(), 1);
}

fn directory_that_goes_takes_its_accounts_along(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let many: Vec<String> =
        (0..120).map(|n| offices[0].hire(&format!("u{n}"), &format!("u{n}@example.com"))).collect();
    let kept = offices[1].hire("kept", "u7@example.com");
    assert!(company.are_one(&many[7], &kept));
    app.api.delete(&format!("/api/v1/directories/{}", offices[0].id)).expect(202);
    app.purge();
    let left = company.list("identities?limit=500");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["accounts"].as_array().map(Vec::len), Some(1));
    assert_eq!(left[0]["accounts"][0]["user_id"], kept.as_str());
    let ended = company.told().into_iter().filter(|(name, _)| name == "rollbook.identity.ended");
    assert_eq!(ended.count(), 119);
    app.api.delete(&format!("/api/v1/directories/{}", offices[1].id)).expect(202);
    app.purge();
    app.api.delete(&company.path).expect(204);
    app.api.get(&company.path).expect(404);
}

fn directory_that_is_being_deleted_has_nobodys_address(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let ada = offices[0].hire("ada", "a@example.com");
    // As the API does, without what removes the rows.
    let (service, id) = (Arc::clone(app.service()), offices[0].id.clone());
    app.wait(async move {
        let key = "sk_test_0123456789abcdef0123456789abcdef";
        let access = service.api_access(key, None).await.expect("the key of the test");
        service.directory_delete(&access, &id).await.expect("deleted");
    });
    let next = offices[1].hire("next", "a@example.com");
    assert!(!company.are_one(&ada, &next));
    app.purge();
    assert_eq!(company.list("identities?state=ended").len(), 1);
    assert_eq!(company.of(&next)["state"], "active");
}

fn directories_that_issue_no_tokens_are_named(app: &TestApp) {
    let company = Company::new(app);
    let (people, provider) = (company.office("scim.rippling"), company.office("scim.okta"));
    let path = format!("{}/primary_directory", company.path);
    let dry = app.api.put(&path, json!({"directory_id": people.id, "dry_run": true})).expect(200);
    assert!(dry.body["warning"].as_str().expect("a warning").contains("scim.rippling"));
    assert_eq!(dry.body["identities"], "off", "a dry run switches nothing on");
    assert!(company.primary(Some(&people))["warning"].is_string());
    assert_eq!(company.primary(Some(&provider))["warning"], Value::Null);
}

fn wrong_choices_are_refused(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 1);
    let path = format!("{}/primary_directory", company.path);
    for (body, word) in [
        (json!({}), "missing"),
        (json!({"directory_id": "directory_1"}), "directory_1"),
        (json!({"directory_id": app.directory.id}), "no directory of the organization"),
        (json!({"directory_id": 7}), "directory_id"),
        (json!({"directory_id": null, "dry_run": "yes"}), "dry_run"),
        (json!({"directory_id": null, "force": true}), "force"),
    ] {
        let refused = app.api.put(&path, body.clone()).expect(422);
        assert!(refused.text.contains(word), "{body}: {}", refused.text);
    }
    app.api.delete(&format!("/api/v1/directories/{}", offices[0].id)).expect(202);
    app.api.put(&path, json!({"directory_id": offices[0].id})).expect(422);
    let unknown = "/api/v1/organizations/org_1/primary_directory";
    app.api.put(unknown, json!({"directory_id": null})).expect(404);
}
