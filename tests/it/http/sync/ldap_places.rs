//! `pull.ldap`: who comes and goes without a change of the own entry, because of a group or of an entry above.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Source;
use crate::on_both_databases;
use crate::support::TestApp;
use crate::support::slapd::{BASE, Slapd};

on_both_databases![
    who_leaves_a_group_that_is_asked_for_is_noticed,
    who_is_moved_with_a_unit_comes_and_goes_with_the_next_run,
    who_is_moved_in_with_a_unit_is_found_by_time,
];

fn reader<'a>(app: &'a TestApp, config: Value) -> Source<'a> {
    Source::new(app, "pull.ldap", config, json!({"schedule": "off", "guard": "off"}))
}

/// A configuration without groups.
fn of_users(slapd: &Slapd, more: Value) -> Value {
    let mut config = slapd.config(more);
    config.as_object_mut().expect("an object").remove("group_base");
    config
}

/// Users as the app reads them, with their states.
fn users(source: &Source<'_>) -> BTreeSet<String> {
    source.users().into_values().collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("{name} active")).collect()
}

/// A change of the members of a group.
fn member(act: &str, uid: &str) -> String {
    let member = format!("member: uid={uid},ou=People,{BASE}");
    format!("dn: cn=app,ou=Groups,{BASE}\nchangetype: modify\n{act}: member\n{member}\n\n")
}

fn who_leaves_a_group_that_is_asked_for_is_noticed(app: &TestApp) {
    let Some(slapd) = Slapd::start_with_member_of(60) else { return };
    let group = format!("cn=app,ou=Groups,{BASE}");
    slapd.modify(&format!(
        "dn: {group}\nchangetype: add\nobjectClass: groupOfNames\ncn: app\n\
         member: uid=u00010,ou=People,{BASE}\nmember: uid=u00011,ou=People,{BASE}\n"
    ));
    // By the filter.
    let filter = format!("(&(objectClass=inetOrgPerson)(memberOf={group}))");
    let source = reader(app, of_users(&slapd, json!({"user_filter": filter})));
    source.sync();
    assert_eq!(users(&source), names(&["u00010", "u00011"]));
    slapd.modify(&(member("add", "u00012") + &member("delete", "u00010")));
    let run = source.sync();
    assert_eq!(users(&source), names(&["u00011", "u00012"]), "{run}");
    assert!(source.reasons().iter().any(|(event, _)| event.ends_with("user.deleted")));
    assert_eq!(source.sync()["mode"], "incremental", "nothing has changed since");
    app.api.delete(&source.path).expect(202);

    // By a rule, and kept beside the user.
    let inactive = reader(app, of_users(&slapd, json!({"inactive_when": {"memberOf": group}})));
    let kept = reader(app, slapd.config(json!({"extra_attributes": "memberOf"})));
    let seen = || {
        let path = format!("/directory_users?directory={}&limit=100", kept.handle.id);
        let listed = app.api.get(&path).expect(200).body;
        let listed = listed["data"].as_array().expect("a list").iter();
        let is_in = |user: &&Value| user["raw_attributes"]["memberOf"] == json!(group);
        let name = |user: &Value| user["username"].as_str().expect("a name").to_owned();
        listed.filter(is_in).map(name).collect::<BTreeSet<String>>()
    };
    let some =
        |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    inactive.sync();
    kept.sync();
    assert!(users(&inactive).contains("u00012 inactive"));
    assert_eq!(seen(), some(&["u00011", "u00012"]));
    slapd.modify(&member("delete", "u00012"));
    inactive.sync();
    kept.sync();
    assert!(users(&inactive).contains("u00012 active"));
    assert_eq!(seen(), some(&["u00011"]));
}

/// An organizational unit below another entry, made long ago, with users.
fn unit(name: &str, above: &str, uids: &[&str]) -> String {
    let times = "createTimestamp: 20200101000000Z\nmodifyTimestamp: 20200101000000Z\n\n";
    let own = format!("ou={name},{above}");
    let class = "changetype: add\nobjectClass";
    let mut ldif = format!("dn: {own}\n{class}: organizationalUnit\nou: {name}\n{times}");
    for uid in uids {
        let names = format!("uid: {uid}\ncn: {uid}\nsn: {uid}");
        ldif += &format!("dn: uid={uid},{own}\n{class}: inetOrgPerson\n{names}\n{times}");
    }
    ldif
}

/// Moves a unit. This server cannot put an entry with others below it under an older one.
fn moved(unit: &str, from: &str, to: &str) -> String {
    format!(
        "dn: ou={unit},{from}\nchangetype: modrdn\nnewrdn: ou={unit}\ndeleteoldrdn: 1\n\
         newsuperior: {to}\n\n"
    )
}

fn title(dn: &str) -> String {
    format!("dn: {dn}\nchangetype: modify\nreplace: title\ntitle: Other\n\n")
}

fn who_is_moved_with_a_unit_comes_and_goes_with_the_next_run(app: &TestApp) {
    let Some(slapd) = Slapd::start(60) else { return };
    let [services, staff, away] = ["Services", "Staff", "Away"].map(|ou| format!("ou={ou},{BASE}"));
    slapd.modify(&unit("Sales", &services, &["ada", "ben"]));
    slapd.modify(&(unit("Staff", BASE, &["eve"]) + &unit("Away", BASE, &[])));
    let source = reader(app, slapd.config(json!({"user_base": staff})));
    source.sync();
    assert_eq!(users(&source), names(&["eve"]));
    slapd.modify(&moved("Sales", &services, &staff));
    let run = source.sync();
    assert_eq!(users(&source), names(&["ada", "ben", "eve"]), "{run}");
    slapd.modify(&moved("Sales", &staff, &away));
    let run = source.sync();
    assert_eq!((&run["mode"], users(&source)), (&json!("full"), names(&["eve"])), "{run}");

    // Not everything is read for a unit that is new, nor for a user with something below.
    let eve = format!("uid=eve,{staff}");
    let phone = format!("dn: cn=phone,{eve}\nchangetype: add\nobjectClass: device\ncn: phone\n\n");
    slapd.modify(&phone);
    source.sync();
    // Times are in seconds: this one is later than the last change in any case.
    let new = format!(
        "dn: ou=New,{staff}\nchangetype: add\nobjectClass: organizationalUnit\nou: New\n\
         createTimestamp: 20990101000000Z\n\n"
    );
    let person = format!(
        "dn: uid=new,ou=New,{staff}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: new\n\
         cn: new\nsn: new\n\n"
    );
    slapd.modify(&(title(&eve) + &new + &person));
    let run = source.sync();
    let known = (&run["mode"], &run["counts"]["users"]["updated"], users(&source));
    assert_eq!(known, (&json!("incremental"), &json!(1), names(&["eve", "new"])), "{run}");
}

fn who_is_moved_in_with_a_unit_is_found_by_time(app: &TestApp) {
    let Some(slapd) = Slapd::start(60) else { return };
    let [services, staff] = ["Services", "Staff"].map(|ou| format!("ou={ou},{BASE}"));
    slapd.modify(&unit("Sales", &services, &["ada", "ben"]));
    slapd.modify(&unit("Staff", BASE, &["eve", "max"]));
    slapd.modify(&title(&format!("uid=eve,{staff}")));
    let source = reader(app, slapd.config(json!({"user_base": staff, "incremental": "timestamp"})));
    source.sync();
    assert_eq!(users(&source), names(&["eve", "max"]));
    slapd.modify(&(moved("Sales", &services, &staff) + &title(&format!("uid=max,{staff}"))));
    let run = source.sync();
    let known = (&run["mode"], &run["counts"]["users"]["updated"], users(&source));
    let all = names(&["ada", "ben", "eve", "max"]);
    assert_eq!(known, (&json!("incremental"), &json!(1), all), "{run}");
}
