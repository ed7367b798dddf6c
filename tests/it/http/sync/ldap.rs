//! `pull.ldap` against OpenLDAP's slapd: what `ldapsearch` lists is what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::slapd::{BASE, Listed, Slapd};
use crate::support::{Database, ENTERPRISE, TestApp};

on_both_databases![directory_arrives_exactly_and_is_followed];

/// What a source holds, as `ldapsearch` says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// By the source's id.
    pub(super) users: BTreeMap<String, Value>,
    pub(super) groups: BTreeMap<String, String>,
    /// Group and user.
    pub(super) memberships: BTreeSet<(String, String)>,
    /// Groups within groups.
    pub(super) nested: usize,
}

pub(super) fn first<'l>(entry: &'l Listed, name: &str) -> Option<&'l str> {
    Some(entry.get(&name.to_lowercase())?.first()?.as_str())
}

/// A name with its escapes and letters as they are written elsewhere: the server keeps both ways.
fn plain(dn: &str) -> String {
    dn.replace("\\2C", "\\,").replace("\\2B", "\\+").to_lowercase()
}

pub(super) fn all<'l>(entry: &'l Listed, name: &str) -> impl Iterator<Item = &'l String> {
    entry.get(&name.to_lowercase()).into_iter().flatten()
}

impl Expected {
    fn of(slapd: &Slapd) -> Self {
        let people = format!("ou=People,{BASE}");
        let listed = slapd.search(&people, "(objectClass=inetOrgPerson)", &["*", "+"]);
        let id = |entry: &Listed| first(entry, "entryUUID").expect("an id").to_owned();
        let dn = |entry: &Listed| plain(first(entry, "dn").expect("a name"));
        let by_dn: BTreeMap<String, String> =
            listed.iter().map(|entry| (dn(entry), id(entry))).collect();
        let by_uid: BTreeMap<&str, String> =
            listed.iter().filter_map(|entry| Some((first(entry, "uid")?, id(entry)))).collect();
        let user = |entry: &Listed| {
            let locked = first(entry, "pwdAccountLockedTime") == Some("000001010000Z");
            json!({
                "username": first(entry, "uid"),
                "first_name": first(entry, "givenName"),
                "last_name": first(entry, "sn"),
                "job_title": first(entry, "title"),
                "state": if locked { "inactive" } else { "active" },
                "emails": all(entry, "mail").collect::<Vec<_>>(),
                "phones": all(entry, "telephoneNumber").collect::<Vec<_>>(),
                "number": first(entry, "employeeNumber"),
                "department": first(entry, "departmentNumber"),
                "manager": first(entry, "manager").and_then(|dn| by_dn.get(&plain(dn))),
            })
        };
        let users = listed.iter().map(|entry| (id(entry), user(entry))).collect();
        let groups = slapd.search(&format!("ou=Groups,{BASE}"), "(cn=*)", &["*", "+"]);
        let group_dns: BTreeSet<String> = groups.iter().map(dn).collect();
        let (mut memberships, mut nested) = (BTreeSet::new(), 0);
        for group in &groups {
            let own = dn(group);
            let dns = || all(group, "member").chain(all(group, "uniqueMember")).map(|m| plain(m));
            nested += dns().filter(|member| *member != own && group_dns.contains(member)).count();
            let named = dns().filter_map(|member| by_dn.get(&member));
            let uids = all(group, "memberUid").filter_map(|uid| by_uid.get(uid.as_str()));
            let found = all(group, "memberURL").flat_map(|url| {
                let filter = url.rsplit('?').next().expect("a filter");
                slapd.search(&people, filter, &["entryUUID"])
            });
            let found: Vec<String> = found.map(|entry| id(&entry)).collect();
            for member in named.chain(uids).chain(&found) {
                memberships.insert((id(group), member.clone()));
            }
        }
        let groups =
            groups.iter().map(|entry| (id(entry), first(entry, "cn").expect("a cn").to_owned()));
        Self { users, groups: groups.collect(), memberships, nested }
    }

    /// What the app reads of a directory.
    fn arrived(source: &Source<'_>) -> Self {
        let users = listed(source, "/directory_users");
        let ids: BTreeMap<&str, &str> = users
            .iter()
            .map(|user| {
                (user["id"].as_str().expect("an id"), user["idp_id"].as_str().expect("an id"))
            })
            .collect();
        let values = |list: &Value| {
            let elements = list.as_array().into_iter().flatten();
            elements.map(|element| element["value"].clone()).collect::<Vec<_>>()
        };
        let seen = |user: &Value| {
            let raw = &user["raw_attributes"];
            let work = &raw[ENTERPRISE];
            json!({
                "username": user["username"],
                "first_name": user["first_name"],
                "last_name": user["last_name"],
                "job_title": user["job_title"],
                "state": user["state"],
                "emails": values(&raw["emails"]),
                "phones": values(&raw["phoneNumbers"]),
                "number": work["employeeNumber"],
                "department": work["department"],
                "manager": work["manager"]["value"].as_str().map(|id| ids[id]),
            })
        };
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let groups = listed(source, "/directory_groups");
        let memberships = users.iter().flat_map(|user| {
            let groups = user["groups"].as_array().expect("a list").iter();
            groups.map(|group| (text(&group["idp_id"]), text(&user["idp_id"])))
        });
        Self {
            memberships: memberships.collect(),
            users: users.iter().map(|user| (text(&user["idp_id"]), seen(user))).collect(),
            groups: groups
                .iter()
                .map(|group| (text(&group["idp_id"]), text(&group["name"])))
                .collect(),
            nested: 0,
        }
    }

    #[track_caller]
    pub(super) fn assert_arrived(&self, source: &Source<'_>) {
        let arrived = Self::arrived(source);
        assert_eq!(arrived.users.len(), self.users.len());
        for (id, user) in &self.users {
            assert_eq!(arrived.users.get(id), Some(user), "{id}");
        }
        assert_eq!(arrived.groups, self.groups);
        let missing: Vec<_> = self.memberships.difference(&arrived.memberships).collect();
        let surplus: Vec<_> = arrived.memberships.difference(&self.memberships).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "{missing:?} {surplus:?}");
    }

    /// The events that lead from `before` to this.
    pub(super) fn events_since(&self, before: &Self) -> Vec<String> {
        let mut events = Vec::new();
        for (id, user) in &self.users {
            match before.users.get(id) {
                None => events.push(format!("user.created {id}")),
                Some(old) if old != user => events.push(format!("user.updated {id}")),
                Some(_) => {}
            }
        }
        let gone = before.users.keys().filter(|id| !self.users.contains_key(*id));
        events.extend(gone.map(|id| format!("user.deleted {id}")));
        for (id, name) in &self.groups {
            match before.groups.get(id) {
                None => events.push(format!("group.created {id}")),
                Some(old) if old != name => events.push(format!("group.updated {id}")),
                Some(_) => {}
            }
        }
        let gone = before.groups.keys().filter(|id| !self.groups.contains_key(*id));
        events.extend(gone.map(|id| format!("group.deleted {id}")));
        for (group, user) in self.memberships.difference(&before.memberships) {
            events.push(format!("group.user_added {user} {group}"));
        }
        // A group that goes ends its memberships without a word.
        let left = before.memberships.difference(&self.memberships);
        for (group, user) in left.filter(|(group, _)| self.groups.contains_key(group)) {
            events.push(format!("group.user_removed {user} {group}"));
        }
        events.sort_unstable();
        events
    }
}

/// Every page of a list of the read API.
pub(super) fn listed(source: &Source<'_>, endpoint: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{endpoint}?directory={}&limit=100{after}", source.handle.id);
        let page = source.app.api.get(&path).expect(200).body;
        all.extend(page["data"].as_array().expect("a list").iter().cloned());
        match page["list_metadata"]["after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

fn reader<'a>(app: &'a TestApp, config: Value) -> Source<'a> {
    Source::new(app, "pull.ldap", config, json!({"schedule": "off"}))
}

#[track_caller]
pub(super) fn assert_nothing_done(run: &Value) {
    let counts = &run["counts"];
    for (part, acts) in [
        ("users", &["created", "updated", "deactivated", "deleted", "failed"][..]),
        ("groups", &["created", "updated", "deleted", "failed"][..]),
        ("memberships", &["added", "removed"][..]),
    ] {
        for act in acts {
            assert_eq!(counts[part][act], 0, "{run}");
        }
    }
}

/// What an administrator does in a day.
const CHANGES: &str = "\
dn: uid=new1,ou=People,dc=corp,dc=test
changetype: add
objectClass: inetOrgPerson
uid: new1
cn: New One
sn: One
givenName: New
mail: new1@corp.test
employeeType: contractor
manager: uid=u00001,ou=People,dc=corp,dc=test

dn: uid=u00100,ou=People,dc=corp,dc=test
changetype: modify
replace: title
title: Staff Engineer
-
delete: mail

dn: uid=u00101,ou=People,dc=corp,dc=test
changetype: modrdn
newrdn: uid=renamed
deleteoldrdn: 1

dn: ou=Lab,ou=People,dc=corp,dc=test
changetype: add
objectClass: organizationalUnit
ou: Lab

dn: uid=u00102,ou=People,dc=corp,dc=test
changetype: modrdn
newrdn: uid=u00102
deleteoldrdn: 1
newsuperior: ou=Lab,ou=People,dc=corp,dc=test

dn: uid=u00103,ou=People,dc=corp,dc=test
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z

dn: uid=u00104,ou=People,dc=corp,dc=test
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 20261121093000Z

dn: uid=u00105,ou=People,dc=corp,dc=test
changetype: delete

dn: uid=u00106,ou=People,dc=corp,dc=test
changetype: modrdn
newrdn: uid=u00106
deleteoldrdn: 1
newsuperior: ou=Services,dc=corp,dc=test

dn: cn=cycle-x,ou=Groups,dc=corp,dc=test
changetype: modify
add: member
member: uid=u00200,ou=People,dc=corp,dc=test

dn: cn=cycle-y,ou=Groups,dc=corp,dc=test
changetype: modrdn
newrdn: cn=cycle-z
deleteoldrdn: 1

dn: cn=fresh,ou=Groups,dc=corp,dc=test
changetype: add
objectClass: groupOfNames
cn: fresh
member: uid=u00200,ou=People,dc=corp,dc=test
member: uid=new1,ou=People,dc=corp,dc=test

dn: cn=unique-4,ou=Groups,dc=corp,dc=test
changetype: delete
";

fn directory_arrives_exactly_and_is_followed(app: &TestApp) {
    // The database makes no difference to what is read.
    let count = if app.database.url().starts_with("sqlite") { 2_000 } else { 600 };
    let Some(slapd) = Slapd::start(count) else { return };
    let expected = Expected::of(&slapd);
    assert_eq!((expected.users.len(), expected.groups.len()), (count, 100));
    let source = reader(app, slapd.config(json!({})));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let found = [&tested["ok"], &tested["users"], &tested["groups"]];
    assert_eq!(found, [&json!(true), &json!(count), &json!(100)], "{tested}");
    assert_eq!(tested["warnings"], json!(["The connection is not encrypted."]));

    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], count, "{run}");
    assert_eq!(run["counts"]["users"]["failed"], 0, "members who do not exist are no fault: {run}");
    let memberships = expected.memberships.len() + expected.nested;
    assert_eq!(run["counts"]["memberships"]["added"], memberships, "{run}");
    expected.assert_arrived(&source);
    let locked = first_uuid(&slapd, "u00007");
    assert_eq!(source_user(&source, &locked)["raw_attributes"]["accountState"], "suspended");

    // Nothing has changed: neither the changes nor everything have anything to tell.
    let told = source.events();
    let again = source.sync();
    assert_eq!(again["mode"], "incremental");
    assert_nothing_done(&again);
    app.clock.advance(Duration::from_secs(25 * 3_600));
    let whole = source.sync();
    assert_eq!(
        (&whole["mode"], &whole["counts"]["users"]["unchanged"]),
        (&json!("full"), &json!(count))
    );
    assert_nothing_done(&whole);
    assert_eq!(source.told(told), [""; 0]);

    slapd.modify(CHANGES);
    slapd.forgets(&[
        "uid=u00101,ou=People",
        "uid=u00102,ou=People",
        "uid=u00105,ou=People",
        "uid=u00106,ou=People",
        "cn=cycle-y,ou=Groups",
    ]);
    let now = Expected::of(&slapd);
    let run = source.sync();
    assert_eq!(
        (&run["mode"], &run["status"]),
        (&json!("incremental"), &json!("completed")),
        "{run}"
    );
    let mut events = source.told(told);
    events.sort_unstable();
    assert_eq!(events, now.events_since(&expected));
    now.assert_arrived(&source);
    let reasons = source.reasons();
    assert!(
        reasons.iter().any(|(_, reason)| reason.as_deref() == Some("pull_suspended")),
        "{reasons:?}"
    );
    assert!(
        reasons.iter().any(|(_, reason)| reason.as_deref() == Some("pull_missing")),
        "{reasons:?}"
    );
    // A read of everything agrees.
    let told = source.events();
    app.clock.advance(Duration::from_secs(25 * 3_600));
    let whole = source.sync();
    assert_eq!(whole["mode"], "full");
    assert_nothing_done(&whole);
    assert_eq!(source.told(told), [""; 0]);
}

fn first_uuid(slapd: &Slapd, uid: &str) -> String {
    let found = slapd.search(BASE, &format!("(uid={uid})"), &["entryUUID"]);
    first(&found[0], "entryUUID").expect("an id").to_owned()
}

fn source_user(source: &Source<'_>, id: &str) -> Value {
    let mut users = listed(source, "/directory_users").into_iter();
    users.find(|user| user["idp_id"] == id).expect("the user is there")
}

fn on_sqlite() -> TestApp {
    TestApp::start(Database::sqlite())
}

#[test]
fn server_that_dies_or_refuses_takes_nothing_away() {
    let Some(mut slapd) = Slapd::start(600) else { return };
    let app = on_sqlite();
    let source = reader(&app, slapd.config(json!({"page_size": 50})));
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
    set(json!({"bind_password": "syncpw", "bind_dn": format!("cn=nobody,{BASE}")}));
    failed("invalid_credentials", "49");
    // A base that is not there, and one that the account must not see, are not empty.
    set(
        json!({"bind_dn": format!("cn=sync,ou=Services,{BASE}"), "user_base": format!("ou=Nobody,{BASE}")}),
    );
    failed("error", "32 (noSuchObject)");
    set(
        json!({"user_base": format!("ou=People,{BASE}"), "user_filter": "(uid=nobody)", "group_base": null}),
    );
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "held", "nobody of 600 is there: {run}");
    // The server dies after some pages.
    set(json!({"user_filter": "(objectClass=inetOrgPerson)", "url": slapd.until(60_000),
        "bind_password": "syncpw", "group_base": format!("ou=Groups,{BASE}")}));
    failed("error", "the connection");
    slapd.kill();
    set(json!({"url": slapd.url(), "bind_password": "syncpw"}));
    failed("error", "onnection refused");
    assert_eq!(listed(&source, "/directory_users"), users);
}

#[test]
fn lines_are_secured_as_the_configuration_says() {
    let Some(slapd) = Slapd::start(60) else { return };
    let app = on_sqlite();
    let tls = format!("ldaps://localhost:{}", slapd.tls_port);
    let tested = |config: Value| {
        let source = reader(&app, slapd.config(config));
        let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
        app.api.delete(&source.path).expect(202);
        tested
    };
    let authority = slapd.authority();
    for config in [
        json!({"url": tls, "tls": "ldaps", "ca_pem": authority}),
        json!({"tls": "starttls", "ca_pem": authority}),
        json!({"url": format!("ldaps://127.0.0.1:{}", slapd.tls_port), "tls": "ldaps",
            "ca_pem": authority, "certificate_name": "localhost"}),
        // The first does not answer.
        json!({"url": format!("ldap://localhost:1 {}", slapd.url()), "tls": "starttls",
            "ca_pem": authority}),
    ] {
        let tested = tested(config);
        assert_eq!((&tested["ok"], &tested["users"]), (&json!(true), &json!(60)), "{tested}");
        assert_eq!(tested["warnings"], json!([]));
    }
    let other =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let other = other.cert.pem();
    for (config, message) in [
        (json!({"url": tls, "tls": "ldaps", "ca_pem": other}), "certificate"),
        (json!({"tls": "starttls", "ca_pem": other}), "certificate"),
        (json!({"url": tls, "tls": "ldaps"}), "UnknownIssuer"),
        (
            json!({"url": format!("ldaps://127.0.0.1:{}", slapd.tls_port), "tls": "ldaps",
                "ca_pem": authority}),
            "not valid for name",
        ),
        // TLS to a port without it, and the other way round.
        (json!({"url": format!("ldaps://localhost:{}", slapd.port), "tls": "ldaps"}), ""),
        (json!({"url": format!("ldap://localhost:{}", slapd.tls_port), "timeout_seconds": 2}), ""),
    ] {
        let tested = tested(config);
        assert_eq!(tested["ok"], false, "{tested}");
        let error = tested["error"].as_str().expect("an error");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn limits_of_the_server_are_kept_and_told() {
    let Some(slapd) = Slapd::start(600) else { return };
    let app = on_sqlite();
    let reading = json!({"bind_dn": format!("cn=reader,ou=Services,{BASE}"),
        "bind_password": "readerpw", "page_size": 1_000});
    // Pages of at most 500: what is asked for is made smaller.
    let source = reader(&app, slapd.config(reading));
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 600, "{run}");
    // More than 500 changes are more than the account gets at once: everything is read.
    let changes: Vec<String> = (20..540)
        .map(|n| format!("dn: uid=u{n:05},ou=People,{BASE}\nchangetype: modify\nreplace: title\ntitle: T{n}\n\n"))
        .collect();
    slapd.modify(&changes.concat());
    let run = source.sync();
    assert_eq!(
        (&run["mode"], &run["counts"]["users"]["updated"]),
        (&json!("full"), &json!(520)),
        "{run}"
    );
    // A few are read as changes again.
    slapd.modify(&changes[0].replace("T20", "Other"));
    let run = source.sync();
    assert_eq!(
        (&run["mode"], &run["counts"]["users"]["updated"]),
        (&json!("incremental"), &json!(1)),
        "{run}"
    );
}

#[test]
fn server_that_forgets_who_was_deleted_is_read_whole() {
    let Some(slapd) = Slapd::start_with(60, 1) else { return };
    let app = on_sqlite();
    let source = reader(&app, slapd.config(json!({})));
    source.sync();
    let expected = Expected::of(&slapd);
    let told = source.events();
    let gone: Vec<String> = (50..52)
        .map(|n| format!("dn: uid=u{n:05},ou=People,{BASE}\nchangetype: delete\n\n"))
        .collect();
    slapd.modify(&gone.concat());
    slapd.forgets(&["uid=u00050,ou=People", "uid=u00051,ou=People"]);
    let run = source.sync();
    assert_eq!((&run["mode"], &run["status"]), (&json!("full"), &json!("completed")), "{run}");
    let mut events = source.told(told);
    events.sort_unstable();
    assert_eq!(events, Expected::of(&slapd).events_since(&expected));
}

#[test]
fn times_find_changes_and_groups_within_groups_are_expanded() {
    let Some(slapd) = Slapd::start(60) else { return };
    let app = on_sqlite();
    let config = json!({"incremental": "timestamp", "nested_groups": "expand",
        "extra_attributes": "roomNumber", "lockout_is_inactive": true});
    // In so few users everybody is in many groups.
    let settings = json!({"schedule": "off", "guard": "off"});
    let source = Source::new(&app, "pull.ldap", slapd.config(config), settings);
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 60, "{run}");
    let groups = |name: &str| -> BTreeSet<String> {
        let users = listed(&source, "/directory_users");
        let is_in = |user: &&Value| {
            user["groups"].as_array().expect("a list").iter().any(|group| group["name"] == name)
        };
        users
            .iter()
            .filter(is_in)
            .map(|user| user["username"].as_str().expect("a name").into())
            .collect()
    };
    // Both of the groups that go round hold both of their members.
    let both: BTreeSet<String> = ["u00001", "u00002"].map(str::to_owned).into();
    assert_eq!((groups("cycle-x"), groups("cycle-y")), (both.clone(), both));
    assert_eq!(groups("self"), BTreeSet::from(["u00003".to_owned()]));
    assert!(groups("company").is_superset(&groups("team-000")));
    slapd.modify(&format!(
        "dn: uid=u00020,ou=People,{BASE}\nchangetype: modify\nreplace: roomNumber\nroomNumber: 7\n\n\
         dn: uid=u00021,ou=People,{BASE}\nchangetype: modify\nreplace: pwdAccountLockedTime\n\
         pwdAccountLockedTime: 20261121093000Z\n\n\
         dn: uid=u00024,ou=People,{BASE}\nchangetype: delete\n\n\
         dn: cn=cycle-y,ou=Groups,{BASE}\nchangetype: modify\nadd: member\n\
         member: uid=u00023,ou=People,{BASE}\n\n"
    ));
    let run = source.sync();
    assert_eq!(run["mode"], "incremental", "{run}");
    let counts = &run["counts"]["users"];
    assert_eq!(
        (&counts["updated"], &counts["deactivated"], &counts["deleted"]),
        (&json!(1), &json!(1), &json!(0)),
        "{run}"
    );
    assert!(groups("cycle-x").contains("u00023"));
    let changed = source_user(&source, &first_uuid(&slapd, "u00020"));
    assert_eq!(changed["raw_attributes"]["roomNumber"], "7");
    app.clock.advance(Duration::from_secs(25 * 3_600));
    let run = source.sync();
    assert_eq!(
        (&run["mode"], &run["counts"]["users"]["deleted"]),
        (&json!("full"), &json!(1)),
        "{run}"
    );
}

#[test]
fn wrong_configurations_are_refused_by_field() {
    let app = on_sqlite();
    let good = json!({"url": "ldaps://ldap.example.com", "tls": "ldaps", "bind_dn": "cn=a,dc=x",
        "bind_password": "x", "user_base": "dc=x"});
    for (field, value) in [
        ("url", json!("ldap://ldap.example.com")),
        ("url", json!("ldaps://10.0.0.1")),
        ("url", json!("ldaps://ldap.example.com ldaps://127.0.0.1")),
        ("url", json!("ldaps://ldap.example.com/dc=x")),
        ("url", json!(" ")),
        ("tls", json!("none")),
        ("tls", json!("ssl")),
        ("ca_pem", json!("-----BEGIN CERTIFICATE-----")),
        ("bind_dn", json!("reader")),
        ("bind_password", json!("")),
        ("user_base", json!("people")),
        ("user_filter", json!("objectClass=person)(")),
        ("group_filter", json!("(a=b")),
        ("extra_attributes", json!("roomNumber userPassword")),
        ("extra_attributes", json!("title")),
        ("id_attribute", json!("*")),
        ("inactive_when", json!({"a b": "c"})),
        ("page_size", json!(0)),
    ] {
        let mut config = good.clone();
        config[field] = value;
        let body = json!({"organization_id": app.directory.organization_id, "name": "L",
            "kind": "pull.ldap", "config": config});
        let field = if config["tls"] == "none" { "url" } else { field };
        assert_invalid(&app.api.post("/api/v1/directories", body), &format!("config.{field}"));
    }
}
