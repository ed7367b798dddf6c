//! What files say.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::pull::Action;
use crate::pull::field::with_defaults;
use crate::pull::term::Term;

#[derive(Default)]
struct Heard {
    envelopes: Vec<Envelope>,
    faults: Vec<(String, String)>,
}

impl Sink for Heard {
    fn put(&mut self, envelope: Envelope) -> Result<(), SourceError> {
        self.envelopes.push(envelope);
        Ok(())
    }

    fn fault(&mut self, fault: Fault) -> Result<(), SourceError> {
        self.faults.push((fault.place, fault.message));
        Ok(())
    }
}

fn connector(config: Value, files: &[(&str, &str)]) -> Box<dyn Connector> {
    let config = with_defaults(&object(config), FIELDS);
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    let surroundings = Surroundings {
        outbound: Outbound::new(Vec::new()),
        clock: Clock::fixed(0),
        request_timeout: Duration::from_secs(1),
        first_retry_ms: 1,
        patience_ms: 0,
        files: Arc::new(files.collect()),
        term: Term::begin(Arc::default(), Clock::fixed(0), Duration::MAX),
        wants_groups: true,
        last: None,
    };
    open(&config, surroundings).unwrap_or_else(|error| panic!("{error:?}"))
}

fn read(config: Value, files: &[(&str, &str)]) -> (Heard, Finished) {
    let mut heard = Heard::default();
    let finished = connector(config, files).full(&mut heard);
    (heard, finished.unwrap_or_else(|error| panic!("{error:?}")))
}

fn failure(config: Value, files: &[(&str, &str)]) -> String {
    let failed = connector(config, files).full(&mut Heard::default());
    failed.expect_err("refused").message().to_owned()
}

#[test]
fn rows_become_users_groups_and_memberships() {
    let users = "ID;First name;E-Mail;Groups;Status;Shoe size\n\
                 1;Ada;ada@example.com;Staff; active ;41\n\
                 2;;ben@example.com;Staff;Terminated;\n";
    let memberships = "group,group name,member\neng,Engineering,1\neng,,2\nempty,,\n";
    let config = json!({"list_separator": ";"});
    let (heard, finished) = read(config, &[("users", users), ("memberships", memberships)]);
    assert_eq!(heard.faults, []);
    assert_eq!(finished, Finished::default());
    let [ada, ben, staff, empty, eng, first, ..] = &heard.envelopes[..] else {
        panic!("{:?}", heard.envelopes)
    };
    assert_eq!((ada.resource.as_str(), ada.place.as_str()), ("1", "line 2 of users"));
    assert_eq!(
        Value::Object(ada.attributes.clone()),
        json!({
            "name": {"givenName": "Ada"},
            "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
            "Shoe size": "41",
            "active": true,
            "accountState": null,
        })
    );
    assert_eq!(ada.usual_name.as_deref(), Some("ada@example.com"));
    assert_eq!(ada.payload["Shoe size"], "41");
    assert_eq!(ben.attributes["active"], false);
    assert_eq!(ben.attributes["name"], json!({"givenName": null}));
    let group = |e: &Envelope| (e.resource.clone(), e.attributes["displayName"].clone());
    assert_eq!(group(empty), ("empty".into(), json!("empty")));
    assert_eq!(group(eng), ("eng".into(), json!("Engineering")));
    assert_eq!(group(staff), ("Staff".into(), json!("Staff")));
    assert_eq!((first.resource.as_str(), first.member.as_str()), ("Staff", "1"));
    assert_eq!(heard.envelopes.len(), 2 + 3 + 4);
}

#[test]
fn file_without_groups_says_nothing_about_them() {
    let (_, finished) = read(json!({}), &[("users", "externalId,userName\n1,ada\n")]);
    assert_eq!(finished.groups, GroupsGiven::No);
    let (_, finished) = read(json!({}), &[("users", "externalId,userName,groups\n1,ada,\n")]);
    assert_eq!(finished.groups, GroupsGiven::Yes);
}

#[test]
fn every_bad_row_is_named_by_its_line() {
    let users = "id,userName,status,employee number\n\
                 1,ada,active,7\n\
                 ,ben,active,8\n\
                 1,cy,active,9\n\
                 4,dan,perhaps,10\n\
                 1.23E+05,eve,active,11\n\
                 6,fay\n\
                 7,gil,active,\"1,5e+10\"\n\
                 8,hal,,12E\n";
    let (heard, _) = read(json!({}), &[("users", users)]);
    let lines: Vec<&str> = heard.faults.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 8].map(|line| format!("line {line} of users")));
    for ((_, message), part) in heard.faults.iter().zip([
        "the key \"externalId\" is empty",
        "is also in line 2",
        "\"perhaps\"",
        "shortened the number",
        "it has 2 cells",
        "\"employee number\" holds 1,5e+10",
    ]) {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(heard.envelopes.len(), 2);
    assert!(!heard.envelopes[1].attributes.contains_key("active"), "an empty state says nothing");
}

#[test]
fn actions_say_what_is_to_be_done() {
    let users = "id,userName,action\n1,ada,upsert\n2,ben,Delete\n3,cy,deactivate\n4,dan,explode\n";
    let (heard, _) = read(json!({"mode": "action"}), &[("users", users)]);
    let [ada, ben, cy] = &heard.envelopes[..] else { panic!("three rows") };
    assert_eq!((ada.action, ben.action), (Action::Upsert, Action::Delete));
    assert!(!ada.attributes.contains_key("action"));
    assert_eq!(cy.attributes["active"], false);
    assert!(heard.faults[0].1.contains("\"explode\""), "{:?}", heard.faults);
    let without = [("users", "id,userName\n1,ada\n")];
    assert!(failure(json!({"mode": "action"}), &without).contains("no column \"action\""));
    // In other modes it is a column like any other.
    let (heard, _) = read(json!({"mode": "upsert"}), &[("users", users)]);
    assert_eq!(heard.envelopes[1].attributes["action"], "Delete");
}

#[test]
fn key_and_columns_are_configured() {
    let users = "Mail,Login,Remark\nAda@example.com,ada,x\n";
    let message = failure(json!({}), &[("users", users)]);
    assert!(message.contains("no column for the key \"externalId\""), "{message}");
    assert!(message.contains("Mail, Login, Remark"), "{message}");
    // A file without a header line tells nobody's name.
    for row in ["E1,ada@example.com,ada@example.com\n", "E1,Ada,Lovelace\n"] {
        let message = failure(json!({}), &[("users", row)]);
        assert!(!message.contains("ada") && !message.contains("Ada"), "{message}");
    }
    let (heard, _) = read(json!({"key": "email"}), &[("users", users)]);
    assert_eq!(heard.envelopes[0].resource, "ada@example.com");
    assert_eq!(heard.envelopes[0].attributes["userName"], "ada");
    let config = json!({"key": "userName", "columns": {"REMARK": "title", "mail": "ignore"}});
    let (heard, _) = read(config, &[("users", users)]);
    let attributes = Value::Object(heard.envelopes[0].attributes.clone());
    assert_eq!(attributes, json!({"userName": "ada", "title": "x"}));
    let twice = [("users", "id,mail,work email\n1,a,b\n")];
    assert!(failure(json!({}), &twice).contains("\"mail\" and \"work email\""));
    assert!(failure(json!({}), &[]).contains("no file of users"));
    let config = object(json!({"columns": {"Mail": "shoeSize"}}));
    let (field, _) = check(&config, &Outbound::new(Vec::new())).expect_err("refused");
    assert_eq!(field, "columns.Mail");
}

#[test]
fn row_that_is_refused_gives_no_groups() {
    let users = "id,userName,Groups\n1,a,Staff\n1,a,Admins\n";
    let (heard, _) = read(json!({"max_errors": 5}), &[("users", users)]);
    assert_eq!(heard.faults.len(), 1);
    let groups: Vec<(&str, &str)> =
        heard.envelopes[1..].iter().map(|e| (e.resource.as_str(), e.member.as_str())).collect();
    assert_eq!(groups, [("Staff", ""), ("Staff", "1")]);
}

#[test]
fn state_beside_an_action_that_ends_an_access_is_not_looked_at() {
    let users = "id,userName,status,action\n1,ada,Exited,delete\n2,ben,Exited,deactivate\n\
                 3,cy,Exited,suspend\n4,dan,Exited,upsert\n";
    let (heard, _) = read(json!({"mode": "action"}), &[("users", users)]);
    let [ada, ben, cy] = &heard.envelopes[..] else { panic!("{:?}", heard.envelopes) };
    assert_eq!(ada.action, Action::Delete);
    assert_eq!(
        (&ben.attributes["active"], &cy.attributes["active"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(heard.faults.len(), 1);
    assert!(heard.faults[0].1.contains("\"Exited\""), "{:?}", heard.faults);
}

#[test]
fn shortened_number_is_no_key_of_anybody() {
    let users = "id,userName,Manager,Groups\n1,a,1.23457E+11,\n2,b,,\"Staff;1,23457e+11\"\n";
    let memberships = "group,member\n1.23457E+11,1\nStaff,2;1.23457E+11\nEng,1\n";
    let (heard, _) = read(json!({}), &[("users", users), ("memberships", memberships)]);
    for ((place, message), (line, column)) in heard.faults.iter().zip([
        ("line 2 of users", "\"Manager\" holds 1.23457E+11"),
        ("line 3 of users", "\"Groups\" holds 1,23457e+11"),
        ("line 2 of memberships", "\"group\" holds 1.23457E+11"),
        ("line 3 of memberships", "\"member\" holds 1.23457E+11"),
    ]) {
        assert_eq!(place, line);
        assert!(message.contains(column) && message.contains("shortened"), "{message}");
    }
    assert_eq!(heard.faults.len(), 4);
    let said: Vec<(&str, &str)> =
        heard.envelopes.iter().map(|e| (e.resource.as_str(), e.member.as_str())).collect();
    assert_eq!(said, [("Eng", ""), ("Eng", "1")]);
    for (key, users) in [("userName", "id,login\n7,1.23457E+11\n"), ("email", "mail\n1E+11\n")] {
        let (heard, _) = read(json!({"key": key}), &[("users", users)]);
        assert_eq!((heard.faults.len(), heard.envelopes.len()), (1, 0), "{key}");
    }
}
