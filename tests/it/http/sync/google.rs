//! `pull.google` against a fake that Google's own client accepts (`google_client.rs`).

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::fake::{Fake, Fault};
use crate::support::fakes::google::{
    ADMINISTRATOR, Google, error, member, service_account_key, user,
};
use crate::support::{Database, ENTERPRISE, TestApp};

/// The clock of the test's server, in seconds.
pub(super) const NOW: i64 = 1_750_000_000;

pub(super) fn config(fake: &Fake<Google>, more: Value) -> Value {
    let mut config = json!({
        "service_account_key": service_account_key(),
        "delegated_admin_email": ADMINISTRATOR,
        "base_url": format!("{}/", fake.url),
        "token_url": format!("{}/token", fake.url),
        "allow_private_network": true,
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

pub(super) fn reader<'a>(app: &'a TestApp, fake: &Fake<Google>, more: Value) -> Source<'a> {
    Source::new(app, "pull.google", config(fake, more), json!({"schedule": "off"}))
}

pub(super) fn sqlite() -> TestApp {
    TestApp::start(Database::sqlite())
}

/// Paths of what was asked since the last look, without the token.
fn asked(fake: &Fake<Google>) -> Vec<String> {
    let asked = fake.asked().into_iter().filter(|asked| asked.method == "GET");
    asked.map(|asked| asked.parts()[3..].join("/")).collect()
}

/// Members of a group as the app reads them.
pub(super) fn members(source: &Source<'_>, group: &str) -> Vec<String> {
    let groups = format!("/directory_groups?directory={}&limit=100", source.handle.id);
    let groups = source.app.api.get(&groups).expect(200).body;
    let mut groups = groups["data"].as_array().expect("a list").iter();
    let group = groups.find(|found| found["idp_id"] == group).expect("the group is there");
    let path = format!(
        "/directory_users?directory={}&group={}&limit=100",
        source.handle.id,
        group["id"].as_str().expect("an id")
    );
    let users = source.app.api.get(&path).expect(200).body;
    let users = users["data"].as_array().expect("a list").iter();
    let mut ids: Vec<String> =
        users.map(|user| user["idp_id"].as_str().expect("an id").to_owned()).collect();
    ids.sort_unstable();
    ids
}

on_both_databases![users_groups_and_members_arrive_and_are_followed];

fn users_groups_and_members_arrive_and_are_followed(app: &TestApp) {
    let fake = Google::start(40, NOW);
    fake.data(|google| {
        google.page = 15;
        let ada = google.user("1");
        ada["organizations"] = json!([{"title": "Engineer", "department": "R&D", "primary": true}]);
        ada["relations"] = json!([{"type": "manager", "value": "USER5@example.com"}]);
        ada["externalIds"] = json!([{"type": "organization", "value": "E1"}]);
        ada["orgUnitPath"] = "/Staff".into();
        google.add_group(
            "g2",
            "outer@example.com",
            vec![
                member("GROUP", "g1", "all@example.com"),
                member("USER", "5", "user5@example.com"),
                member("USER", "999", "ada@elsewhere.example"),
            ],
        );
        google.add_group("g3", "empty@example.com", Vec::new());
    });
    let source = reader(app, &fake, json!({}));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!((&tested["ok"], &tested["users"]), (&json!(true), &json!(null)), "{tested}");
    assert_eq!(tested["warnings"], json!([]));
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 41, "{run}");
    assert_eq!(run["counts"]["groups"]["created"], 3, "{run}");
    // Forty users, and of the other group a user and a group.
    assert_eq!(run["counts"]["memberships"]["added"], 42, "{run}");
    let ada = source.user("1");
    assert_eq!((&ada["job_title"], &ada["state"]), (&json!("Engineer"), &json!("active")));
    let raw = &ada["raw_attributes"];
    assert_eq!(raw["orgUnitPath"], "/Staff");
    assert_eq!(raw["accountType"], "user");
    assert_eq!(raw[ENTERPRISE]["employeeNumber"], "E1");
    assert_eq!(raw[ENTERPRISE]["manager"]["value"], source.user("5")["id"]);
    assert_eq!((members(&source, "g1").len(), members(&source, "g2")), (40, vec!["5".to_owned()]));

    // Nothing has changed, and no group is asked for its members.
    let told = source.events();
    asked(&fake);
    let run = source.sync();
    assert_eq!(
        (&run["mode"], &run["counts"]["users"]["unchanged"]),
        (&json!("incremental"), &json!(41))
    );
    let paths = asked(&fake);
    assert!(!paths.is_empty() && !paths.iter().any(|path| path.ends_with("/members")), "{paths:?}");
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["counts"]["users"]["unchanged"], 41, "{run}");
    assert_eq!(source.told(told), [""; 0]);

    // Suspended, archived, renamed, deleted, new.
    let told = source.events();
    fake.data(|google| {
        google.user("1")["suspended"] = true.into();
        google.user("1")["suspensionReason"] = "ADMIN".into();
        google.user("2")["archived"] = true.into();
        google.user("3")["primaryEmail"] = "renamed@example.com".into();
        google.delete("4");
        google.users.push(user("41", "user41@example.com"));
        let group = google.members.get_mut("g3").expect("the group");
        group.push(member("USER", "41", "user41@example.com"));
    });
    let run = source.sync();
    assert_eq!(run["mode"], "incremental");
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "group.user_added 41 g3",
            "group.user_removed 4 g1",
            "user.created 41",
            "user.deleted 4",
            "user.updated 1",
            "user.updated 2",
            "user.updated 3",
        ]
    );
    let users = source.users();
    assert_eq!(users["1"], "user1@example.com inactive");
    assert_eq!(users["2"], "user2@example.com inactive");
    assert_eq!(users["3"], "renamed@example.com active");
    assert_eq!(source.user("1")["raw_attributes"]["accountState"], "suspended");
    assert_eq!(source.user("2")["raw_attributes"]["accountState"], json!(null));
    // They keep their memberships, and have them when they come back.
    assert_eq!(members(&source, "g1").len(), 39);
    let told = source.events();
    fake.data(|google| {
        google.user("1")["suspended"] = false.into();
        google.user("2")["archived"] = false.into();
        let back = google.deleted.remove(0);
        google.users.push(back);
        google.groups.retain(|group| group["id"] != "g3");
    });
    source.sync();
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["group.deleted g3", "user.created 4", "user.updated 1", "user.updated 2"]);
    assert_eq!(source.users()["1"], "user1@example.com active");
}

/// A change of members shows in a group only by their number. What does not show waits for a complete read.
#[test]
fn members_are_read_where_a_group_looks_different_or_somebody_is_new() {
    let app = sqlite();
    let fake = Google::start(3, NOW);
    fake.data(|google| google.user("3")["orgUnitPath"] = "/Elsewhere".into());
    let source = reader(&app, &fake, json!({"org_units": "/Staff; /Research\n/"}));
    app.api
        .patch(&source.path, json!({"config": {"org_units_excluded": "/elsewhere/"}}))
        .expect(200);
    source.sync();
    assert_eq!(members(&source, "g1"), ["1", "2"]);
    // Another one has the place: the number is the same.
    fake.data(|google| {
        google.members.get_mut("g1").expect("the group")[0] = member("USER", "100", ADMINISTRATOR);
    });
    source.sync();
    assert_eq!(members(&source, "g1"), ["1", "2"]);
    app.clock.advance(Duration::from_secs(24 * 3_600));
    fake.data(|google| google.now += 24 * 3_600);
    assert_eq!(source.sync()["mode"], "full");
    assert_eq!(members(&source, "g1"), ["100", "2"]);
    // Another number shows at once.
    fake.data(|google| {
        let group = google.members.get_mut("g1").expect("the group");
        group.push(member("USER", "1", "user1@example.com"));
    });
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!(members(&source, "g1"), ["1", "100", "2"]);
    // Who comes in is asked for its groups.
    asked(&fake);
    fake.data(|google| google.user("3")["orgUnitPath"] = "/Staff/Research".into());
    source.sync();
    assert_eq!(members(&source, "g1"), ["1", "100", "2", "3"]);
    assert_eq!(asked(&fake).iter().filter(|path| path.ends_with("/members")).count(), 1);
    // Who moves out goes, and needs no other proof.
    let told = source.events();
    fake.data(|google| google.user("3")["orgUnitPath"] = "/Elsewhere/Below".into());
    source.sync();
    assert_eq!(source.told(told), ["group.user_removed 3 g1", "user.deleted 3"]);
}

/// What a read could not use, or what waits for a decision, is read again.
#[test]
fn members_that_were_not_applied_are_read_again() {
    let app = sqlite();
    let fake = Google::start(30, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    // A user without an address is a fault: nobody counts as missing, also not from a group.
    fake.data(|google| {
        google.user("30")["primaryEmail"] = "".into();
        google.members.get_mut("g1").expect("the group").remove(0);
    });
    let run = source.sync();
    assert_eq!((&run["status"], members(&source, "g1").len()), (&json!("completed"), 30), "{run}");
    fake.data(|google| google.user("30")["primaryEmail"] = "user30@example.com".into());
    source.sync();
    assert_eq!(members(&source, "g1").len(), 29);
    // A rejected run is found again.
    fake.data(|google| google.members.get_mut("g1").expect("the group").truncate(5));
    let run = source.run(json!({}));
    assert_eq!(run["status"], "held", "{run}");
    source.decide(&run, "reject").expect(200);
    let run = source.run(json!({}));
    assert_eq!(run["status"], "held", "{run}");
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(members(&source, "g1").len(), 5);
}

#[test]
fn administrator_says_who_is_read_and_who_is_a_member() {
    let app = sqlite();
    let fake = Google::start(4, NOW);
    fake.data(|google| {
        google.user("1")["suspended"] = true.into();
        google.user("1")["suspensionReason"] = "WEB_LOGIN_REQUIRED".into();
        google.user("2")["archived"] = true.into();
        google.user("3")["customSchemas"] =
            json!({"Badge": {"number": "9"}, "Pay": {"grade": "1"}});
        google.user("4")["isGuestUser"] = true.into();
        let guests = [
            member("USER", "999", "ada@elsewhere.example"),
            member("EXTERNAL", "", "bob@elsewhere.example"),
            member("GROUP", "g1", "all@example.com"),
        ];
        google.add_group("g2", "eng-outer@example.com", guests.to_vec());
        let everyone = vec![member("CUSTOMER", "C0example", ""), member("GROUP", "g2", "")];
        google.add_group("g3", "eng-everyone@example.com", everyone);
        google.members.get_mut("g1").expect("the group").push(member("GROUP", "g3", ""));
    });
    let read = |more: Value| {
        let source = reader(&app, &fake, more);
        source.sync();
        source
    };
    let all = ["1", "100", "2", "3", "4"];

    let plain = read(json!({}));
    let states: Vec<String> = plain.users().into_values().collect();
    assert_eq!(states.iter().filter(|state| state.ends_with(" inactive")).count(), 2, "{states:?}");
    assert_eq!(plain.user("4")["raw_attributes"]["accountType"], "guest");
    assert!(plain.user("3")["raw_attributes"].get("customSchemas").is_none());
    assert_eq!(members(&plain, "g3"), all);
    assert_eq!(members(&plain, "g2"), [""; 0]);

    let narrow = read(json!({"web_login_required": "active", "archived_users": "leave_out",
        "custom_schemas": "Badge", "group_emails": "ENG-*@example.com", "customer_members": "skip",
        "external_members": "keep"}));
    let users = narrow.users();
    let ids: Vec<&str> = users.keys().map(String::as_str).collect();
    assert_eq!(ids, ["1", "100", "3", "4", "999", "bob@elsewhere.example"]);
    assert_eq!(users["1"], "user1@example.com active");
    assert_eq!(users["999"], "ada@elsewhere.example active");
    assert_eq!(narrow.user("999")["raw_attributes"]["accountType"], "guest");
    let kept = &narrow.user("3")["raw_attributes"]["customSchemas"];
    assert_eq!(kept, &json!({"Badge": {"number": "9"}}));
    assert_eq!(members(&narrow, "g2"), ["999", "bob@elsewhere.example"]);
    assert_eq!(members(&narrow, "g3"), [""; 0]);
    let run = narrow.sync();
    assert_eq!((&run["mode"], &run["counts"]["users"]["unchanged"]), (&json!("full"), &json!(6)));

    for (nested, inner_groups) in [("expand", 3), ("flatten", 0)] {
        let source = read(json!({"nested_groups": nested, "customer_members": "skip"}));
        for group in ["g1", "g2", "g3"] {
            assert_eq!(members(&source, group), ["1", "2", "3", "4"], "{nested} {group}");
        }
        let run = source.run(json!({"mode": "full", "dry_run": true}));
        let memberships = &run["counts"]["memberships"];
        assert_eq!(memberships, &json!({"added": 0, "removed": 0, "unknown": 0}), "{run}");
        let again = read(json!({"nested_groups": nested, "customer_members": "skip"}));
        let added = &again.view()["last_sync_counts"]["memberships"]["added"];
        assert_eq!(added, &json!(12 + inner_groups), "{nested}");
    }

    let asked = fake.asked();
    assert!(asked.iter().any(|asked| asked.param("customer") == "my_customer"));
    let queried = read(json!({"user_query": "isSuspended=false", "domain": "example.com",
        "group_query": "email:eng*", "show_deleted": false, "suspended_users": "leave_out"}));
    assert_eq!(queried.users().len(), 4);
    assert!(
        fake.asked().iter().all(
            |asked| asked.param("customer").is_empty() && asked.param("showDeleted").is_empty()
        )
    );
}

/// Who is below a group counts also where the group in between is left out.
#[test]
fn groups_that_are_left_out_are_read_where_they_are_in_others() {
    let app = sqlite();
    let user = |id: &str| member("USER", id, &format!("user{id}@example.com"));
    let group = |id: &str| member("GROUP", id, "");
    for (nested, left_out) in [
        ("flatten", json!({"group_emails": "eng@*"})),
        ("expand", json!({"group_query": "email:eng*"})),
    ] {
        let fake = Google::start(4, NOW);
        fake.data(|google| {
            google.add_group("g2", "eng@example.com", vec![group("g3"), group("g4")]);
            google.add_group("g3", "web@example.com", vec![user("1"), group("g4")]);
            let strangers = [group("g9"), member("USER", "999", "ada@elsewhere.example")];
            let inner = [user("2"), user("3"), group("g2"), group("g3")];
            google.add_group("g4", "core@example.com", [&inner[..], &strangers].concat());
        });
        // Google tells nothing of a group of another organization.
        let stranger = || error(403, "forbidden", "Not Authorized to access this resource/api");
        fake.fault(Fault::instead("/groups/g9", stranger()));
        let mut config = left_out;
        config["nested_groups"] = nested.into();
        config["external_members"] = "keep".into();
        let source = reader(&app, &fake, config);
        asked(&fake);
        let run = source.sync();
        assert_eq!(run["counts"]["groups"]["created"], 1, "{run}");
        assert_eq!(members(&source, "g2"), ["1", "2", "3", "999"], "{nested}");
        assert_eq!(source.users()["999"], "ada@elsewhere.example active");
        let paths = asked(&fake).into_iter().filter(|path| path.ends_with("/members"));
        let mut paths: Vec<String> = paths.collect();
        paths.sort_unstable();
        assert_eq!(paths, ["groups/g2/members", "groups/g3/members", "groups/g4/members"]);

        // A group in between that does not show its members has not lost them.
        let told = source.events();
        let gone = || error(404, "notFound", "Resource Not Found: groupKey");
        let empty = |body: &mut Value| body["members"] = json!([]);
        for fault in
            [Fault::instead("/groups/g4/members", gone()), Fault::json("/groups/g4/members", empty)]
        {
            fake.fault(fault);
            let run = source.sync();
            assert_eq!(source.diff(&run), ["skip group g4 failed"]);
            assert_eq!(source.told(told), [""; 0], "{nested}");
            fake.heal();
            fake.fault(Fault::instead("/groups/g9", stranger()));
        }
        fake.data(|google| {
            let members = google.members.get_mut("g4").expect("the group");
            members.retain(|member| member["id"] != "2");
            members.push(user("4"));
        });
        source.sync();
        let mut seen = source.told(told);
        seen.sort_unstable();
        assert_eq!(seen, ["group.user_added 4 g2", "group.user_removed 2 g2"], "{nested}");
        // Others may name it for a while when it has gone.
        fake.data(|google| google.groups.retain(|group| group["id"] != "g3"));
        source.sync();
        assert_eq!(members(&source, "g2"), ["3", "4", "999"], "{nested}");
    }
}

/// A group may list for a while who was deleted.
#[test]
fn deleted_user_whom_a_group_still_lists_is_no_guest() {
    let app = sqlite();
    let fake = Google::start(6, NOW);
    let source =
        reader(&app, &fake, json!({"external_members": "keep", "nested_groups": "expand"}));
    source.sync();
    let told = source.events();
    fake.data(|google| {
        google.delete("4");
        let group = google.members.get_mut("g1").expect("the group");
        group.push(member("USER", "4", "user4@example.com"));
    });
    source.sync();
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["group.user_removed 4 g1", "user.deleted 4"]);
    // Not in the next run either, in which nothing is stored of the user.
    source.sync();
    assert_eq!((source.events(), members(&source, "g1").len()), (told + 2, 5));
    fake.data(|google| {
        let back = google.deleted.remove(0);
        google.users.push(back);
    });
    source.sync();
    assert_eq!(source.users()["4"], "user4@example.com active");
    assert_eq!(source.user("4")["raw_attributes"]["accountType"], "user");
    assert_eq!(members(&source, "g1").len(), 6);
}

#[test]
fn configuration_is_checked_before_it_is_stored() {
    let app = sqlite();
    let fake = Google::start(1, NOW);
    let new = |more: Value| {
        let body = json!({"organization_id": app.directory.organization_id, "name": "S",
            "kind": "pull.google", "config": config(&fake, more)});
        app.api.post("/api/v1/directories", body)
    };
    let key: Value = serde_json::from_str(&service_account_key()).expect("JSON");
    let key_with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        json!({"service_account_key": key.to_string()})
    };
    for (more, field, words) in [
        (json!({"service_account_key": "AIzaSy"}), "service_account_key", "no JSON object"),
        (key_with("type", json!("authorized_user")), "service_account_key", "service_account"),
        (key_with("client_email", json!("")), "service_account_key", "client_email"),
        (key_with("private_key", json!("-----BEGIN")), "service_account_key", "private_key"),
        (json!({"delegated_admin_email": "admin"}), "delegated_admin_email", "e-mail"),
        (json!({"base_url": "http://8.8.8.8/"}), "base_url", "http"),
        (json!({"token_url": "https://example.com/token?x=1"}), "token_url", "path"),
        (json!({"org_units": "/Staff; Research"}), "org_units", "begins with /"),
        (json!({"nested_groups": "deep"}), "nested_groups", "keep, expand, flatten"),
        (
            json!({"external_members": "keep", "domain": "example.com"}),
            "external_members",
            "domain",
        ),
        (json!({"allow_private_network": false}), "base_url", "https"),
    ] {
        let answer = new(more);
        assert_invalid(&answer, &format!("config.{field}"));
        let text = answer.body.to_string();
        assert!(text.contains(words) && !text.contains("MII"), "{text}");
    }
    let kind = app.api.get("/api/v1/connectors/pull.google").expect(200).body;
    let own = ["base_url", "token_url", "token_audience", "allow_private_network"];
    assert_eq!(kind["operator_only"], json!(own));
}
