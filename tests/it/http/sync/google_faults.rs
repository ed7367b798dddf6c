//! `pull.google` when Google, or the way there, does not do its part: runs fail, are held or try again, and
//! nobody goes because of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use super::google::{NOW, members, reader, sqlite};
use crate::support::fake::{Fake, Fault, Said};
use crate::support::fakes::google::{
    Google, error, error_body, member, service_account_key, user, wrong_key,
};
use crate::support::{Database, TestApp};

/// What must stay as it is.
fn standing(source: &Source<'_>) -> (usize, Vec<String>) {
    (source.events(), source.users().into_values().collect())
}

const USERS: &str = "/users?";
const MEMBERS: &str = "/members?";

#[test]
fn read_that_breaks_off_takes_nobody_away() {
    let app = sqlite();
    let fake = Google::start(5, NOW);
    fake.data(|google| google.page = 2);
    let source = reader(&app, &fake, json!({"show_deleted": false}));
    source.sync();
    let before = standing(&source);
    let server_error = || error(500, "backendError", "Backend Error");
    let forbidden = "Not Authorized to access this resource/api";
    let moved = Said::json(302, &json!({})).with("Location", "http://192.0.2.1/users");
    let odd = |body: Value| Said::json(200, &body);
    let failed = "error";
    for (fault, state, words) in [
        // The third page, for ever.
        (Fault::instead(USERS, server_error()).after(2), failed, "500: Backend Error"),
        (Fault::instead(MEMBERS, server_error()), failed, "500: Backend Error"),
        (Fault::busy(USERS, 86_400, &error_body(429, "rateLimitExceeded", "Later")), failed, "429"),
        (Fault::instead("/groups?", error(403, "quotaExceeded", "Quota")), failed, "403: Quota"),
        (
            Fault::instead("/groups?", error(403, "forbidden", forbidden)),
            "invalid_credentials",
            forbidden,
        ),
        (
            Fault::instead(USERS, error(401, "authError", "Invalid Credentials")),
            "invalid_credentials",
            "401",
        ),
        (
            Fault::instead(USERS, error(400, "invalid", "Bad Request")).after(1),
            failed,
            "400: Bad Request",
        ),
        (Fault::instead(USERS, error(410, "gone", "Gone")), failed, "410"),
        (Fault::instead(USERS, moved), failed, "302"),
        (Fault::truncated(USERS).after(1), failed, "no JSON"),
        (Fault::cut(USERS).after(1), failed, ""),
        (Fault::closed(MEMBERS), failed, ""),
        (Fault::stuck(USERS), failed, "the same page again"),
        (Fault::stuck(MEMBERS), failed, "the same page again"),
        // Something else than a list, with a good status.
        (Fault::instead(USERS, odd(json!({}))), failed, "admin#directory#users"),
        (Fault::instead(USERS, odd(json!([]))), failed, "no JSON object"),
        (
            Fault::instead(MEMBERS, odd(json!({"error": {"code": 500}}))),
            failed,
            "admin#directory#members",
        ),
        (Fault::json(USERS, |body| body["users"] = json!({})), failed, "admin#directory#users"),
        (Fault::instead("/token", odd(json!({"token_type": "Bearer"}))), failed, "access_token"),
    ] {
        fake.data(Google::end_tokens);
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{words}: {run}");
        let message = run["error"].as_str().expect("an error");
        assert!(message.contains(words), "{message} has no {words}");
        assert!(!message.contains("ya29.") && !message.contains("eyJ"), "{message}");
        let view = source.view();
        assert_eq!((&view["state"], &view["last_error"]), (&json!(state), &run["error"]));
        assert_eq!(standing(&source), before, "{message}");
        fake.heal();
    }
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["unchanged"], 6, "{run}");
    assert_eq!(source.view()["state"], "linked");
    // The list of deletions is as good as the others.
    app.api.patch(&source.path, json!({"config": {"show_deleted": true}})).expect(200);
    fake.fault(Fault::instead("showDeleted=true", server_error()));
    assert_eq!(source.run(json!({}))["status"], "failed");
    assert_eq!(standing(&source), before);
}

#[test]
fn changes_that_break_off_are_read_again() {
    let app = sqlite();
    let fake = Google::start(5, NOW);
    fake.data(|google| google.page = 2);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.data(|google| {
        google.user("2")["archived"] = true.into();
        google.members.get_mut("g1").expect("the group").retain(|member| member["id"] != "5");
    });
    for fault in [
        Fault::instead(USERS, error(500, "backendError", "Backend Error")).after(1),
        Fault::instead("/token", error(500, "backendError", "Backend Error")),
        Fault::truncated("/groups?"),
        Fault::cut(MEMBERS),
        Fault::stuck(MEMBERS),
    ] {
        fake.data(Google::end_tokens);
        fake.fault(fault);
        let run = source.run(json!({"mode": "incremental"}));
        assert_eq!((&run["status"], source.told(told)), (&json!("failed"), Vec::new()), "{run}");
        fake.heal();
    }
    let run = source.run(json!({"mode": "incremental"}));
    assert_eq!(
        (&run["status"], &run["mode"]),
        (&json!("completed"), &json!("incremental")),
        "{run}"
    );
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["group.user_removed 5 g1", "user.updated 2"]);
}

#[test]
fn fault_that_passes_is_waited_out() {
    let app = sqlite();
    let fake = Google::start(5, NOW);
    fake.data(|google| google.page = 2);
    let source = reader(&app, &fake, json!({"show_deleted": false}));
    source.sync();
    let before = standing(&source);
    let limited = error_body(403, "userRateLimitExceeded", "Quota exceeded");
    let expired = error(401, "authError", "Invalid Credentials");
    for (name, fault) in [
        ("seconds", Fault::busy(USERS, 0, &limited).once()),
        ("a time", Fault::busy_until(USERS, 0, &limited).after(1).once()),
        ("no time", Fault::instead(USERS, Said::json(429, &limited)).times(2)),
        ("a 403", Fault::instead(MEMBERS, Said::json(403, &limited)).times(2)),
        ("another", Fault::instead(USERS, error(403, "rateLimitExceeded", "x")).once()),
        ("a 503", Fault::instead(USERS, error(503, "backendError", "x")).after(2).once()),
        ("the token", Fault::busy("/token", 0, &json!({})).once()),
        ("the connection", Fault::closed(USERS).after(1).once()),
        ("half a page", Fault::cut(MEMBERS).once()),
        ("a token that has ended", Fault::instead(USERS, expired).after(1).once()),
        ("rows that come twice", Fault::rows(USERS, "users", |rows| rows.extend(rows.clone()))),
        ("members twice", Fault::rows(MEMBERS, "members", |rows| rows.extend(rows.clone()))),
    ] {
        fake.data(Google::end_tokens);
        fake.asked();
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "completed", "{name}: {run}");
        assert_eq!(run["counts"]["users"]["unchanged"], 6, "{name}: {run}");
        assert_eq!(standing(&source), before, "{name}");
        let tokens = fake.asked().into_iter().filter(|asked| asked.target == "/token").count();
        // The old token was refused; of one that ends in the middle there is a third.
        assert!((1..=3).contains(&tokens), "{name}: {tokens}");
        fake.heal();
    }
}

/// A byte now and then keeps a connection alive; there is an end to that.
#[test]
fn slow_drip_is_a_failure() {
    let app = TestApp::start_with(Database::sqlite(), |config| config.source_timeout = 1);
    let fake = Google::start(5, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    fake.fault(Fault::drip(USERS, Duration::from_millis(20)));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!("failed")), "{tested}");
    assert_eq!(standing(&source), before);
}

#[test]
fn list_that_is_empty_or_short_holds_the_run() {
    let app = sqlite();
    let fake = Google::start(30, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    type Make = fn() -> Fault;
    let faults: [(&str, Make, &str); 3] = [
        ("nobody", || Fault::json(USERS, |body| remove(body, "users")), "source_empty"),
        ("few", || Fault::rows(USERS, "users", |rows| rows.truncate(10)), "users"),
        ("no groups", without_groups, "users"),
    ];
    for (name, fault, reason) in faults {
        for mode in ["full", "incremental"] {
            fake.fault(fault());
            let run = source.run(json!({"mode": mode}));
            assert_eq!(run["status"], "held", "{name}: {run}");
            assert_eq!(run["held"]["reason"], reason, "{name}: {run}");
            assert_eq!(standing(&source), before, "{name}");
            fake.heal();
        }
    }
    // A group that shows no members and says that it has some says nothing.
    fake.fault(Fault::json(MEMBERS, |body| remove(body, "members")));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "completed", "{run}");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("1 object of")), "{run}");
    assert_eq!(source.diff(&run), ["skip group g1 failed"]);
    assert_eq!(standing(&source), before);
    fake.heal();
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 31);
    assert_eq!(standing(&source), before);
}

/// Every group is gone, from the list and by its id.
fn without_groups() -> Fault {
    Fault::new("/groups", |asked, mut said| {
        if !asked.target.contains("/groups?") {
            return error(404, "notFound", "Resource Not Found: groupKey");
        }
        let mut body = serde_json::from_str(&said.body).expect("JSON");
        remove(&mut body, "groups");
        said.body = body.to_string();
        said
    })
}

/// A group that goes while the others are read is gone when Google says so of the group itself and lists it
/// no more; that its members are not found is no proof.
#[test]
fn group_whose_members_are_not_found_stays_until_the_group_has_gone() {
    let app = sqlite();
    let fake = Google::start(2, NOW);
    fake.data(|google| {
        google.add_group("g2", "two@example.com", vec![member("USER", "1", "user1@example.com")]);
    });
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    let gone = || error(404, "notFound", "Resource Not Found: groupKey");
    let unlisted =
        || Fault::rows("/groups?", "groups", |rows| rows.retain(|row| row["id"] != "g2")).after(1);
    for faults in [
        // Its members alone; all of it but its place in the list; and that but the group itself.
        vec![Fault::instead("/groups/g2/members", gone())],
        vec![Fault::instead("/groups/g2", gone())],
        vec![Fault::instead("/groups/g2/members", gone()), unlisted()],
    ] {
        faults.into_iter().for_each(|fault| fake.fault(fault));
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(source.diff(&run), ["skip group g2 failed"]);
        assert_eq!((source.told(told), members(&source, "g2").len()), (Vec::new(), 1));
        fake.heal();
    }
    fake.fault(Fault::instead("/groups/g2", gone()));
    fake.fault(unlisted());
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(source.told(told), ["group.deleted g2"]);
    fake.heal();
}

/// A list of users that leaves some out.
fn without(ids: &'static [&str]) -> Fault {
    Fault::rows(USERS, "users", move |rows| {
        rows.retain(|row| ids.iter().all(|id| row["id"] != *id));
    })
}

/// Users are listed by address: who is renamed between two pages may be on neither, or on both.
#[test]
fn user_whom_the_list_leaves_out_is_looked_for_before_being_gone() {
    let app = sqlite();
    let fake = Google::start(30, NOW);
    let source = reader(&app, &fake, json!({"show_deleted": false}));
    source.sync();
    let before = standing(&source);
    // One is asked for; more than can be asked for are listed again.
    let many: &[&str] = &[
        "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
        "17", "18", "19", "20", "21", "22",
    ];
    for fault in [without(&["7"]), without(many).once()] {
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(
            (&run["status"], standing(&source)),
            (&json!("completed"), before.clone()),
            "{run}"
        );
        assert_eq!(run["counts"]["users"]["unchanged"], 31, "{run}");
        fake.heal();
    }
    // By its new name, wherever it is found.
    fake.data(|google| google.user("7")["primaryEmail"] = "aaa@example.com".into());
    fake.fault(without(&["7"]));
    source.sync();
    assert_eq!(source.users()["7"], "aaa@example.com active");
    fake.heal();
    // Who is of the domain is known by the list of the domain alone.
    app.api.patch(&source.path, json!({"config": {"domain": "example.com"}})).expect(200);
    fake.fault(without(&["8"]).once());
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 31);
    fake.heal();
    let told = source.events();
    fake.data(|google| google.users.retain(|user| user["id"] != "9"));
    source.sync();
    assert!(source.told(told).contains(&"user.deleted 9".to_owned()));
    app.api.patch(&source.path, json!({"config": {"domain": null}})).expect(200);
    let told = source.events();
    fake.data(|google| google.users.retain(|user| user["id"] != "10"));
    source.sync();
    assert!(source.told(told).contains(&"user.deleted 10".to_owned()));
}

/// A company in which a group has somebody of another organization, of whom Google refuses to tell.
fn with_guest() -> Fake<Google> {
    let fake = Google::start(4, NOW);
    fake.data(|google| {
        let guest = member("USER", "999", "ada@elsewhere.example");
        google.add_group("g2", "team@example.com", vec![guest]);
    });
    fake.fault(Fault::instead("/users/999", forbidden()));
    fake
}

fn forbidden() -> Said {
    error(403, "forbidden", "Not Authorized to access this resource/api")
}

#[test]
fn guest_who_is_kept_no_more_goes_although_google_refuses_to_tell() {
    let app = sqlite();
    let fake = with_guest();
    let source = reader(&app, &fake, json!({"external_members": "keep", "show_deleted": false}));
    source.sync();
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["unchanged"], 6, "{run}");
    app.api.patch(&source.path, json!({"config": {"external_members": "skip"}})).expect(200);
    let told = source.events();
    // Whom the list leaves out beside is looked for in the next one.
    fake.fault(without(&["2"]).once());
    fake.fault(Fault::instead("/users/2", forbidden()));
    source.sync();
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["group.user_removed 999 g2", "user.deleted 999"]);
    assert_eq!(source.view()["state"], "linked");
}

/// Where guests are kept, a refusal says that somebody is one. A limit is none.
#[test]
fn limit_of_requests_makes_nobody_a_guest() {
    let app = sqlite();
    let fake = with_guest();
    let source = reader(&app, &fake, json!({"external_members": "keep", "show_deleted": false}));
    source.sync();
    let told = source.events();
    fake.fault(without(&["2"]));
    fake.fault(Fault::instead("/users/2", error(403, "quotaExceeded", "Quota")));
    let run = source.run(json!({}));
    assert_eq!((&run["status"], source.told(told)), (&json!("failed"), Vec::new()), "{run}");
}

#[test]
fn group_that_the_list_leaves_out_is_looked_for_before_being_gone() {
    let app = sqlite();
    let fake = Google::start(3, NOW);
    fake.data(|google| {
        for (id, address) in [("g2", "team@example.com"), ("g3", "crew@example.com")] {
            google.add_group(id, address, vec![member("USER", "1", "user1@example.com")]);
        }
    });
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    let without = |id: &'static str| {
        Fault::rows("/groups?", "groups", move |rows| rows.retain(|row| row["id"] != id))
    };
    fake.fault(without("g2"));
    for mode in ["full", "incremental"] {
        let run = source.run(json!({"mode": mode}));
        assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
    }
    fake.heal();
    // Which groups a domain has is known by its list alone.
    app.api.patch(&source.path, json!({"config": {"domain": "example.com"}})).expect(200);
    fake.fault(without("g2").once());
    source.sync();
    assert_eq!(source.told(told), [""; 0]);
    fake.heal();
    for (domain, gone) in [(json!("example.com"), "g2"), (json!(null), "g3")] {
        app.api.patch(&source.path, json!({"config": {"domain": domain}})).expect(200);
        source.sync();
        let told = source.events();
        fake.data(|google| google.groups.retain(|group| group["id"] != gone));
        source.sync();
        assert!(source.told(told).contains(&format!("group.deleted {gone}")));
    }
}

/// An object whose row makes no sense is listed, and a tombstone counts beside it.
#[test]
fn odd_user_is_listed_and_a_tombstone_counts_beside_it() {
    let app = sqlite();
    let fake = Google::start(2, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.data(|google| {
        google.users.push(user("", "nobody@example.com"));
        google.delete("2");
    });
    // A tombstone needs no more than itself, also where something else cannot be used.
    let run = source.run(json!({"mode": "full"}));
    assert!(source.diff(&run).contains(&"skip user nobody@example.com failed".to_owned()));
    let told = source.told(told);
    assert!(told.contains(&"user.deleted 2".to_owned()), "{told:?}");
}

#[test]
fn refused_credentials_are_told_and_no_secret_is() {
    let app = sqlite();
    let fake = Google::start(2, NOW);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let before = standing(&source);
    let shown = source.view()["config"]["service_account_key"].clone();
    assert!(shown.as_str().is_some_and(|text| text.starts_with("********") && text.len() <= 16));
    let set = |more: Value| app.api.patch(&source.path, json!({"config": more})).expect(200);
    let key: Value = serde_json::from_str(&service_account_key()).expect("JSON");
    let mut stranger = key.clone();
    stranger["client_email"] = "other@project.iam.gserviceaccount.com".into();
    let good = json!({"service_account_key": service_account_key(),
        "delegated_admin_email": "admin@example.com", "token_audience": null});
    for (more, words) in [
        (json!({"service_account_key": wrong_key()}), "Invalid JWT Signature"),
        (json!({"service_account_key": stranger.to_string()}), "account not found"),
        (json!({"delegated_admin_email": "nobody@example.com"}), "Invalid email or User ID"),
        (json!({"token_audience": "https://example.com/"}), "Failed audience check"),
    ] {
        set(more);
        let run = source.run(json!({}));
        assert_eq!(run["status"], "failed", "{run}");
        let view = source.view();
        assert_eq!(view["state"], "invalid_credentials", "{run}");
        let message = run["error"].as_str().expect("an error");
        assert!(message.contains(words), "{message}");
        for told in [run.to_string(), view.to_string()] {
            assert!(
                !told.contains("MII") && !told.contains("PRIVATE") && !told.contains("eyJ"),
                "{told}"
            );
        }
        let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
        assert_eq!(tested["code"], "invalid_credentials", "{tested}");
        set(good.clone());
    }
    let lost = json!({"error": "unauthorized_client", "error_description": "not authorized for any of \
        the scopes requested"});
    fake.fault(Fault::instead("/token", Said::json(401, &lost)));
    let run = source.run(json!({}));
    assert!(run["error"].as_str().is_some_and(|error| error.contains("scopes requested")), "{run}");
    assert_eq!(source.view()["state"], "invalid_credentials");
    fake.heal();
    // What was shown of the key may be sent back.
    set(json!({"service_account_key": shown}));
    source.sync();
    assert_eq!((source.view()["state"].clone(), standing(&source)), (json!("linked"), before));
}

fn remove(body: &mut Value, name: &str) {
    body.as_object_mut().expect("an object").shift_remove(name);
}
