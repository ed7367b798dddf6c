//! `pull.entra` when Microsoft, or the way there, does not do its part: runs fail, are held, try again or
//! read everything, and nobody goes because of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use super::entra::{NOW, reader, sqlite};
use crate::support::fake::{Fault, Said};
use crate::support::fakes::graph::{Graph, SECRET, error, error_body};
use crate::support::{Database, TestApp};

/// What must stay as it is.
fn standing(source: &Source<'_>) -> (usize, Vec<String>) {
    (source.events(), source.users().into_values().collect())
}

const USERS: &str = "/v1.0/users?";
const USERS_DELTA: &str = "/users/delta";
const GROUPS_DELTA: &str = "/groups/delta";

/// The last page of a delta, without where the next one begins.
fn without_a_link(body: &mut Value) {
    body.as_object_mut().expect("an object").remove("@odata.deltaLink");
}

#[test]
fn read_that_breaks_off_takes_nobody_away() {
    let app = sqlite();
    let fake = Graph::start(5, NOW);
    fake.data(|graph| graph.page = 2);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    let outage = || error(503, "serviceNotAvailable", "The service is busy.");
    let denied = || {
        error(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    };
    let expired = || error(401, "InvalidAuthenticationToken", "Access token has expired.");
    let moved = Said::json(302, &json!({})).with("Location", "http://192.0.2.1/v1.0/users");
    let odd = |body: Value| Said::json(200, &body);
    let busy = error_body("TooManyRequests", "Too many requests.");
    let away = ("//127.0.0.1", "//192.0.2.1");
    let failed = "error";
    for (fault, state, words) in [
        (Fault::instead(USERS, outage()).after(2), failed, "503: The service is busy."),
        (Fault::instead(GROUPS_DELTA, outage()).after(1), failed, "503: The service is busy."),
        (Fault::busy(USERS, 86_400, &busy), failed, "429: Too many requests."),
        (Fault::instead(USERS, denied()), "invalid_credentials", "User.Read.All"),
        (Fault::instead(GROUPS_DELTA, denied()), "invalid_credentials", "GroupMember.Read.All"),
        (Fault::instead(USERS, expired()), "invalid_credentials", "401: Access token"),
        (Fault::instead(USERS, error(400, "BadRequest", "Bad.")).after(1), failed, "400: Bad."),
        (Fault::instead(USERS, moved), failed, "302"),
        (Fault::truncated(USERS).after(1), failed, "no JSON"),
        (Fault::cut(USERS).after(1), failed, ""),
        (Fault::closed(GROUPS_DELTA), failed, ""),
        (Fault::stuck(USERS), failed, "the same page again"),
        (Fault::stuck(GROUPS_DELTA), failed, "the same page again"),
        (Fault::replaced(USERS, away.0, away.1), failed, "leads to 192.0.2.1"),
        (Fault::replaced(GROUPS_DELTA, away.0, away.1), failed, "leads to 192.0.2.1"),
        (Fault::instead(USERS, odd(json!({}))), failed, "no list"),
        (Fault::instead(USERS, odd(json!([]))), failed, "no JSON object"),
        (Fault::instead(GROUPS_DELTA, odd(json!({"value": {}}))), failed, "no list"),
        (Fault::json(GROUPS_DELTA, without_a_link), failed, "without a link"),
        (Fault::instead("/token", odd(json!({"token_type": "Bearer"}))), failed, "access_token"),
        (Fault::instead("/token", outage()), failed, "no access token: the source answers 503"),
    ] {
        fake.data(|graph| graph.door.end_tokens());
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{words}: {run}");
        let message = run["error"].as_str().expect("an error");
        assert!(message.contains(words), "{message} has no {words}");
        assert!(!message.contains("eyJ") && !message.contains(SECRET), "{message}");
        let view = source.view();
        assert_eq!((&view["state"], &view["last_error"]), (&json!(state), &run["error"]));
        assert_eq!(standing(&source), before, "{message}");
        fake.heal();
    }
    let run = source.sync();
    assert_eq!(source.view()["state"], "linked", "{run}");
    assert_eq!(standing(&source), before);
}

#[test]
fn delta_that_breaks_off_is_followed_again_from_where_it_began() {
    let app = sqlite();
    let fake = Graph::start(5, NOW);
    fake.data(|graph| graph.page = 1);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.data(|graph| {
        graph.put_user("u001", json!({"jobTitle": "Pilot"}));
        graph.put_user("u002", json!({"jobTitle": "Pilot"}));
        graph.leave("g1", "u003");
    });
    for fault in [
        Fault::instead(USERS_DELTA, error(503, "x", "y")).after(1),
        Fault::instead(GROUPS_DELTA, error(503, "x", "y")),
        // A link is lost where it is followed, not on the way.
        Fault::instead(USERS_DELTA, error(400, "BadRequest", "Bad.")).after(1),
        Fault::truncated(USERS_DELTA),
        // Users that have changed are read again by their ids.
        Fault::cut(USERS),
        Fault::replaced(USERS_DELTA, "//127.0.0.1", "//192.0.2.1"),
        Fault::stuck(USERS_DELTA),
        Fault::json(USERS_DELTA, without_a_link),
    ] {
        fake.fault(fault);
        let run = source.run(json!({"mode": "incremental"}));
        assert_eq!((&run["status"], source.told(told)), (&json!("failed"), Vec::new()), "{run}");
        fake.heal();
    }
    let run = source.run(json!({"mode": "incremental"}));
    assert_eq!(run["mode"], "incremental", "{run}");
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["group.user_removed u003 g1", "user.updated u001", "user.updated u002"]);
}

#[test]
fn cursor_that_is_lost_is_followed_by_everything() {
    let app = sqlite();
    let fake = Graph::start(4, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    let about = "The deltatoken is too old.";
    for (path, said) in [
        (USERS_DELTA, error(410, "syncStateNotFound", "The sync state generation is not found.")),
        (USERS_DELTA, error(400, "syncStateNotFound", "x")),
        (USERS_DELTA, error(400, "syncStateInvalid", "x")),
        (USERS_DELTA, error(400, "resyncRequired", "x")),
        (USERS_DELTA, error(400, "BadRequest", about)),
        (USERS_DELTA, error(400, "BadRequest", "Badly formed token.")),
        (USERS_DELTA, error(404, "ResourceNotFound", "x")),
        (GROUPS_DELTA, error(400, "BadRequest", "Badly formed token.")),
        (GROUPS_DELTA, error(410, "resyncRequired", "x")),
        (GROUPS_DELTA, error(410, "", "").with("Location", "http://127.0.0.1/v1.0/groups/delta")),
    ] {
        fake.fault(Fault::instead(path, said).once());
        let run = source.sync();
        assert_eq!((&run["mode"], standing(&source)), (&json!("full"), before.clone()), "{run}");
        assert_eq!(source.sync()["mode"], "incremental");
        fake.heal();
    }
}

/// Another link takes its place: the same one would be refused each time.
#[test]
fn link_that_is_refused_for_good_is_not_kept() {
    let app = sqlite();
    let fake = Graph::start(3, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    fake.asked();
    source.sync();
    let asked = fake.asked();
    let followed = asked.iter().find(|asked| asked.target.contains(USERS_DELTA));
    let token = followed.expect("a delta").param("$deltatoken").to_owned();
    fake.data(|graph| graph.put_user("u002", json!({"jobTitle": "Pilot"})));
    fake.fault(Fault::instead(&token, error(400, "BadRequest", "Badly formed token.")));
    let told = source.events();
    let modes: Vec<Value> = (0..3).map(|_| source.sync()["mode"].clone()).collect();
    assert_eq!(modes, ["full", "incremental", "incremental"]);
    assert_eq!(source.told(told), ["user.updated u002"]);
}

#[test]
fn fault_that_passes_is_waited_out() {
    let app = sqlite();
    let fake = Graph::start(5, NOW);
    fake.data(|graph| graph.page = 2);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    let busy = error_body("TooManyRequests", "Too many requests.");
    let expired = || error(401, "InvalidAuthenticationToken", "Access token has expired.");
    for (name, fault) in [
        ("seconds", Fault::busy(USERS, 0, &busy).once()),
        ("a time", Fault::busy_until(USERS, 0, &busy).after(1).once()),
        ("no time", Fault::instead(GROUPS_DELTA, Said::json(429, &busy)).times(2)),
        ("a 503", Fault::instead(USERS, error(503, "x", "y")).after(2).once()),
        ("the token", Fault::busy("/token", 0, &busy).once()),
        ("the connection", Fault::closed(USERS).after(1).once()),
        ("half a page", Fault::cut(GROUPS_DELTA).once()),
        ("a token that has ended", Fault::instead(USERS, expired()).after(1).once()),
        ("rows that come twice", Fault::rows(USERS, "value", |rows| rows.extend(rows.clone()))),
        ("groups twice", Fault::rows(GROUPS_DELTA, "value", |rows| rows.extend(rows.clone()))),
    ] {
        fake.data(|graph| graph.door.end_tokens());
        fake.asked();
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "completed", "{name}: {run}");
        assert_eq!(standing(&source), before, "{name}");
        let tokens = fake.asked().into_iter().filter(|asked| asked.method == "POST").count();
        assert!((1..=2).contains(&tokens), "{name}: {tokens}");
        fake.heal();
    }
}

/// Graph gives null for what the application may not see: nothing was cleared, and nobody was disabled.
#[test]
fn property_that_may_not_be_seen_takes_nothing_away() {
    let app = sqlite();
    let fake = Graph::start(4, NOW);
    fake.data(|graph| graph.put_user("u002", json!({"jobTitle": "Pilot"})));
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    let hide = |id: Option<&'static str>| {
        Fault::rows(USERS, "value", move |rows| {
            for row in rows.iter_mut().filter(|row| id.is_none_or(|id| row["id"] == id)) {
                let row = row.as_object_mut().expect("an object");
                let hidden = row
                    .iter_mut()
                    .filter(|(name, _)| !["id", "displayName"].contains(&name.as_str()));
                hidden.for_each(|(_, value)| *value = Value::Null);
            }
        })
    };
    // Of one: that one stays, and nobody counts as missing.
    fake.fault(hide(Some("u002")));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("completed"), before.clone()), "{run}");
    assert_eq!(source.diff(&run), ["skip user u002 failed"]);
    fake.heal();
    // Of all: the permission is missing, which the test of the connection says as well.
    fake.fault(hide(None));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("failed"), before.clone()), "{run}");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("User.Read.All")), "{run}");
    assert_eq!(source.view()["state"], "invalid_credentials");
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!(tested["code"], "invalid_credentials", "{tested}");
    assert!(
        tested["error"].as_str().is_some_and(|error| error.contains("User.Read.All")),
        "{tested}"
    );
    // In a delta, too.
    fake.heal();
    source.sync();
    fake.data(|graph| graph.put_user("u002", json!({"jobTitle": "Captain"})));
    fake.fault(hide(None));
    let run = source.run(json!({}));
    assert_eq!((&run["status"], standing(&source)), (&json!("completed"), before), "{run}");
    fake.heal();
    source.sync();
    assert_eq!(source.user("u002")["job_title"], "Captain");
}

#[test]
fn user_whom_the_list_leaves_out_is_looked_for_before_being_gone() {
    // The id of a user of Entra ID is a GUID.
    const ADA: &str = "7f1c0a1e-0000-4000-8000-00000000000a";
    let app = sqlite();
    let fake = Graph::start(7, NOW);
    fake.data(|graph| {
        graph.put_user(ADA, json!({}));
        graph.join("g1", ADA);
    });
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    let without = || Fault::rows("$top=999", "value", |rows| rows.retain(|row| row["id"] != ADA));
    fake.fault(without());
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("completed"), before.clone()), "{run}");
    fake.heal();
    // Who is met by a filter is known by the list alone.
    let filter = json!({"config": {"user_filter": "accountEnabled eq true"}});
    app.api.patch(&source.path, filter).expect(200);
    fake.fault(without().after(1).once());
    source.sync();
    assert_eq!(standing(&source), before);
    fake.heal();
    app.api.patch(&source.path, json!({"config": {"user_filter": null}})).expect(200);
    source.sync();
    fake.data(|graph| graph.remove_user(ADA, "deleted"));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["counts"]["users"]["deleted"], 1, "{run}");
}

/// Another provider's id is none that Microsoft Graph looks up, and proves nothing: who has it is looked for by the
/// list.
#[test]
fn user_with_an_id_of_another_provider_is_looked_for_by_the_list() {
    let app = sqlite();
    let fake = Graph::start(3, NOW);
    let ids: Vec<String> = ["ada", "bob.lane", "cy@example.com"]
        .into_iter()
        .zip(1..)
        .map(|(external, n)| {
            let name = format!("u00{n}@example.com");
            let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "externalId": external, "userName": name});
            app.scim.post("/Users", user).expect(201).id()
        })
        .collect();
    let source = reader(&app, &fake, json!({}));
    let path = format!("/api/v1/directories/{}/disconnect", app.directory.id);
    app.api.post(&path, json!({"mode": "hand_over", "to": source.handle.id})).expect(200);
    app.wait(app.service().finish_disconnects()).expect("finished");
    fake.fault(
        Fault::rows("$top=999", "value", |rows| rows.retain(|row| row["id"] != "u002")).once(),
    );
    let run = source.sync();
    let users = &run["counts"]["users"];
    assert_eq!((&users["created"], &users["deleted"]), (&json!(0), &json!(0)), "{run}");
    let kept = ["u001", "u002", "u003"].map(|id| source.user(id)["id"].clone());
    assert_eq!(kept, [0, 1, 2].map(|n| json!(ids[n])));
}

#[test]
fn what_a_list_shows_too_late_comes_with_the_next_changes() {
    let app = sqlite();
    let fake = Graph::start(3, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.data(|graph| graph.put_user("u002", json!({"accountEnabled": false})));
    fake.fault(Fault::rows("$top=999", "value", |rows| {
        rows.iter_mut()
            .filter(|row| row["id"] == "u002")
            .for_each(|row| row["accountEnabled"] = json!(true));
    }));
    source.run(json!({"mode": "full"}));
    assert_eq!(source.told(told), [""; 0]);
    fake.heal();
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!(source.told(told), ["user.updated u002"]);
    // A chain that is lost is not kept.
    fake.data(|graph| {
        graph.put_user("u002", json!({"jobTitle": "Pilot"}));
        graph.forget_deltas();
    });
    assert_eq!(source.sync()["mode"], "full");
    assert_eq!(source.sync()["mode"], "incremental");
}

/// Nor is it lost with a read of changes that cannot go on with the groups.
#[test]
fn what_changes_have_said_comes_again_after_the_complete_read_in_their_place() {
    let app = sqlite();
    let join: fn(&mut Graph) = |graph| {
        graph.add_group("g2", "Later");
        graph.join("g2", "u001");
    };
    let many: fn(&mut Graph) =
        |graph| (100..160).for_each(|n| graph.put_user(&format!("u{n}"), json!({})));
    for (nested, change) in [("expand", join), ("keep", many)] {
        let fake = Graph::start(3, NOW);
        let source = reader(&app, &fake, json!({"nested_groups": nested}));
        source.sync();
        fake.data(|graph| {
            graph.put_user("u002", json!({"accountEnabled": false}));
            change(graph);
        });
        fake.fault(Fault::rows("$top=999", "value", |rows| {
            rows.iter_mut()
                .filter(|row| row["id"] == "u002")
                .for_each(|row| row["accountEnabled"] = json!(true));
        }));
        assert_eq!(source.sync()["mode"], "full");
        assert_eq!(source.users()["u002"], "u002@example.com active", "{nested}");
        fake.heal();
        assert_eq!(source.sync()["mode"], "incremental");
        assert_eq!(source.users()["u002"], "u002@example.com inactive", "{nested}");
        app.api.delete(&source.path).expect(202);
        app.purge();
    }
}

#[test]
fn group_whose_type_may_not_be_seen_stays() {
    let app = sqlite();
    let fake = Graph::start(3, NOW);
    fake.data(|graph| {
        graph.add_group("team", "Team");
        graph.join("team", "u001");
    });
    for (types, name) in [("security", "securityEnabled"), ("microsoft365", "groupTypes")] {
        fake.heal();
        fake.data(|graph| graph.put_group("team", json!({"groupTypes": ["Unified"]})));
        let source = reader(&app, &fake, json!({"group_types": types}));
        source.sync();
        let before = source.events();
        fake.fault(Fault::rows("/groups", "value", move |rows| {
            rows.iter_mut()
                .filter(|row| row.get(name).is_some())
                .for_each(|row| row[name] = Value::Null);
        }));
        // In a list of everything, and in a delta.
        for mode in ["full", "incremental"] {
            fake.data(|graph| graph.put_group("team", json!({"groupTypes": ["Unified"]})));
            let run = source.run(json!({"mode": mode}));
            assert_eq!(
                (&run["status"], &run["mode"]),
                (&json!("completed"), &json!(mode)),
                "{run}"
            );
            assert!(source.diff(&run).contains(&"skip group team failed".to_owned()), "{run}");
            assert_eq!(source.told(before), [""; 0], "{types}");
        }
        app.api.delete(&source.path).expect(202);
        app.purge();
    }
}

#[test]
fn list_that_has_shrunk_is_held() {
    let app = sqlite();
    let fake = Graph::start(8, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    for left in ["u000", "u004"] {
        fake.fault(Fault::rows(USERS, "value", move |rows| {
            rows.retain(|row| row["id"].as_str().is_some_and(|id| id <= left));
        }));
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], standing(&source)), (&json!("held"), before.clone()), "{run}");
        fake.heal();
    }
    assert_eq!((&source.sync()["mode"], standing(&source)), (&json!("full"), before));
}

/// A byte now and then keeps a connection alive; there is an end to that.
#[test]
fn slow_drip_is_a_failure() {
    let app = TestApp::start_with(Database::sqlite(), |config| config.source_timeout = 1);
    let fake = Graph::start(3, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    fake.fault(Fault::drip(USERS, Duration::from_millis(100)));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("failed"), before), "{run}");
}

/// As every run does.
#[test]
fn test_of_the_connection_fails_where_groups_are_refused() {
    let app = sqlite();
    let fake = Graph::start(2, NOW);
    let source = reader(&app, &fake, json!({}));
    let denied = error(403, "Authorization_RequestDenied", "Insufficient privileges.");
    fake.fault(Fault::instead("/v1.0/groups", denied));
    let test = || app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let tested = test();
    assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!("invalid_credentials")));
    let message = tested["error"].as_str().expect("an error");
    assert!(message.contains("GroupMember.Read.All"), "{message}");
    assert_eq!(source.run(json!({}))["status"], "failed");
    // Who wants no groups needs no permission for them.
    app.api.patch(&source.path, json!({"settings": {"disable_group_sync": true}})).expect(200);
    let tested = test();
    assert_eq!((&tested["ok"], &tested["users"]), (&json!(true), &json!(2)), "{tested}");
    source.sync();
}

#[test]
fn wrong_credentials_are_told_in_the_words_of_the_source() {
    let app = sqlite();
    let fake = Graph::start(2, NOW);
    let wrong = "wrong~secret.of-the-application_987654";
    let nobody = "7f1c0a1e-0000-4000-8000-0000000000ff";
    for (more, words) in [
        (json!({"client_secret": wrong}), "AADSTS7000215: Invalid client secret provided."),
        (json!({"client_id": nobody}), "AADSTS700016: Application"),
        (json!({"tenant_id": nobody}), "AADSTS90002: Tenant"),
        (json!({"cloud": "China"}), "AADSTS1002012: The provided value for scope"),
    ] {
        let source = reader(&app, &fake, more);
        fake.asked();
        let run = source.run(json!({}));
        let message = run["error"].as_str().expect("an error");
        assert!(message.contains(words) && !message.contains(wrong), "{message}");
        assert_eq!(source.view()["state"], "invalid_credentials", "{words}");
        assert_eq!(fake.asked().len(), 1, "who tries again is locked out");
        let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
        assert_eq!(tested["ok"], false, "{tested}");
        assert!(!tested.to_string().contains(wrong), "{tested}");
    }
    // A source that shows the secret is not quoted.
    let source = reader(&app, &fake, json!({}));
    let told = json!({"error": "invalid_client", "error_description": format!("not {SECRET}")});
    fake.fault(Fault::instead("/token", Said::json(401, &told)));
    let run = source.run(json!({}));
    let message = run["error"].as_str().expect("an error");
    assert!(message.contains("not [secret]"), "{message}");
}
