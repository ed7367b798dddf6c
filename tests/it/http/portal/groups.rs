//! What comes in: groups are chosen from those that a preview has found.

use serde_json::{Value, json};

use super::{connected, ended, enter, hand_in, led, page};
use crate::on_both_databases;
use crate::support::{Browser, TestApp};

on_both_databases![
    groups_are_chosen_from_those_that_were_found,
    many_groups_are_looked_through_and_what_is_chosen_stays,
    suggestions_come_from_the_preview_before_anybody_has_come_in,
];

const USERS: &str = "id,userName,title,groups\n1,ada@example.com,Engineer,Sales\n\
                     2,bob@example.com,Writer,Sales;Staff\n3,eve@example.com,,Staff\n";

/// A directory of files whose users were previewed.
fn previewed(app: &TestApp, browser: &Browser, proof: &str, users: &str) -> String {
    let at = connected(browser, proof, "pull.csv", &[]);
    hand_in(browser, proof, &at, users).expect(303);
    let dry = led(browser, proof, &format!("{at}/sync"), &[("dry_run", "yes")]);
    ended(app, browser, &dry);
    at
}

/// The checkbox of a group, from its value to the end of the line.
fn choice<'t>(text: &'t str, group: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("name=\"group\" value=\"{group}\""))?;
    rest.lines().next()
}

fn groups_are_chosen_from_those_that_were_found(app: &TestApp) {
    let (browser, proof) = enter(app);
    let fresh = connected(&browser, &proof, "pull.csv", &[]);
    let text = page(browser.get(&format!("{fresh}/scope")), 200);
    assert!(text.contains("is known after a <a"), "{text}");
    let at = previewed(app, &browser, &proof, USERS);
    let scope = format!("{at}/scope");
    let text = page(browser.get(&scope), 200);
    for group in ["Sales", "Staff"] {
        let choice = choice(&text, group).expect("it is offered");
        assert!(choice.contains("(2 members)") && !choice.contains("checked"), "{choice}");
    }
    // Who would come is shown before anything is put.
    let chosen = [("groups", "yes"), ("group", "Sales"), ("scope", "")];
    let dry = led(&browser, &proof, &scope, &[&chosen[..], &[("do", "preview")]].concat());
    let text = ended(app, &browser, &dry);
    assert!(text.contains("ada@example.com") && !text.contains("eve@example.com"), "{text}");
    let typed = [("groups", "yes"), ("group", "Sales"), ("scope", "Later\r\n"), ("do", "save")];
    led(&browser, &proof, &scope, &typed);
    let stored = app.api.get(&at.replace("/setup/", "/api/v1/")).expect(200).body;
    assert_eq!(stored["settings"]["group_scope"], json!(["Sales", "Later"]));
    let text = page(browser.get(&scope), 200);
    assert!(choice(&text, "Sales").is_some_and(|choice| choice.contains("checked")), "{text}");
    assert!(choice(&text, "Staff").is_some_and(|choice| !choice.contains("checked")), "{text}");
    assert!(text.contains(">\nLater\n</textarea>"), "{text}");
    // What was found by another configuration says nothing.
    led(&browser, &proof, &format!("{at}/source"), &[("config.key", "userName")]);
    let text = page(browser.get(&scope), 200);
    assert!(text.contains("is known after a <a"), "{text}");
    assert!(text.contains(">\nSales\nLater\n</textarea>"), "what is put stays: {text}");
}

fn many_groups_are_looked_through_and_what_is_chosen_stays(app: &TestApp) {
    let (browser, proof) = enter(app);
    let rows = (0..80).map(|n| format!("{n},user{n}@example.com,Team {n:02}\n"));
    let users = format!("id,userName,groups\n{}", rows.collect::<String>());
    let scope = format!("{}/scope", previewed(app, &browser, &proof, &users));
    let text = page(browser.get(&scope), 200);
    assert!(text.contains("The source has 80 groups."), "{text}");
    assert!(text.contains("30 more are not listed"), "{text}");
    assert!(choice(&text, "Team 70").is_none(), "{text}");
    let find = [
        ("proof", &*proof),
        ("groups", "yes"),
        ("group", "Team 03"),
        ("find", "TEAM 7"),
        ("filter", "envelope.kind != 'x'"),
        ("do", "find"),
    ];
    let text = page(browser.post(&scope, &find), 200);
    let listed: Vec<&str> = text.split("name=\"group\" value=\"").skip(1).collect();
    assert_eq!(listed.len(), 11, "{text}");
    assert!(choice(&text, "Team 03").is_some_and(|choice| choice.contains("checked")), "{text}");
    assert!(choice(&text, "Team 75").is_some_and(|choice| !choice.contains("checked")), "{text}");
    assert!(text.contains("envelope.kind != &#39;x&#39;"), "what was written stays: {text}");
}

fn suggestions_come_from_the_preview_before_anybody_has_come_in(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = previewed(app, &browser, &proof, USERS);
    let text = page(browser.get(&format!("{at}/attributes")), 200);
    assert!(text.contains("value=\"job_title=\"") && text.contains("2 of 3 have it"), "{text}");
    let users = app.api.get(&format!("{}/users", at.replace("/setup/", "/api/v1/"))).expect(200);
    assert_eq!(users.body["data"], Value::Array(Vec::new()), "nobody has come in");
}
