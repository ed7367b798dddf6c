//! `pull.active-directory` against a domain controller of Samba: what `ldbsearch` lists is what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use super::ldap::{Expected, all, assert_nothing_done, first, listed};
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::samba::{BASE, Samba};
use crate::support::slapd::Listed;
use crate::support::{Database, TestApp};

on_both_databases![
    heavy_domain_arrives_exactly_and_is_followed_by_dirsync,
    heavy_domain_arrives_exactly_and_is_followed_by_usn_changed,
];

const USERS: &str = "(&(objectCategory=person)(objectClass=user))";
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A time since 1970 in seconds as the domain writes it.
fn filetime(seconds: i64) -> i64 {
    (seconds + 11_644_473_600) * 10_000_000
}

fn expected(samba: &Samba, now_ms: i64) -> Expected {
    let id = |entry: &Listed| first(entry, "objectGUID").expect("an id").to_owned();
    let dn = |entry: &Listed| first(entry, "dn").expect("a name").to_owned();
    let everybody = samba.search(BASE, USERS);
    let is_staff = |entry: &&Listed| dn(entry).ends_with(&format!(",OU=Staff,{BASE}"));
    let staff: Vec<&Listed> = everybody.iter().filter(is_staff).collect();
    let by_dn: BTreeMap<String, String> =
        staff.iter().map(|entry| (dn(entry), id(entry))).collect();
    let number = |entry: &Listed, name: &str| {
        first(entry, name).map_or(0, |text| text.parse::<i64>().expect("a number"))
    };
    let user = |entry: &Listed| {
        let ends = number(entry, "accountExpires");
        let has_ended = ends > 0 && ends < i64::MAX && ends <= filetime(now_ms / 1_000);
        let is_disabled = number(entry, "userAccountControl") & 2 != 0;
        let account = first(entry, "sAMAccountName").expect("an account");
        let name = first(entry, "userPrincipalName").map(str::to_owned);
        let mut emails: Vec<&str> = all(entry, "mail").map(String::as_str).collect();
        for kind in ["SMTP:", "smtp:"] {
            for email in all(entry, "proxyAddresses").filter_map(|email| email.strip_prefix(kind)) {
                if !emails.contains(&email) {
                    emails.push(email);
                }
            }
        }
        json!({
            "username": name.unwrap_or_else(|| format!("{account}@corp.test")),
            "first_name": first(entry, "givenName"),
            "last_name": first(entry, "sn"),
            "job_title": first(entry, "title"),
            "state": if is_disabled || has_ended { "inactive" } else { "active" },
            "emails": emails,
            "phones": all(entry, "telephoneNumber").collect::<Vec<_>>(),
            "number": first(entry, "employeeID"),
            "department": first(entry, "department"),
            "manager": first(entry, "manager").and_then(|manager| by_dn.get(manager)),
        })
    };
    let users = staff.iter().map(|entry| (id(entry), user(entry))).collect();
    let groups = samba.search(BASE, "(objectCategory=group)");
    let group_dns: BTreeSet<String> = groups.iter().map(dn).collect();
    let (mut memberships, mut nested) = (BTreeSet::new(), 0);
    for group in &groups {
        nested += all(group, "member").filter(|member| group_dns.contains(*member)).count();
        let known = all(group, "member").filter_map(|member| by_dn.get(member));
        memberships.extend(known.map(|member| (id(group), member.clone())));
    }
    let named =
        groups.iter().map(|group| (id(group), first(group, "cn").expect("a cn").to_owned()));
    Expected { groups: named.collect(), users, memberships, nested }
}

fn reader<'a>(app: &'a TestApp, config: Value) -> Source<'a> {
    Source::new(app, "pull.active-directory", config, json!({"schedule": "off"}))
}

/// What an administrator does in a day. `SOON` is tomorrow.
const CHANGES: &str = "\
dn: CN=New One,OU=Staff,DC=corp,DC=test
changetype: add
objectClass: user
sAMAccountName: new1
userPrincipalName: new1@corp.test
userAccountControl: 544
givenName: New
sn: One
mail: new1@corp.test
manager: CN=Ad User 0001,OU=Staff,DC=corp,DC=test

dn: CN=Ad User 0100,OU=Staff,DC=corp,DC=test
changetype: modify
replace: title
title: Staff Engineer
-
delete: mail

dn: CN=Ad User 0101,OU=Staff,DC=corp,DC=test
changetype: modrdn
newrdn: CN=Renamed
deleteoldrdn: 1

dn: CN=Renamed,OU=Staff,DC=corp,DC=test
changetype: modify
replace: userPrincipalName
userPrincipalName: renamed@corp.test

dn: OU=Lab,OU=Staff,DC=corp,DC=test
changetype: add
objectClass: organizationalUnit

dn: CN=Ad User 0110,OU=Staff,DC=corp,DC=test
changetype: modrdn
newrdn: CN=Ad User 0110
deleteoldrdn: 1
newsuperior: OU=Lab,OU=Staff,DC=corp,DC=test

dn: CN=Ad User 0103,OU=Staff,DC=corp,DC=test
changetype: modify
replace: userAccountControl
userAccountControl: 546

dn: CN=Ad User 0105,OU=Staff,DC=corp,DC=test
changetype: delete

dn: CN=Ad User 0106,OU=Staff,DC=corp,DC=test
changetype: modrdn
newrdn: CN=Ad User 0106
deleteoldrdn: 1
newsuperior: OU=Away,DC=corp,DC=test

dn: CN=Ad User 0107,OU=Staff,DC=corp,DC=test
changetype: modify
replace: accountExpires
accountExpires: 132223104000000000

dn: CN=Ad User 0108,OU=Staff,DC=corp,DC=test
changetype: modify
replace: accountExpires
accountExpires: SOON

dn: OU=Leavers,OU=Staff,DC=corp,DC=test
changetype: modrdn
newrdn: OU=Leavers
deleteoldrdn: 1
newsuperior: OU=Away,DC=corp,DC=test

dn: OU=Visitors,OU=Staff,DC=corp,DC=test
changetype: modrdn
newrdn: OU=Guests
deleteoldrdn: 1

dn: CN=Everybody,OU=Groups,DC=corp,DC=test
changetype: modify
delete: member
member: CN=Ad User 1600,OU=Staff,DC=corp,DC=test

dn: CN=CycleX,OU=Groups,DC=corp,DC=test
changetype: modify
add: member
member: CN=Ad User 0200,OU=Staff,DC=corp,DC=test

dn: CN=CycleY,OU=Groups,DC=corp,DC=test
changetype: modrdn
newrdn: CN=CycleZ
deleteoldrdn: 1

dn: CN=Fresh,OU=Groups,DC=corp,DC=test
changetype: add
objectClass: group
sAMAccountName: Fresh
member: CN=Ad User 0200,OU=Staff,DC=corp,DC=test
member: CN=New One,OU=Staff,DC=corp,DC=test

dn: CN=Mailing,OU=Groups,DC=corp,DC=test
changetype: delete
";

fn heavy_domain_arrives_exactly_and_is_followed_by_dirsync(app: &TestApp) {
    follow(app, "dirsync");
}

fn heavy_domain_arrives_exactly_and_is_followed_by_usn_changed(app: &TestApp) {
    follow(app, "usnchanged");
}

fn follow(app: &TestApp, method: &str) {
    let Some(samba) = Samba::start() else { return };
    let now = || app.clock.now_ms();
    let before = expected(&samba, now());
    assert_eq!(before.users.len(), 1_700);
    let source = reader(app, samba.config(json!({"incremental": method, "bind_dn": "CORP\\sync"})));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let found = [&tested["ok"], &tested["users"], &tested["groups"]];
    assert_eq!(found, [&json!(true), &json!(1_700), &json!(before.groups.len())], "{tested}");
    assert_eq!(tested["warnings"], json!(["The connection is not encrypted."]));

    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 1_700, "{run}");
    assert_eq!(run["counts"]["users"]["failed"], 0, "members who are no users are no fault: {run}");
    let memberships = before.memberships.len() + before.nested;
    assert_eq!(run["counts"]["memberships"]["added"], memberships, "{run}");
    before.assert_arrived(&source);

    // Nothing has changed: neither the changes nor everything have anything to tell.
    let told = source.events();
    let again = source.sync();
    assert_eq!(again["mode"], "incremental", "{method}");
    assert_nothing_done(&again);
    assert_eq!(again["counts"]["users"]["unchanged"], 0, "nobody was read: {again}");
    app.clock.advance(DAY + DAY / 24);
    let whole = source.sync();
    assert_eq!(
        (&whole["mode"], &whole["counts"]["users"]["unchanged"]),
        (&json!("full"), &json!(1_700))
    );
    assert_nothing_done(&whole);
    assert_eq!(source.told(told), [""; 0]);

    let soon = filetime(now() / 1_000 + 24 * 3_600).to_string();
    samba.modify(&CHANGES.replace("SOON", &soon));
    lock_out(&samba, "ad0104@corp.test");
    let after = expected(&samba, now());
    let run = source.sync();
    assert_eq!(run["mode"], "incremental", "{run}");
    let mut events = source.told(told);
    events.sort_unstable();
    assert_eq!(events, after.events_since(&before));
    after.assert_arrived(&source);
    let is_missing =
        |(_, reason): &(String, Option<String>)| reason.as_deref() == Some("pull_missing");
    assert!(source.reasons().iter().any(is_missing));

    // An account ends on its day, of which the server tells nothing.
    let told = source.events();
    app.clock.advance(DAY + DAY);
    let run = source.run(json!({"mode": "incremental"}));
    assert_eq!(
        (&run["mode"], &run["status"]),
        (&json!("incremental"), &json!("completed")),
        "{run}"
    );
    let ended = expected(&samba, now());
    assert_eq!(source.told(told), ended.events_since(&after));
    assert_eq!(source.events(), told + 1);
    // A read of everything agrees.
    let whole = source.sync();
    assert_eq!(whole["mode"], "full");
    assert_nothing_done(&whole);
    assert_eq!(source.events(), told + 1);
}

/// Locks an account by wrong passwords.
fn lock_out(samba: &Samba, account: &str) {
    samba.modify(&format!(
        "dn: {BASE}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n"
    ));
    for _ in 0..3 {
        samba.fail_to_log_in(account);
    }
    let filter = format!("(&(userPrincipalName={account})(lockoutTime>=1))");
    assert_eq!(samba.search(BASE, &filter).len(), 1, "{account} is locked");
}

fn on_sqlite() -> TestApp {
    TestApp::start(Database::sqlite())
}

/// A source of the first hundred users.
fn hundred<'a>(app: &'a TestApp, samba: &Samba, more: Value) -> Source<'a> {
    let mut config = samba.config(more);
    config["user_filter"] = json!("(&(objectCategory=person)(sAMAccountName=ad00*))");
    let settings = json!({"schedule": "off", "guard": "off"});
    Source::new(app, "pull.active-directory", config, settings)
}

fn members(source: &Source<'_>, group: &str) -> BTreeSet<String> {
    let users = listed(source, "/directory_users");
    let is_in = |user: &&Value| {
        user["groups"].as_array().expect("a list").iter().any(|known| known["name"] == group)
    };
    let name = |user: &Value| user["username"].as_str().expect("a name").replace("@corp.test", "");
    users.iter().filter(is_in).map(name).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn heavy_lockouts_count_where_they_are_to_and_groups_are_expanded() {
    let Some(samba) = Samba::start() else { return };
    let app = on_sqlite();
    let config = json!({"lockout_is_inactive": true, "nested_groups": "expand", "primary_groups": true,
        "extra_attributes": "extensionAttribute1"});
    let source = hundred(&app, &samba, config);
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 100, "{run}");
    let of_both = names(&["ad0001", "ad0002"]);
    assert_eq!(
        (members(&source, "CycleX"), members(&source, "CycleY")),
        (of_both.clone(), of_both)
    );
    assert_eq!(members(&source, "Company").len(), 100);
    assert_eq!(members(&source, "Domain Users").len(), 100, "it is everybody's primary group");
    assert_eq!(members(&source, "Mailing"), names(&["ad0003"]));

    let state = |name: &str| {
        let users = listed(&source, "/directory_users").into_iter();
        let mut users = users.filter(|user| user["username"] == format!("{name}@corp.test"));
        users.next().expect("the user is there")["state"].clone()
    };
    lock_out(&samba, "ad0004@corp.test");
    let told = source.events();
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!((state("ad0004"), source.events()), (json!("inactive"), told + 1));
    let dn = format!("CN=Ad User 0004,OU=Staff,{BASE}");
    samba.modify(&format!("dn: {dn}\nchangetype: modify\nreplace: lockoutTime\nlockoutTime: 0\n"));
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!((state("ad0004"), source.events()), (json!("active"), told + 2));

    // Who is in the inner group is in the outer one, and a group that goes takes its members with it.
    samba.modify(&format!(
        "dn: CN=CycleY,OU=Groups,{BASE}\nchangetype: modify\nadd: member\nmember: {dn}\n\n\
         dn: CN=Unit0,OU=Groups,{BASE}\nchangetype: delete\n"
    ));
    let run = source.sync();
    assert_eq!(run["mode"], "incremental", "{run}");
    assert_eq!(members(&source, "CycleX"), names(&["ad0001", "ad0002", "ad0004"]));
    assert_eq!(members(&source, "Company"), names(&["ad0001", "ad0002", "ad0003", "ad0004"]));

    // Groups that are kept beside a user change without the user.
    let kept = json!({"config": {"extra_attributes": "memberOf", "nested_groups": "keep", "primary_groups": false}});
    app.api.patch(&source.path, kept).expect(200);
    source.sync();
    let groups = || {
        let users = listed(&source, "/directory_users").into_iter();
        let mut users = users.filter(|user| user["username"] == "ad0004@corp.test");
        users.next().expect("the user is there")["raw_attributes"]["memberOf"].to_string()
    };
    assert!(groups().contains("CN=CycleY"), "{}", groups());
    samba.modify(&format!(
        "dn: CN=CycleY,OU=Groups,{BASE}\nchangetype: modify\ndelete: member\nmember: {dn}\n"
    ));
    source.sync();
    assert!(!groups().contains("CN=CycleY"), "{}", groups());
}

#[test]
fn heavy_server_that_dies_refuses_or_was_restored_takes_nothing_away() {
    let Some(samba) = Samba::start() else { return };
    let app = on_sqlite();
    let source = hundred(&app, &samba, json!({"page_size": 20}));
    source.sync();
    let (told, users) = (source.events(), listed(&source, "/directory_users"));
    let set = |config: Value| app.api.patch(&source.path, json!({"config": config})).expect(200);
    let failed = |state: &str, message: &str| {
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{run}");
        let error = run["error"].as_str().expect("an error");
        assert!(error.contains(message) && !error.contains("pw-of-nobody"), "{error}");
        assert_eq!(source.view()["state"], state, "{error}");
        assert_eq!(source.events(), told, "{error}");
    };
    set(json!({"bind_password": "pw-of-nobody"}));
    failed("invalid_credentials", "49 (invalidCredentials)");
    set(json!({"bind_password": "Passw0rd!sync", "user_base": "OU=Staff,DC=other,DC=test"}));
    failed("error", "which is not in DC=corp,DC=test");
    set(json!({"user_base": format!("OU=Nobody,{BASE}")}));
    failed("error", "32 (noSuchObject)");
    set(json!({"user_base": format!("OU=Staff,{BASE}")}));

    // From a backup it is older than what was read, and does not know who has come since: what it lists is
    // believed only by somebody's word.
    for method in ["usnchanged", "dirsync"] {
        set(json!({"incremental": method}));
        assert_eq!(source.sync()["mode"], "full");
        let title = |n: usize| {
            let dn = format!("CN=Ad User {n:04},OU=Staff,{BASE}");
            format!("dn: {dn}\nchangetype: modify\nreplace: title\ntitle: {method}\n\n")
        };
        samba.modify(&(10..80).map(title).collect::<String>());
        let run = source.sync();
        let updated = [&run["mode"], &run["counts"]["users"]["updated"]];
        assert_eq!(updated, [&json!("incremental"), &json!(70)], "{method}: {run}");
        samba.restore();
        let told = source.events();
        for asked in [json!({}), json!({"mode": "full"})] {
            let run = source.run(asked);
            let error = run["error"].as_str().unwrap_or_default();
            assert!(error.contains("the server is behind what was read before"), "{run}");
            assert_eq!(source.events(), told, "{method}");
        }
        set(json!({"incremental": method}));
        let run = source.sync();
        let updated = [&run["mode"], &run["counts"]["users"]["updated"]];
        assert_eq!(updated, [&json!("full"), &json!(70)], "{method}: {run}");
    }
    assert_eq!(listed(&source, "/directory_users").len(), users.len());
    let (told, users) = (source.events(), listed(&source, "/directory_users"));
    // The server dies after some pages.
    set(json!({"url": samba.until(40_000), "bind_password": "Passw0rd!sync"}));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "failed", "{run}");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("the connection")), "{run}");
    assert_eq!((source.events(), listed(&source, "/directory_users")), (told, users));
}

#[test]
fn heavy_lines_are_secured_and_what_an_account_must_not_is_told() {
    let Some(samba) = Samba::start() else { return };
    let app = on_sqlite();
    let tested = |config: Value| {
        let source = hundred(&app, &samba, config);
        let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
        app.api.delete(&source.path).expect(202);
        tested
    };
    let authority = samba.authority();
    let secured = json!({"url": samba.tls_url(), "tls": "ldaps", "ca_pem": authority,
        "certificate_name": "dc1.corp.test"});
    let known = tested(secured.clone());
    assert_eq!((&known["users"], &known["warnings"]), (&json!(100), &json!([])), "{known}");
    let starttls = json!({"tls": "starttls", "ca_pem": authority, "certificate_name": "dc1.corp.test",
        "bind_dn": format!("CN=sync,CN=Users,{BASE}")});
    let known = tested(starttls);
    assert_eq!((&known["users"], &known["warnings"]), (&json!(100), &json!([])), "{known}");
    let mut other = secured.clone();
    other["certificate_name"] = json!("dc2.corp.test");
    let refused = tested(other);
    let error = refused["error"].as_str().expect("an error");
    assert!(error.contains("not valid for name"), "{error}");
    // An account that must not replicate has the numbers, and does not see what was deleted.
    for (method, message) in [("dirsync", "must not replicate"), ("auto", "Deleted Objects")] {
        let mut reader = secured.clone();
        reader["bind_dn"] = json!("reader@corp.test");
        reader["bind_password"] = json!("Passw0rd!reader");
        reader["incremental"] = json!(method);
        let warned = tested(reader);
        let warning = warned["warnings"][0].as_str().expect("a warning");
        assert!(warning.contains(message), "{warned}");
    }
}

#[test]
fn wrong_configurations_are_refused_by_field() {
    let app = on_sqlite();
    let good = json!({"url": "ldaps://dc1.example.com", "tls": "ldaps", "bind_dn": "reader@example.com",
        "bind_password": "x"});
    for (field, value) in [
        ("url", json!("ldap://dc1.example.com")),
        ("url", json!("ldaps://dc1.example.com:3269")),
        ("tls", json!("ssl")),
        ("bind_dn", json!("reader")),
        ("bind_password", json!("")),
        ("user_base", json!("staff")),
        ("user_filter", json!("(a=b")),
        ("group_filter", json!("objectClass=group)(")),
        ("user_name_attribute", json!("unicodePwd")),
        ("extra_attributes", json!("title")),
        ("incremental", json!("syncrepl")),
        ("page_size", json!(0)),
    ] {
        let mut config = good.clone();
        config[field] = value;
        let body = json!({"organization_id": app.directory.organization_id, "name": "A",
            "kind": "pull.active-directory", "config": config});
        assert_invalid(&app.api.post("/api/v1/directories", body), &format!("config.{field}"));
    }
}
