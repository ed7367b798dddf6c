//! `pull.entra` against a Microsoft Graph that Microsoft's own client accepts (`entra_client.rs`).

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::fake::{Asked, Fake, Fault};
use crate::support::fakes::graph::{
    CLIENT, Graph, SECRET, TENANT, certificate, other_key, private_key,
};
use crate::support::{Database, ENTERPRISE, TestApp};

on_both_databases![tenant_is_read_and_followed_by_its_deltas];

/// The clock of the test's server, in seconds.
pub(super) const NOW: i64 = 1_750_000_000;

pub(super) fn config(fake: &Fake<Graph>, more: Value) -> Value {
    let mut config = json!({
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "graph_endpoint": fake.url,
        "azure_ad_endpoint": format!("{}/", fake.url),
        "allow_private_network": true,
    });
    for (name, value) in more.as_object().expect("an object") {
        match value {
            Value::Null => {
                config.as_object_mut().expect("an object").remove(name);
            }
            value => config[name] = value.clone(),
        }
    }
    config
}

pub(super) fn reader<'a>(app: &'a TestApp, fake: &Fake<Graph>, more: Value) -> Source<'a> {
    Source::new(app, "pull.entra", config(fake, more), json!({"schedule": "off"}))
}

pub(super) fn sqlite() -> TestApp {
    TestApp::start(Database::sqlite())
}

/// Members of a group as the app reads them.
pub(super) fn members(source: &Source<'_>, group: &str) -> Vec<String> {
    let groups = format!("/directory_groups?directory={}&limit=100", source.handle.id);
    let groups = source.app.api.get(&groups).expect(200).body;
    let mut groups = groups["data"].as_array().expect("a list").iter();
    let group = groups.find(|found| found["idp_id"] == group).expect("the group is there");
    let id = group["id"].as_str().expect("an id");
    let path = format!("/directory_users?directory={}&group={id}&limit=100", source.handle.id);
    let users = source.app.api.get(&path).expect(200).body;
    let users = users["data"].as_array().expect("a list").iter();
    let mut ids: Vec<String> =
        users.map(|user| user["idp_id"].as_str().expect("an id").to_owned()).collect();
    ids.sort_unstable();
    ids
}

fn mode(run: &Value) -> &str {
    run["mode"].as_str().expect("a mode")
}

fn tenant_is_read_and_followed_by_its_deltas(app: &TestApp) {
    let fake = Graph::start(5, NOW);
    fake.data(|graph| {
        graph.page = 2;
        graph.put_user(
            "u001",
            json!({"givenName": "Ada", "surname": "Lane",
            "jobTitle": "Engineer", "department": "R&D", "employeeId": "7",
            "businessPhones": ["+1"], "otherMails": ["home@example.net"],
            "employeeOrgData": {"costCenter": "c1", "division": null}}),
        );
        graph.set_manager("u001", "u005");
        graph.put_user("u002", json!({"accountEnabled": false}));
        graph.put_user("guest", json!({"userType": "Guest"}));
        graph.add_group("g2", "Outer");
        for member in ["g1", "u005", "guest", "device-1"] {
            graph.join("g2", member);
        }
    });
    let source = reader(app, &fake, json!({}));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let found = [&tested["ok"], &tested["users"], &tested["groups"]];
    assert_eq!(found, [&json!(true), &json!(5), &json!(2)], "{tested}");
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 5, "{run}");
    assert_eq!(run["counts"]["groups"]["created"], 2, "{run}");
    assert_eq!(run["counts"]["memberships"]["added"], 7, "{run}");
    assert_eq!(source.users()["u002"], "u002@example.com inactive");
    assert_eq!(members(&source, "g1"), ["u001", "u002", "u003", "u004", "u005"]);
    assert_eq!(members(&source, "g2"), ["u005"]);
    let ada = source.user("u001");
    assert_eq!((&ada["first_name"], &ada["job_title"]), (&json!("Ada"), &json!("Engineer")));
    let raw = &ada["raw_attributes"];
    let enterprise = &raw[ENTERPRISE];
    assert_eq!(enterprise["manager"]["value"], source.user("u005")["id"], "{raw}");
    assert_eq!(
        (&enterprise["department"], &enterprise["employeeNumber"], &enterprise["costCenter"]),
        (&json!("R&D"), &json!("7"), &json!("c1"))
    );
    assert_eq!(raw["emails"][1]["value"], "home@example.net");

    // Nothing has changed: nothing is said, by a delta or by everything.
    let told = source.events();
    for wanted in ["incremental", "full", "incremental"] {
        let again = source.run(json!({"mode": wanted}));
        assert_eq!((&again["status"], mode(&again)), (&json!("completed"), wanted), "{again}");
    }
    assert_eq!(source.told(told), [""; 0]);

    fake.data(|graph| {
        graph.put_user(
            "u001",
            json!({"userPrincipalName": "lane@example.com",
            "jobTitle": null, "department": null}),
        );
        graph.put_user("u003", json!({"accountEnabled": false}));
        graph.set_manager("u001", "u004");
        graph.leave("g1", "u004");
        graph.join("g2", "u001");
        graph.put_group("g2", json!({"displayName": "Around"}));
        graph.put_user("u006", json!({}));
    });
    let run = source.sync();
    assert_eq!(mode(&run), "incremental", "{run}");
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "group.updated g2",
            "group.user_added u001 g2",
            "group.user_removed u004 g1",
            "user.created u006",
            "user.updated u001",
            "user.updated u003",
        ]
    );
    let users = source.users();
    assert_eq!(users["u001"], "lane@example.com active");
    assert_eq!(users["u003"], "u003@example.com inactive");
    let ada = source.user("u001");
    assert_eq!(ada["job_title"], json!(null), "it was cleared");
    let enterprise = &ada["raw_attributes"][ENTERPRISE];
    assert_eq!(enterprise["department"], json!(null));
    assert_eq!(enterprise["employeeNumber"], "7", "nobody has touched it");
    assert_eq!(enterprise["manager"]["value"], source.user("u004")["id"]);

    // Gone for thirty days, gone for ever, and a group.
    let told = source.events();
    fake.data(|graph| {
        graph.remove_user("u004", "changed");
        graph.remove_user("u002", "deleted");
    });
    assert_eq!(mode(&source.sync()), "incremental");
    let mut seen = source.told(told);
    // An alarm about them may be among it.
    seen.retain(|event| !event.starts_with("rollbook."));
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "group.user_removed u002 g1",
            "user.deleted u002",
            "user.deleted u004",
            // Who has lost the manager.
            "user.updated u001",
        ]
    );
    let told = source.events();
    fake.data(|graph| graph.remove_group("g2"));
    // Everybody was in it, most of them through the other one: somebody has to look.
    let run = source.run(json!({}));
    assert_eq!((mode(&run), &run["status"]), ("incremental", &json!("held")), "{run}");
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    let seen = source.told(told);
    assert!(seen.contains(&"group.deleted g2".to_owned()), "{seen:?}");
    assert_eq!(source.users().len(), 4);

    // Who is restored comes back with the same id; everything finds the same as the deltas did.
    fake.data(|graph| graph.put_user("u004", json!({})));
    assert_eq!(source.sync()["counts"]["users"]["created"], 1);
    let told = source.events();
    app.clock.advance(Duration::from_secs(24 * 3_600));
    fake.data(|graph| graph.door.now += 24 * 3_600);
    let run = source.sync();
    assert_eq!((mode(&run), source.told(told)), ("full", Vec::new()), "{run}");
}

#[test]
fn lost_delta_is_followed_by_everything() {
    let app = sqlite();
    let fake = Graph::start(4, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.data(|graph| {
        graph.put_user("u002", json!({"jobTitle": "Pilot"}));
        graph.remove_user("u004", "deleted");
        graph.forget_deltas();
    });
    let run = source.sync();
    assert_eq!(mode(&run), "full", "{run}");
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["group.user_removed u004 g1", "user.deleted u004", "user.updated u002"]);
    // The links are new ones.
    assert_eq!(mode(&source.sync()), "incremental");
}

#[test]
fn configuration_says_who_and_what_comes_in() {
    let app = sqlite();
    let fake = Graph::start(3, NOW);
    fake.data(|graph| {
        graph.put_user(
            "u001",
            json!({"department": "Sales", "mail": "ada@sales.example.com",
            "extension_1_shoe": "42", "onPremisesSamAccountName": "ada"}),
        );
        graph.put_user("u002", json!({"mail": null}));
        graph.put_user("guest", json!({"userType": "Guest"}));
        graph.put_group("g1", json!({"groupTypes": ["Unified"], "securityEnabled": false}));
        graph.add_group("inner", "Inner");
        graph.add_group("outer", "Outer");
        graph.join("inner", "u002");
        graph.join("inner", "outer");
        graph.join("outer", "inner");
        graph.join("outer", "guest");
    });
    let sync = |more: Value| {
        let source = reader(&app, &fake, more);
        source.sync();
        source
    };
    let delete = |source: Source<'_>| {
        app.api.delete(&source.path).expect(202);
        app.purge();
    };
    let groups = |source: &Source<'_>| -> Vec<String> {
        let path = format!("/directory_groups?directory={}&limit=100", source.handle.id);
        let listed = app.api.get(&path).expect(200).body;
        let mut names: Vec<String> = listed["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|group| group["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort_unstable();
        names
    };

    let source =
        sync(json!({"guests": "include", "username": "mail", "select": "extension_1_shoe",
        "page_size": 1}));
    let users = source.users();
    assert_eq!(users["u001"], "ada@sales.example.com active");
    assert_eq!(users["u002"], "u002@example.com active", "without mail it is the principal name");
    assert_eq!(users.len(), 4);
    assert_eq!(source.user("u001")["raw_attributes"]["extension_1_shoe"], "42");
    assert_eq!(source.user("guest")["raw_attributes"]["accountType"], "guest");
    assert_eq!(groups(&source), ["Everybody", "Inner", "Outer"]);
    assert_eq!(members(&source, "outer"), ["guest"]);
    // Who becomes a guest is no longer wanted where guests are not.
    delete(source);

    let source = sync(json!({"group_types": "microsoft365"}));
    assert_eq!(groups(&source), ["Everybody"]);
    fake.data(|graph| graph.put_user("u003", json!({"userType": "Guest"})));
    let run = source.sync();
    assert_eq!((mode(&run), source.users().len()), ("incremental", 2), "{run}");
    fake.data(|graph| graph.put_user("u003", json!({"userType": "Member"})));
    delete(source);

    let source = sync(json!({"group_types": "security", "nested_groups": "expand",
        "guests": "include"}));
    assert_eq!(groups(&source), ["Inner", "Outer"]);
    assert_eq!(members(&source, "outer"), ["guest", "u002"]);
    assert_eq!(members(&source, "inner"), ["guest", "u002"], "they hold each other");
    assert_eq!(mode(&source.sync()), "incremental", "no group has changed");
    fake.data(|graph| graph.join("inner", "u003"));
    assert_eq!(mode(&source.sync()), "full", "who is around it is not known by a delta");
    assert_eq!(members(&source, "outer"), ["guest", "u002", "u003"]);
    delete(source);

    let source = sync(json!({"user_filter": "department eq 'Sales'", "managers": false}));
    assert_eq!(source.users().into_keys().collect::<Vec<_>>(), ["u001"]);
    assert_eq!(mode(&source.sync()), "full", "a delta cannot be filtered");
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!(tested["users"], 1, "{tested}");
    let is_filtered = |asked: &Asked| asked.param("$filter").contains("department");
    let lists: Vec<Asked> = fake.asked().into_iter().filter(is_filtered).collect();
    assert_eq!(lists.len(), 4, "two reads and two counts");
    assert!(lists.iter().all(|asked| asked.header("consistencylevel") == "eventual"));
}

/// A delta of groups says nothing about who is restored, or comes into the directory only now.
#[test]
fn user_who_comes_back_is_in_the_groups_again_at_once() {
    let app = sqlite();
    for (nested, outer) in [("keep", &[""; 0][..]), ("expand", &["u001", "u002", "u003"])] {
        let fake = Graph::start(3, NOW);
        fake.data(|graph| {
            graph.put_user("u003", json!({"userType": "Guest"}));
            graph.add_group("g2", "Outer");
            graph.join("g2", "g1");
        });
        let source = reader(&app, &fake, json!({"nested_groups": nested}));
        source.sync();
        fake.data(|graph| graph.remove_user("u001", "changed"));
        source.sync();
        assert_eq!(members(&source, "g1"), ["u002"]);
        fake.data(|graph| {
            graph.restore_user("u001", &["g1"]);
            graph.put_user("u003", json!({"userType": "Member"}));
        });
        let run = source.sync();
        assert_eq!(mode(&run), "incremental", "{run}");
        assert_eq!(members(&source, "g1"), ["u001", "u002", "u003"], "{nested}");
        assert_eq!(members(&source, "g2"), outer, "{nested}");
        // Many are not asked for one by one.
        fake.data(|graph| (100..160).for_each(|n| graph.restore_user(&format!("u{n}"), &["g1"])));
        assert_eq!(mode(&source.sync()), "full");
        assert_eq!(members(&source, "g1").len(), 63);
        app.api.delete(&source.path).expect(202);
        app.purge();
    }
}

/// Nor about the members of a group that comes in only now.
#[test]
fn group_that_comes_in_later_has_its_members_at_once() {
    let app = sqlite();
    let fake = Graph::start(2, NOW);
    fake.data(|graph| {
        graph.add_group("g2", "Later");
        graph.put_group("g2", json!({"securityEnabled": false}));
        ["u001", "u002", "g1", "device-1"].iter().for_each(|member| graph.join("g2", member));
    });
    let source = reader(&app, &fake, json!({"group_types": "security"}));
    source.sync();
    fake.data(|graph| {
        graph.put_group("g2", json!({"securityEnabled": true}));
        graph.leave("g2", "u002");
    });
    let run = source.sync();
    assert_eq!((mode(&run), members(&source, "g2")), ("incremental", vec!["u001".to_owned()]));
    assert_eq!(run["counts"]["memberships"]["added"], 2, "{run}");
}

#[test]
fn members_that_are_hidden_stay_as_they_are() {
    let app = sqlite();
    let fake = Graph::start(12, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let (told, ids) = (source.events(), members(&source, "g1"));
    // What Graph shows of such a group to whom it shows no members.
    fake.data(|graph| {
        graph.put_group("g1", json!({"visibility": "HiddenMembership"}));
        graph.members.insert("g1".to_owned(), std::collections::BTreeSet::new());
    });
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let warning = tested["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("Everybody") && warning.contains("Member.Read.Hidden"), "{warning}");
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!((source.told(told), members(&source, "g1")), (Vec::new(), ids));
}

/// Nobody can tell whether they have left the groups around theirs, either.
#[test]
fn members_that_are_hidden_stay_in_the_groups_around_theirs() {
    let app = sqlite();
    let fake = Graph::start(2, NOW);
    fake.data(|graph| {
        graph.put_user("u003", json!({}));
        for (outer, inner) in [("g2", "g1"), ("g3", "g2")] {
            graph.add_group(outer, outer);
            graph.join(outer, inner);
        }
    });
    let source = reader(&app, &fake, json!({"nested_groups": "expand"}));
    source.sync();
    let told = source.events();
    fake.data(|graph| {
        graph.put_group("g1", json!({"visibility": "HiddenMembership"}));
        graph.members.insert("g1".to_owned(), std::collections::BTreeSet::new());
    });
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], source.told(told)), (&json!("completed"), Vec::new()), "{run}");
    for group in ["g1", "g2", "g3"] {
        assert_eq!(members(&source, group), ["u001", "u002"], "{group}");
    }
    // Who is seen to come in is added.
    fake.data(|graph| graph.join("g2", "u003"));
    source.sync();
    assert_eq!(members(&source, "g1"), ["u001", "u002"]);
    assert_eq!(members(&source, "g3"), ["u001", "u002", "u003"]);
}

/// Microsoft Graph does not take `$expand` with a query that needs its index.
#[test]
fn users_who_are_met_by_a_filter_have_their_managers() {
    let app = sqlite();
    let fake = Graph::start(4, NOW);
    fake.data(|graph| {
        graph.set_manager("u001", "u003");
        graph.set_manager("u002", "u001");
        graph.put_user("u004", json!({"department": "Shop"}));
    });
    let source = reader(&app, &fake, json!({"user_filter": "department ne 'Shop'"}));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!((&tested["ok"], &tested["users"]), (&json!(true), &json!(3)), "{tested}");
    let manager = |id: &str| {
        let user = source.user(id);
        user["raw_attributes"][ENTERPRISE]["manager"]["value"].clone()
    };
    source.sync();
    assert_eq!(source.users().into_keys().collect::<Vec<_>>(), ["u001", "u002", "u003"]);
    assert_eq!(manager("u001"), source.user("u003")["id"]);
    assert_eq!(manager("u002"), source.user("u001")["id"]);

    let told = source.events();
    fake.data(|graph| {
        graph.set_manager("u001", "u002");
        graph.managers.remove("u002");
    });
    source.sync();
    assert_eq!(manager("u001"), source.user("u002")["id"]);
    assert_eq!(manager("u002"), Value::Null);
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["user.updated u001", "user.updated u002"]);

    // Of many the managers of all users are listed.
    fake.data(|graph| {
        (100..260).for_each(|n| graph.put_user(&format!("u{n}"), json!({})));
        graph.set_manager("u200", "u001");
    });
    source.sync();
    assert_eq!(manager("u200"), source.user("u001")["id"]);
    // Who is not found there has not lost the manager, and comes in without one.
    let told = source.events();
    fake.data(|graph| graph.put_user("u300", json!({})));
    fake.fault(Fault::rows("$expand=", "value", |rows| {
        rows.retain(|row| row["id"] != "u001" && row["id"] != "u300");
    }));
    source.sync();
    assert_eq!(source.told(told), ["user.created u300"]);
    assert_eq!(source.user("u300")["raw_attributes"].get(ENTERPRISE), None);
}

#[test]
fn filter_sees_whether_a_user_is_synchronized() {
    let app = sqlite();
    let fake = Graph::start(3, NOW);
    fake.data(|graph| {
        graph.put_user("u001", json!({"onPremisesSyncEnabled": true, "usageLocation": "BE"}));
        graph.put_user("u002", json!({"onPremisesSyncEnabled": false}));
    });
    // The first one stands in the documentation.
    for (filter, ids) in [
        ("payload.onPremisesSyncEnabled == true", &["u001"][..]),
        ("payload.usageLocation == 'BE'", &["u001"]),
        ("payload.externalUserState != 'PendingAcceptance'", &["u001", "u002", "u003"]),
        ("payload.onPremisesImmutableId == 'x'", &[]),
        (
            "payload.employeeHireDate == null && payload.createdDateTime == null",
            &["u001", "u002", "u003"],
        ),
    ] {
        let filter = format!("envelope.kind != 'account' || {filter}");
        let settings = json!({"schedule": "off", "filter": filter});
        let source = Source::new(&app, "pull.entra", config(&fake, json!({})), settings);
        let run = source.sync();
        assert_eq!(run["counts"]["users"]["failed"], 0, "{filter}: {run}");
        assert_eq!(source.users().into_keys().collect::<Vec<_>>(), ids, "{filter}");
        assert_eq!(members(&source, "g1"), ids);
        app.api.delete(&source.path).expect(202);
        app.purge();
    }
}

#[test]
fn application_signs_with_its_certificate() {
    let app = sqlite();
    let fake = Graph::start(2, NOW);
    let (pem, _) = certificate(&private_key());
    let signing = |key: &str, pem: &str| json!({"client_secret": null, "certificate": pem, "private_key": key});
    let source = reader(&app, &fake, signing(&private_key(), &pem));
    source.sync();
    assert_eq!(source.users().len(), 2);
    let view = source.view();
    let shown = view["config"]["private_key"].as_str().expect("a mask");
    assert!(shown.starts_with("********") && shown.len() < 20, "{shown}");

    // The key of another certificate is found before anything is sent.
    let body = json!({
        "organization_id": app.directory.organization_id, "name": "Other", "kind": "pull.entra",
        "config": config(&fake, signing(&other_key(), &pem)), "settings": {"schedule": "off"},
    });
    let refused = app.api.post("/api/v1/directories", body);
    assert_invalid(&refused, "config.private_key");

    // One that was not uploaded is refused in Microsoft's words.
    let (other, _) = certificate(&other_key());
    let source = reader(&app, &fake, signing(&other_key(), &other));
    let run = source.run(json!({}));
    let message = run["error"].as_str().expect("an error");
    assert!(message.contains("AADSTS700027"), "{message}");
    assert_eq!(source.view()["state"], "invalid_credentials");
    assert!(!message.contains("eyJ"), "{message}");
}

#[test]
fn token_is_asked_for_again_before_it_ends() {
    let app = sqlite();
    let fake = Graph::start(4, NOW);
    fake.data(|graph| graph.page = 2);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let asked = fake.asked();
    let tokens = asked.iter().filter(|asked| asked.target.ends_with("/token")).count();
    assert_eq!(tokens, 1, "one for the whole read");
    assert_eq!(asked.len(), 5, "a token, a link, two pages of users, groups");
    let form = asked.iter().find(|asked| asked.method == "POST").expect("a token").form();
    let scope = form.iter().find(|(name, _)| name == "scope").map(|(_, value)| value.as_str());
    assert_eq!(scope, Some("https://graph.microsoft.com/.default"));
}
