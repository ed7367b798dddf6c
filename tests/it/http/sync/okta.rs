//! `pull.okta`: an Okta organization that people work in, and one that fails in every way.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::Source;
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::fake::{Fake, Fault, Said};
use crate::support::fakes::okta::{
    API_TOKEN, CLIENT_ID, Org, error, start, too_many, too_many_at_once,
};
use crate::support::{Database, ENTERPRISE, SigningKey, TestApp};

on_both_databases![organization_is_read_and_followed_by_what_happens_in_it];

/// The time at which the clock of a test stands.
const NOW_MS: i64 = 1_750_000_000_000;

pub(super) fn app() -> TestApp {
    TestApp::start(Database::sqlite())
}

pub(super) fn reader<'a>(app: &'a TestApp, fake: &Fake<Org>, more: Value) -> Source<'a> {
    let mut config = json!({"org_url": fake.url, "allow_private_network": true});
    if more.get("client_id").is_none() {
        config["api_token"] = API_TOKEN.into();
    }
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    Source::new(app, "pull.okta", config, json!({"schedule": "off"}))
}

/// An organization with so many users `user1@…` and a group Staff with all of them.
pub(super) fn crowd(count: usize) -> (Fake<Org>, Vec<String>, String) {
    let fake = start(NOW_MS);
    let (users, staff) = fake.data(|org| {
        org.page = 3;
        let staff = org.add_group("Staff", "OKTA_GROUP");
        let add = |n: usize| org.add_user(&format!("user{n}@example.com"), json!({}));
        let users: Vec<String> = (1..=count).map(add).collect();
        users.iter().for_each(|user| org.join(&staff, user));
        org.pass(3_600);
        (users, staff)
    });
    (fake, users, staff)
}

/// Two hours later something happens, and the changes are read; the events of it.
pub(super) fn told_of(
    source: &Source<'_>,
    fake: &Fake<Org>,
    happens: impl FnOnce(&mut Org),
) -> Vec<String> {
    source.app.clock.advance(Duration::from_secs(7_200));
    fake.data(|org| {
        org.pass(7_200);
        happens(org);
    });
    let told = source.events();
    let run = source.sync();
    assert_eq!(run["mode"], "incremental", "{run}");
    source.told(told)
}

/// Everything is read; the events of it.
fn told_by_everything(source: &Source<'_>) -> Vec<String> {
    let told = source.events();
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], &run["mode"]), (&json!("completed"), &json!("full")), "{run}");
    source.told(told)
}

fn organization_is_read_and_followed_by_what_happens_in_it(app: &TestApp) {
    let fake = start(NOW_MS);
    let (boss, ada, ben, staff) = fake.data(|org| {
        org.page = 2;
        let boss = org.add_user("boss@example.com", json!({"employeeNumber": "1"}));
        let profile = json!({"managerId": "1", "title": "Engineer", "department": "R&D",
            "employeeNumber": "2", "mobilePhone": "+39 1", "badge": 7});
        let ada = org.add_user("ada@example.com", profile);
        let ben = org.add_user("ben@example.com", json!({"managerId": "BOSS@example.com"}));
        let staff = org.add_group("Staff", "OKTA_GROUP");
        org.add_group("Imported", "APP_GROUP");
        org.join(&staff, &ada);
        org.join(&staff, &ben);
        org.pass(3_600);
        (boss, ada, ben, staff)
    });
    let source = reader(app, &fake, json!({}));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let found = [&tested["ok"], &tested["users"], &tested["groups"]];
    assert_eq!(found, [&json!(true), &json!(3), &json!(1)], "{tested}");
    assert!(tested["warnings"][0].as_str().is_some_and(|w| w.contains("app_groups")), "{tested}");

    let run = source.sync();
    let counts = &run["counts"];
    let created = [&counts["users"]["created"], &counts["groups"]["created"]];
    assert_eq!((created, &run["mode"]), ([&json!(3), &json!(1)], &json!("full")), "{run}");
    assert_eq!(counts["memberships"]["added"], 2, "{run}");
    let seen = source.user(&ada);
    assert_eq!((&seen["job_title"], &seen["state"]), (&json!("Engineer"), &json!("active")));
    let raw = &seen["raw_attributes"];
    assert_eq!(raw["okta"], json!({"managerId": "1", "badge": 7}));
    assert_eq!(raw[ENTERPRISE]["department"], "R&D");
    assert_eq!(raw["phoneNumbers"][0]["type"], "mobile");
    for user in [&ada, &ben] {
        let manager = &source.user(user)["raw_attributes"][ENTERPRISE]["manager"]["value"];
        assert_eq!(*manager, source.user(&boss)["id"]);
    }
    // Nobody is to see what was never asked for.
    assert!(!seen.to_string().contains("s3cret"));

    assert_eq!(told_of(&source, &fake, |_| {}), [""; 0]);
    assert_eq!(told_by_everything(&source), [""; 0]);

    let told = |happens: &dyn Fn(&mut Org)| told_of(&source, &fake, |org| happens(org));
    let updated = |user: &str| vec![format!("user.updated {user}")];
    let state = |user: &str| source.user(user)["state"].clone();
    // A lockout ends by itself.
    assert_eq!(told(&|org| org.set_status(&ada, "LOCKED_OUT")), [""; 0]);
    assert_eq!(told(&|org| org.set_status(&ada, "ACTIVE")), [""; 0]);
    assert_eq!(told(&|org| org.set_status(&ben, "SUSPENDED")), updated(&ben));
    assert_eq!(state(&ben), "inactive");
    assert_eq!(source.user(&ben)["raw_attributes"]["accountState"], "suspended");
    assert_eq!(told_by_everything(&source), [""; 0]);
    assert_eq!(told(&|org| org.set_status(&ben, "ACTIVE")), updated(&ben));
    assert_eq!(state(&ben), "active");
    // A deactivated user is in no list of members, and has not left the group by that.
    assert_eq!(told(&|org| org.set_status(&ben, "DEPROVISIONED")), updated(&ben));
    assert_eq!(state(&ben), "inactive");
    assert_eq!(told_by_everything(&source), [""; 0]);
    assert_eq!(told(&|org| org.set_status(&ben, "ACTIVE")), updated(&ben));
    assert_eq!(source.user(&ben)["groups"][0]["idp_id"], json!(staff));

    let renamed = json!({"login": "lane@example.com", "title": null});
    assert_eq!(told(&|org| org.change_user(&ada, renamed.clone())), updated(&ada));
    let seen = source.user(&ada);
    assert_eq!((&seen["username"], &seen["job_title"]), (&json!("lane@example.com"), &json!(null)));
    let manager = json!({"managerId": "lane@example.com"});
    assert_eq!(told(&|org| org.change_user(&ben, manager.clone())), updated(&ben));
    let manager = &source.user(&ben)["raw_attributes"][ENTERPRISE]["manager"]["value"];
    assert_eq!(*manager, seen["id"]);
    assert_eq!(told_by_everything(&source), [""; 0]);

    let left = [format!("group.user_removed {ada} {staff}")];
    assert_eq!(told(&|org| org.leave(&staff, &ada)), left);
    let joined = [format!("group.user_added {ada} {staff}")];
    assert_eq!(told(&|org| org.join(&staff, &ada)), joined);
    assert_eq!(told(&|_| {}), [""; 0]);
    fake.asked();
    let renamed = told(&|org| org.rename_group(&staff, "Crew"));
    assert_eq!(renamed, [format!("group.updated {staff}")]);
    // Members are read of groups whose members have changed.
    let asked: Vec<String> = fake.asked().into_iter().map(|asked| asked.target).collect();
    assert!(!asked.iter().any(|target| target.contains(&format!("/{staff}/users"))), "{asked:?}");

    // Who is taken out of a group while nobody lists it, and who is deleted, stands in the log.
    assert_eq!(told(&|org| org.set_status(&ben, "DEPROVISIONED")), updated(&ben));
    let left = [format!("group.user_removed {ben} {staff}")];
    assert_eq!(told(&|org| org.leave(&staff, &ben)), left);
    assert_eq!(told(&|org| org.delete_user(&ben)), [format!("user.deleted {ben}")]);
    assert_eq!(told(&|org| org.delete_group(&staff)), [format!("group.deleted {staff}")]);
    assert_eq!(source.users().keys().collect::<Vec<_>>(), [&boss, &ada]);
    let reasons = source.reasons();
    let of_ben = ("dsync.user.updated".to_owned(), Some("pull_suspended".to_owned()));
    assert!(reasons.contains(&of_ben), "{reasons:?}");
}

#[test]
fn deactivated_members_who_come_back_have_the_groups_that_nobody_has_listed() {
    let app = app();
    let (fake, users, staff) = crowd(3);
    fake.data(|org| {
        org.joins_links = true;
        org.set_status(&users[2], "DEPROVISIONED");
    });
    let source = reader(&app, &fake, json!({}));
    let run = source.sync();
    let counts = &run["counts"];
    let counted = [&counts["users"]["created"], &counts["memberships"]["added"]];
    assert_eq!(counted, [&json!(3), &json!(2)], "{run}");
    let back = &users[2];
    let told = told_of(&source, &fake, |org| org.set_status(back, "ACTIVE"));
    let added = format!("group.user_added {back} {staff}");
    assert_eq!(told, [format!("user.updated {back}"), added]);
    assert_eq!(told_by_everything(&source), [""; 0]);
}

#[test]
fn membership_that_ended_while_nobody_listed_it_does_not_come_back() {
    let app = app();
    let (fake, users, staff) = crowd(3);
    let other = fake.data(|org| {
        let other = org.add_group("Other", "OKTA_GROUP");
        org.join(&other, &users[2]);
        org.pass(3_600);
        other
    });
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let back = &users[2];
    told_of(&source, &fake, |org| org.set_status(back, "DEPROVISIONED"));
    // The removal falls on a complete read, which asks for no log.
    app.clock.advance(Duration::from_secs(7_200));
    fake.data(|org| {
        org.pass(7_200);
        org.leave(&staff, back);
        org.pass(7_200);
    });
    assert_eq!(told_by_everything(&source), [""; 0]);
    let told = told_of(&source, &fake, |org| org.set_status(back, "ACTIVE"));
    assert_eq!(
        told,
        [format!("user.updated {back}"), format!("group.user_removed {back} {staff}")]
    );
    let groups = format!(
        "/directory_groups?directory={}&user={}",
        source.handle.id,
        source.user(back)["id"].as_str().expect("an id")
    );
    let listed = app.api.get(&groups).expect(200).body;
    assert_eq!((&listed["data"][0]["idp_id"], &listed["data"][1]), (&json!(other), &json!(null)));
}

#[test]
fn who_is_let_in_by_a_search_is_in_the_groups_at_once() {
    let app = app();
    let (fake, users, staff) = crowd(2);
    fake.data(|org| {
        org.change_user(&users[0], json!({"department": "Sales"}));
        org.pass(3_600);
    });
    let source = reader(&app, &fake, json!({"user_search": "profile.department eq \"Sales\""}));
    source.sync();
    let new = &users[1];
    let told = told_of(&source, &fake, |org| org.change_user(new, json!({"department": "Sales"})));
    assert_eq!(told, [format!("user.created {new}"), format!("group.user_added {new} {staff}")]);
}

#[test]
fn without_the_log_deletions_are_found_by_reading_everything() {
    let app = app();
    let (fake, users, staff) = crowd(5);
    fake.data(|org| org.shows_log = false);
    let source = reader(&app, &fake, json!({}));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let warning = tested["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("System Log") && warning.contains("403"), "{tested}");
    source.sync();
    let gone = &users[0];
    let told = told_of(&source, &fake, |org| {
        org.set_status(gone, "DEPROVISIONED");
        org.delete_user(gone);
    });
    assert_eq!(told, [""; 0]);
    app.clock.advance(Duration::from_secs(24 * 3_600));
    let told = source.events();
    assert_eq!(source.sync()["mode"], "full");
    let expected = [format!("group.user_removed {gone} {staff}"), format!("user.deleted {gone}")];
    assert_eq!(source.told(told), expected);
    // A token that has ended is no log that may not be read.
    fake.fault(Fault::instead("/logs", error(401, "E0000011", "Invalid token provided")));
    let run = source.run(json!({}));
    assert_eq!(
        (&run["status"], &source.view()["state"]),
        (&json!("failed"), &json!("invalid_credentials"))
    );
}

#[test]
fn configuration_says_who_comes_in_and_how() {
    let app = app();
    let fake = start(NOW_MS);
    let statuses = [
        "ACTIVE",
        "PASSWORD_EXPIRED",
        "RECOVERY",
        "LOCKED_OUT",
        "STAGED",
        "PROVISIONED",
        "SUSPENDED",
        "DEPROVISIONED",
    ];
    let users = fake.data(|org| {
        let (imported, sales) =
            (org.add_group("Imported", "APP_GROUP"), org.add_group("Sales", "OKTA_GROUP"));
        let mut users = Vec::new();
        for status in statuses {
            let name = format!("{}@example.com", status.to_lowercase());
            let user = org.add_user(&name, json!({"department": "Sales"}));
            org.set_status(&user, status);
            org.join(&imported, &user);
            org.join(&sales, &user);
            users.push(user);
        }
        org.add_user("other@example.com", json!({"department": "Shop"}));
        org.pass(3_600);
        users
    });
    let states = |source: &Source<'_>| -> Vec<String> {
        let seen = source.users();
        let state =
            |user: &String| seen.get(user).map_or("-", |user| user.rsplit(' ').next().unwrap());
        users.iter().map(|user| state(user).to_owned()).collect()
    };
    let usual = reader(&app, &fake, json!({}));
    usual.sync();
    let (on, off, none) = ("active", "inactive", "-");
    assert_eq!(states(&usual), [on, on, on, on, off, on, off, off]);
    assert_eq!(usual.users().len(), 9);
    let more = json!({
        "lockout_is_inactive": true, "staged": "active", "provisioned": "left_out",
        "deprovisioned": "left_out", "app_groups": true, "built_in_groups": true,
        "user_search": "profile.department eq \"Sales\"", "group_search": "profile.name sw \"I\"",
    });
    let other = reader(&app, &fake, more);
    let run = other.sync();
    assert_eq!(states(&other), [on, on, on, off, on, none, off, none]);
    assert_eq!(run["counts"]["groups"]["created"], 1, "{run}");
    assert_eq!(run["counts"]["memberships"]["added"], 6, "{run}");
    assert_eq!(other.users().len(), 6);
    // Who is left out later goes; who comes back has its groups again.
    let told = told_of(&other, &fake, |org| org.set_status(&users[0], "DEPROVISIONED"));
    assert_eq!(told.last(), Some(&format!("user.deleted {}", users[0])));
    let told = told_of(&other, &fake, |org| org.set_status(&users[0], "ACTIVE"));
    assert_eq!(told.len(), 2, "{told:?}");
    let asked: Vec<String> = fake.asked().into_iter().map(|asked| asked.target).collect();
    assert!(asked.iter().any(|t| t.contains("search=%28profile.department+eq+%22Sales%22%29+and")));

    let new = |config: Value| {
        let body = json!({"organization_id": app.directory.organization_id, "name": "S",
            "kind": "pull.okta", "config": config});
        app.api.post("/api/v1/directories", body)
    };
    let url = "https://example.okta.com";
    let pem = pem(include_bytes!("../../support/keys/first.pkcs8"));
    for (config, field) in [
        (json!({"api_token": "x"}), "config.org_url"),
        (json!({"org_url": "http://127.0.0.1:1", "api_token": "x"}), "config.org_url"),
        (json!({"org_url": "https://example-admin.okta.com", "api_token": "x"}), "config.org_url"),
        (json!({"org_url": format!("{url}/api/v1"), "api_token": "x"}), "config.org_url"),
        (json!({"org_url": url}), "config.api_token"),
        (json!({"org_url": url, "api_token": "x", "client_id": "y"}), "config.api_token"),
        (json!({"org_url": url, "client_id": "y"}), "config.private_key"),
        (json!({"org_url": url, "private_key": "y"}), "config.client_id"),
        (json!({"org_url": url, "client_id": "y", "private_key": "z"}), "config.private_key"),
        (json!({"org_url": url, "client_id": "y", "private_key": pem}), "config.private_key_id"),
        (
            json!({"org_url": url, "api_token": "x", "rate_limit_percent": 0}),
            "config.rate_limit_percent",
        ),
    ] {
        assert_invalid(&new(config), field);
    }
}

#[test]
fn failing_organization_takes_nothing_away() {
    let app = app();
    let (fake, users, staff) = crowd(8);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let (told, seen) = (source.events(), source.users());
    let busy = json!({"errorCode": "E0000047", "errorSummary": "slow down"});
    let members = format!("/groups/{staff}/users");
    let refusal = format!("the token {API_TOKEN} has ended");
    for (fault, state, message) in [
        (
            Fault::instead("/users", error(401, "E0000011", "Invalid token provided")),
            "invalid_credentials",
            "401: Invalid token provided",
        ),
        (
            Fault::instead("/users", error(401, "E0000011", &refusal)),
            "invalid_credentials",
            "401: the token [secret] has ended",
        ),
        (
            Fault::instead(&members, error(403, "E0000006", "No.")),
            "invalid_credentials",
            "403: No.",
        ),
        (
            Fault::instead("/users?", error(500, "E0000009", "Oops.")).after(1),
            "error",
            "500: Oops.",
        ),
        (Fault::busy("/users?", 86_400, &busy), "error", "429: slow down"),
        (Fault::truncated(&members), "error", "no JSON"),
        (Fault::cut("/groups?"), "error", ""),
        (Fault::closed("/users?").after(1), "error", ""),
        (Fault::stuck("/users?"), "error", "the same page again"),
        (Fault::stuck(&members), "error", "the same page again"),
        (
            Fault::replaced("/users?", &fake.url, "https://elsewhere.example"),
            "error",
            "leads to elsewhere.example",
        ),
        (Fault::instead("/users?", Said::json(200, &json!({"users": []}))), "error", "is no list"),
        (Fault::rows("/users?", "", |rows| rows.push(json!(7))), "error", "is no object"),
    ] {
        fake.heal();
        fake.fault(fault);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{run}");
        let error = run["error"].as_str().expect("an error");
        assert!(error.contains(message) && !error.contains(API_TOKEN), "{error}");
        let view = source.view();
        assert_eq!((&view["state"], &view["last_error"]), (&json!(state), &run["error"]));
        assert!(!view.to_string().contains(API_TOKEN));
        assert_eq!((source.events(), source.users()), (told, seen.clone()), "{error}");
    }
    // An answer that is good, and empty or half of what it was because of a lost permission.
    for shrinks in [|rows: &mut Vec<Value>| rows.clear(), |rows: &mut Vec<Value>| rows.truncate(1)]
    {
        fake.heal();
        fake.fault(Fault::rows("/users?", "", shrinks));
        // Whom no list shows is not to be seen by the id either.
        fake.fault(Fault::instead("/users/", error(404, "E0000007", "Not found")));
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], source.users()), (&json!("held"), seen.clone()), "{run}");
    }
    // What cannot be used is listed, and nobody counts as missing then.
    fake.heal();
    fake.fault(Fault::rows("/users?", "", |rows| {
        rows.retain(|row| row["profile"]["login"] != "user8@example.com");
        if let Some(first) =
            rows.iter_mut().find(|row| row["profile"]["login"] == "user1@example.com")
        {
            first["status"] = "FROZEN".into();
        }
    }));
    fake.fault(Fault::instead("/users/", error(404, "E0000007", "Not found")));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(source.diff(&run), [format!("skip user {} failed", users[0])]);
    // Rows that come twice, and a group that goes between two requests.
    fake.heal();
    fake.fault(Fault::rows("/users?", "", |rows| rows.extend(rows.clone())));
    assert_eq!(told_by_everything(&source), [""; 0]);
    assert_eq!((source.users(), source.view()["state"].clone()), (seen, json!("linked")));
    fake.heal();
    let gone = fake.data(|org| org.add_group("Gone", "OKTA_GROUP"));
    fake.fault(Fault::instead(&format!("/groups/{gone}"), error(404, "E0000007", "Not found")));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(
        (&run["status"], &run["counts"]["groups"]["created"]),
        (&json!("completed"), &json!(0))
    );
    assert_eq!(source.events(), told);
}

#[test]
fn busy_organization_is_waited_for_and_others_have_their_share() {
    let app = app();
    let (fake, _, staff) = crowd(8);
    let busy = json!({"errorCode": "E0000047", "errorSummary": "slow down"});
    let now = fake.data(|org| org.now_ms);
    fake.fault(Fault::busy("/users?", 0, &busy).once());
    fake.fault(Fault::busy_until("/users?", 0, &busy).after(2).once());
    fake.fault(Fault::instead("/groups?", too_many_at_once()).times(2));
    fake.fault(Fault::instead(&format!("/groups/{staff}/users"), too_many(now, 1)).once());
    let began = Instant::now();
    let source = reader(&app, &fake, json!({}));
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 8, "{run}");
    assert!(began.elapsed() >= Duration::from_secs(1), "the window ends after a second");
    // Half of the limit is left, and that is for others; the window ends after a second.
    fake.heal();
    fake.data(|org| {
        org.limit = (600, 300);
        org.page = 5;
    });
    let began = Instant::now();
    assert_eq!(told_by_everything(&source), [""; 0]);
    assert!(began.elapsed() >= Duration::from_secs(1), "the second page comes in the next window");
}

/// A key as Okta shows it once: a private JSON Web Key on P-256, and its public half.
fn ec_jwk(kid: &str) -> (String, Value) {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect("a key");
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let point = pair.public_key().as_ref();
    let public = json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": text(&point[1..33]),
        "y": text(&point[33..])});
    let mut private = public.clone();
    // The number itself stands behind 36 bytes in the form that ring writes (RFC 5915).
    private["d"] = text(&der.as_ref()[36..68]).into();
    (private.to_string(), public)
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

#[test]
fn service_app_signs_who_it_is_and_renews_its_token() {
    let app = app();
    let (fake, ..) = crowd(4);
    let (jwk, public) = ec_jwk("ec-1");
    fake.data(|org| {
        org.keys = vec![public, SigningKey::rsa().jwk("rsa-1")];
        // Okta's clock and that of the test are those of one world.
        org.now_ms = NOW_MS;
    });
    let rsa = pem(include_bytes!("../../support/keys/first.pkcs8"));
    let other = pem(include_bytes!("../../support/keys/second.pkcs8"));
    let tokens = |fake: &Fake<Org>| {
        fake.asked().iter().filter(|asked| asked.target == "/oauth2/v1/token").count()
    };
    for config in [
        json!({"client_id": CLIENT_ID, "private_key": jwk}),
        json!({"client_id": CLIENT_ID, "private_key": rsa, "private_key_id": "rsa-1"}),
    ] {
        let source = reader(&app, &fake, config);
        assert_eq!(source.sync()["counts"]["users"]["created"], 4);
        assert_eq!(tokens(&fake), 1, "one token is enough");
        // Access tokens may be revoked in the middle of a read.
        let expired = error(401, "E0000011", "Invalid token provided");
        fake.fault(Fault::instead("/users?", expired.clone()).after(1).once());
        assert_eq!(source.sync()["status"], "completed");
        assert_eq!(tokens(&fake), 2);
        fake.heal();
        fake.fault(Fault::instead("/users?", expired));
        let run = source.run(json!({}));
        assert_eq!((&run["status"], tokens(&fake)), (&json!("failed"), 2), "{run}");
        assert_eq!(source.view()["state"], "invalid_credentials");
        fake.heal();
        let shown = source.view().to_string();
        assert!(
            !shown.contains("PRIVATE") && !shown.contains("\"d\"") && !shown.contains("s3cret")
        );
    }
    let source = reader(
        &app,
        &fake,
        json!({"client_id": CLIENT_ID, "private_key": other, "private_key_id": "rsa-1"}),
    );
    for (change, message) in [
        (None, "The signature of the assertion is invalid."),
        (Some(json!({"private_key": rsa, "private_key_id": "old"})), "kid"),
        (
            Some(json!({"private_key_id": "rsa-1", "scopes": "okta.users.read okta.apps.read"})),
            "not granted the scope okta.apps.read",
        ),
    ] {
        if let Some(change) = change {
            app.api.patch(&source.path, json!({"config": change})).expect(200);
        }
        let run = source.run(json!({}));
        assert_eq!(
            (&run["status"], &source.view()["state"]),
            (&json!("failed"), &json!("invalid_credentials"))
        );
        assert!(run["error"].as_str().is_some_and(|e| e.contains(message)), "{run}");
    }
    fake.data(|org| org.wants_dpop = true);
    let scopes = json!({"config": {"scopes": "okta.users.read okta.groups.read"}});
    app.api.patch(&source.path, scopes).expect(200);
    let run = source.run(json!({}));
    assert!(run["error"].as_str().is_some_and(|e| e.contains("Turn off \"Require")), "{run}");
    fake.data(|org| org.wants_dpop = false);
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let warning = tested["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("okta.logs.read"), "{tested}");
    assert_eq!(source.sync()["counts"]["users"]["created"], 4);
    assert_eq!(source.sync()["mode"], "incremental");
}
