//! `pull.scim` and a server, or the way there, that does not do its part: runs fail, are held, try again or
//! begin again, and nobody goes because of it.

use serde_json::{Value, json};

use super::Source;
use super::scim::{healthy, list, paged, reader};
use crate::on_both_databases;
use crate::support::fake::{Fault, Said};
use crate::support::{FakeSource, TestApp, Told};

on_both_databases![
    read_that_breaks_off_takes_nobody_away,
    fault_that_passes_is_waited_out,
    list_that_has_shrunk_is_held,
    list_that_shrinks_between_two_pages_is_read_again,
    member_who_leaves_before_groups_are_read_again_is_none,
    token_that_ends_while_each_group_is_read_fails_the_run,
    token_that_ends_while_each_group_is_read_is_renewed_once,
];

const ALL: [&str; 9] = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"];

/// What must stay as it is.
fn standing(source: &Source<'_>) -> (usize, Vec<String>) {
    (source.events(), source.users().into_values().collect())
}

fn refusal(status: u16, detail: &str) -> Said {
    Said::json(status, &json!({"status": status.to_string(), "detail": detail}))
}

/// Nine users in pages of three by index, of which each shows the last one of the page before.
fn nine(app: &TestApp) -> (FakeSource, Source<'_>) {
    let fake = FakeSource::start(paged(&ALL, 0, |_| {}));
    let source = reader(app, &fake.url, json!({"page_size": 3, "paging": "index"}));
    assert_eq!(source.sync()["counts"]["users"]["created"], 9);
    (fake, source)
}

fn read_that_breaks_off_takes_nobody_away(app: &TestApp) {
    let (fake, source) = nine(app);
    let before = standing(&source);
    let users = "/Users?";
    let moved = refusal(302, "moved").with("Location", "http://192.0.2.1/Users");
    let failed = "error";
    for (fault, state, words) in [
        // From the second page on, and after the users.
        (Fault::instead(users, refusal(500, "Oops.")).after(1), failed, "500: Oops."),
        (Fault::instead(users, refusal(400, "invalidValue")).after(1), failed, "400: invalidValue"),
        (Fault::instead(users, refusal(410, "Gone.")).after(1), failed, "410: Gone."),
        (Fault::instead(users, moved).after(1), failed, "302"),
        (
            Fault::instead(users, refusal(401, "The token has expired.")).after(1),
            "invalid_credentials",
            "401: The token has expired.",
        ),
        (
            Fault::instead("/Groups", refusal(403, "Not for you.")),
            "invalid_credentials",
            "403: Not for you.",
        ),
        (Fault::busy(users, 86_400, &json!({"detail": "Later."})).after(1), failed, "429: Later."),
        (Fault::truncated(users).after(1), failed, "no JSON object"),
        (Fault::cut(users).after(1), failed, "127.0.0.1"),
        (Fault::closed("/Groups"), failed, "127.0.0.1"),
        (Fault::stuck(users), failed, "same page again"),
        (Fault::rows(users, "Resources", |rows| rows.push(json!(7))), failed, "no resource"),
        (
            Fault::json(users, |body| {
                body.as_object_mut().expect("an object").shift_remove("totalResults");
            }),
            failed,
            "no totalResults",
        ),
        (
            Fault::rows(users, "Resources", <Vec<Value>>::clear).after(2),
            failed,
            "the list Users ends after 5 of 9 resources",
        ),
    ] {
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{words}: {run}");
        let error = run["error"].as_str().expect("an error");
        assert!(error.contains(words), "{error} has no {words}");
        let view = source.view();
        assert_eq!((&view["state"], &view["last_error"]), (&json!(state), &run["error"]));
        assert_eq!(standing(&source), before, "{error}");
        fake.heal();
    }
    source.sync();
    assert_eq!((source.view()["state"].clone(), standing(&source)), (json!("linked"), before));
}

fn fault_that_passes_is_waited_out(app: &TestApp) {
    let (fake, source) = nine(app);
    let before = standing(&source);
    let users = "/Users?";
    for (name, fault) in [
        ("seconds", Fault::busy(users, 0, &json!({})).after(1).once()),
        ("a time", Fault::busy_until(users, 0, &json!({})).after(1).once()),
        ("no time", Fault::instead(users, Said::json(429, &json!({}))).times(2)),
        ("a 503", Fault::instead("/Groups", refusal(503, "Later.")).once()),
        ("the connection", Fault::closed(users).after(1).once()),
        ("half a page", Fault::cut(users).after(1).once()),
        ("rows that come twice", Fault::rows(users, "Resources", |rows| rows.extend(rows.clone()))),
    ] {
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "completed", "{name}: {run}");
        assert_eq!(standing(&source), before, "{name}");
        fake.heal();
    }
}

fn list_that_has_shrunk_is_held(app: &TestApp) {
    let (fake, source) = nine(app);
    let before = standing(&source);
    // A right is lost: what is left is a good list, and whole. Nobody is left at all, or some are.
    for (left, reason) in [(0, "source_empty"), (5, "users")] {
        fake.answer(paged(&ALL[..left], 0, |_| {}));
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], &run["held"]["reason"]), (&json!("held"), &json!(reason)));
        assert_eq!(standing(&source), before, "{run}");
    }
    fake.answer(paged(&ALL, 0, |_| {}));
    source.sync();
    assert_eq!(standing(&source), before);
}

/// A list that is shorter on its second page: who is hidden only then is seen by beginning again.
fn list_that_shrinks_between_two_pages_is_read_again(app: &TestApp) {
    let (fake, source) = nine(app);
    let before = standing(&source);
    // Two are few, so the guard would let them go.
    let hidden = || {
        Fault::json("/Users?", |body| {
            body["totalResults"] = json!(7);
            let rows = body["Resources"].as_array_mut().expect("a list");
            rows.retain(|row| row["id"] != "u8" && row["id"] != "u9");
        })
    };
    fake.fault(hidden().after(1).times(3));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("completed"), before.clone()), "{run}");
    assert_eq!(run["counts"]["users"]["unchanged"], 9, "{run}");
    fake.heal();
    // Most of them are hidden for good: that is a list of its own, which the guard holds.
    fake.answer(paged(&ALL, 1, |users| users.truncate(5)));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("held"), before.clone()), "{run}");
    // One that gets shorter and longer again all the time is no proof of anything.
    fake.answer(paged(&ALL, 0, |_| {}));
    let mut shown = 9;
    fake.fault(Fault::json("/Users?", move |body| {
        shown = if shown == 9 { 8 } else { 9 };
        body["totalResults"] = shown.into();
    }));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("failed"), before), "{run}");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("changes faster")), "{run}");
    fake.heal();
    // Who has really gone goes.
    let told = source.events();
    fake.answer(paged(&ALL[..8], 0, |_| {}));
    source.sync();
    assert_eq!(source.told(told), ["user.deleted u9"]);
}

/// Four users, and groups `g1` and `g2` of two each, whose members only the groups themselves show.
fn grouped(path: &str) -> Told {
    let group = |id: &str| json!({"id": id, "displayName": id});
    match path {
        "/token" => Told::json(&json!({"access_token": "of-an-hour", "expires_in": 3600})),
        path if path.starts_with("/Groups?") => {
            let mut groups = list(0);
            groups["totalResults"] = json!(2);
            groups["Resources"] = json!([group("g1"), group("g2")]);
            Told::json(&groups)
        }
        path if path.starts_with("/Groups/") => {
            let id = path.trim_start_matches("/Groups/");
            let mut whole = group(id);
            let members = if id == "g1" { ["u1", "u2"] } else { ["u3", "u4"] };
            whole["members"] = members.iter().map(|id| json!({"value": id})).collect();
            Told::json(&whole)
        }
        path => healthy(4)(path),
    }
}

fn member_who_leaves_before_groups_are_read_again_is_none(app: &TestApp) {
    let fake = FakeSource::start(grouped);
    let source = reader(app, &fake.url, json!({"paging": "index", "page_size": 2}));
    let group = |id: &str, members: &[&str]| {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        json!({"id": id, "displayName": id, "members": members})
    };
    // Pages of two, of which the second shows the last one of the first again.
    let listed = move |left: bool, path: &str| {
        let first = group("g1", if left { &["u2"] } else { &["u1", "u2"] });
        let [second, third] = [group("g2", &["u3"]), group("g3", &["u4"])];
        let page = if path.contains("startIndex=1&") { [first, second] } else { [second, third] };
        json!({"totalResults": 3, "Resources": page})
    };
    fake.answer(move |path: &str| match path.starts_with("/Groups?") {
        true => Told::json(&listed(false, path)),
        false => grouped(path),
    });
    assert_eq!(source.sync()["counts"]["memberships"]["added"], 4);
    let told = source.events();
    // One more group is gone when the second page is read, so the list is begun again; by then somebody has
    // left the first one.
    let mut pages = 0;
    fake.answer(move |path: &str| {
        if !path.starts_with("/Groups?") {
            return grouped(path);
        }
        pages += 1;
        let mut page = listed(pages > 1, path);
        if pages == 1 {
            page["totalResults"] = json!(4);
        }
        Told::json(&page)
    });
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(source.told(told), ["group.user_removed u1 g1"]);
}

fn token_that_ends_while_each_group_is_read_fails_the_run(app: &TestApp) {
    let fake = FakeSource::start(grouped);
    let source = reader(app, &fake.url, json!({"group_members": "each"}));
    assert_eq!(source.sync()["counts"]["memberships"]["added"], 4);
    let before = standing(&source);
    let secret = "s3cret-of-the-source-0123";
    let ended = refusal(401, &format!("{secret} has expired."));
    fake.fault(Fault::instead("/Groups/g2", ended));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["error"], "the source answers 401: [secret] has expired.", "{run}");
    assert_eq!((&run["status"], standing(&source)), (&json!("failed"), before.clone()));
    assert_eq!(source.view()["state"], "invalid_credentials");
    fake.heal();
    // Nor does a group that is gone by then, or that breaks off, take anybody away.
    for fault in [Fault::instead("/Groups/g2", refusal(404, "Gone.")), Fault::cut("/Groups/g2")] {
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], standing(&source)), (&json!("failed"), before.clone()));
        fake.heal();
    }
    source.sync();
    assert_eq!((source.view()["state"].clone(), standing(&source)), (json!("linked"), before));
}

fn token_that_ends_while_each_group_is_read_is_renewed_once(app: &TestApp) {
    let fake = FakeSource::start(grouped);
    let config = json!({"base_url": fake.url, "allow_private_network": true,
        "token_url": format!("{}/token", fake.url), "client_id": "reader",
        "client_secret": "s3cret-of-the-client-0123", "group_members": "each"});
    let source = Source::new(app, "pull.scim", config, json!({"schedule": "off"}));
    assert_eq!(source.sync()["counts"]["memberships"]["added"], 4);
    let before = standing(&source);
    let tokens = || fake.asked().iter().filter(|path| *path == "/token").count();
    assert_eq!(tokens(), 1);
    let ended = || Fault::instead("/Groups/g2", refusal(401, "The token has expired."));
    fake.fault(ended().once());
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("completed"), before.clone()), "{run}");
    assert_eq!(tokens(), 2);
    fake.heal();
    fake.fault(ended());
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], standing(&source)), (&json!("failed"), before), "{run}");
    assert_eq!((tokens(), &source.view()["state"]), (2, &json!("invalid_credentials")));
}
