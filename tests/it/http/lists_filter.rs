//! Filters (RFC 7644 §3.4.2.2).

use std::time::Duration;

use serde_json::json;

use super::{NOW, USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group};

on_both_databases![
    operators_compare_text_by_key,
    operators_fit_types_other_than_text,
    value_paths_look_at_one_element,
    words_combine_by_precedence_and_parentheses,
    names_may_carry_their_urn,
    letter_case_accents_and_width_do_not_matter,
    wildcards_and_quotes_are_ordinary_characters,
    empty_filter_lists_everything,
    groups_are_found_by_name_and_member,
    users_are_found_by_group,
    filter_follows_changes,
    bad_filters_say_what_is_wrong,
];

/// Four users; `émile` is an hour younger.
fn make_users(app: &TestApp) {
    for body in [
        json!({
            "schemas": [USER, ENTERPRISE],
            "userName": "Ada.Lane",
            "externalId": "X-1",
            "name": {"familyName": "Lane", "givenName": "Ada"},
            "title": "Engineer",
            "emails": [
                {"value": "ada@example.com", "type": "work", "primary": true},
                {"value": "ada@home.org", "type": "home"},
            ],
            ENTERPRISE: {
                "employeeNumber": "10", "department": "R&D", "manager": {"value": "boss"},
            },
        }),
        json!({
            "schemas": [USER, ENTERPRISE],
            "userName": "ben",
            "externalId": "x-1",
            "active": false,
            "name": {"familyName": "O'Malley"},
            "title": "engineer II",
            "emails": [{"value": "ben@example.com", "type": "work"}],
            ENTERPRISE: {"employeeNumber": "9"},
        }),
        json!({"schemas": [USER], "userName": "zo\"e\\", "nickName": "50%_off"}),
    ] {
        create(&app.scim, "/Users", body);
    }
    app.clock.advance(Duration::from_secs(3_600));
    let body = json!({
        "schemas": [USER],
        "userName": "émile",
        "displayName": "Émile Straße",
        "phoneNumbers": [{"value": "+1 555", "type": "mobile"}],
    });
    create(&app.scim, "/Users", body);
}

const ADA: &str = "Ada.Lane";
const BEN: &str = "ben";
const ZOE: &str = "zo\"e\\";
const EMILE: &str = "émile";

fn assert_finds(app: &TestApp, table: &[(&str, &[&str])]) {
    make_users(app);
    for (filter, expected) in table {
        let list = app.scim.filter("/Users", filter);
        assert_eq!(texts(&list, "userName"), *expected, "{filter}");
        assert_eq!(list.total(), u64::try_from(expected.len()).expect("few"), "{filter}");
    }
}

fn operators_compare_text_by_key(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"userName eq "ada.lane""#, &[ADA]),
            (r#"userName eq "ada""#, &[]),
            (r#"userName ne "ada.lane""#, &[BEN, ZOE, EMILE]),
            (r#"userName co "A.L""#, &[ADA]),
            (r#"userName sw "ada""#, &[ADA]),
            (r#"userName sw "lane""#, &[]),
            (r#"userName ew "LANE""#, &[ADA]),
            (r#"userName gt "ben""#, &[ZOE, EMILE]),
            (r#"userName ge "Ben""#, &[BEN, ZOE, EMILE]),
            (r#"userName lt "ben""#, &[ADA]),
            (r#"userName le "ben""#, &[ADA, BEN]),
            (r#"userName pr"#, &[ADA, BEN, ZOE, EMILE]),
            (r#"externalId eq "X-1""#, &[ADA]),
            (r#"externalId sw "x""#, &[BEN]),
            (r#"externalId pr"#, &[ADA, BEN]),
            (r#"title eq "ENGINEER""#, &[ADA]),
            (r#"title ne "engineer""#, &[BEN, ZOE, EMILE]),
            (r#"title co "gin""#, &[ADA, BEN]),
            (r#"title pr"#, &[ADA, BEN]),
            (r#"title eq null"#, &[ZOE, EMILE]),
            (r#"title ne null"#, &[ADA, BEN]),
            (r#"name.familyName eq "o'malley""#, &[BEN]),
            (r#"name pr"#, &[ADA, BEN]),
        ],
    );
}

fn operators_fit_types_other_than_text(app: &TestApp) {
    let after = format!("meta.lastModified gt \"{NOW}\"");
    let from = format!("meta.created ge \"{NOW}\"");
    let other_zone = "meta.created eq \"2025-06-15T17:06:40+02:00\"";
    assert_finds(
        app,
        &[
            ("active eq true", &[ADA, ZOE, EMILE]),
            ("active eq false", &[BEN]),
            ("active ne true", &[BEN]),
            ("active eq \"False\"", &[BEN]),
            ("active pr", &[ADA, BEN, ZOE, EMILE]),
            (&after, &[EMILE]),
            (&from, &[ADA, BEN, ZOE, EMILE]),
            (other_zone, &[ADA, BEN, ZOE]),
            ("meta.lastModified lt \"2025-06-15T16:06:40Z\"", &[ADA, BEN, ZOE]),
            ("emails.primary eq true", &[ADA]),
            ("meta.resourceType eq \"User\"", &[ADA, BEN, ZOE, EMILE]),
            ("meta.resourceType eq \"Group\"", &[]),
        ],
    );
}

fn value_paths_look_at_one_element(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"emails eq "ada@home.org""#, &[ADA]),
            (r#"emails.value eq "ADA@EXAMPLE.COM""#, &[ADA]),
            (r#"emails.value ew "example.com""#, &[ADA, BEN]),
            (r#"emails[type eq "work" and value co "@example"]"#, &[ADA, BEN]),
            (r#"emails[type eq "home" and value co "@example"]"#, &[]),
            (r#"emails.type eq "home" and emails.value co "@example""#, &[ADA]),
            (r#"emails[not (primary eq true)]"#, &[ADA, BEN]),
            (r#"emails[type eq "work" or type eq "home"]"#, &[ADA, BEN]),
            (r#"emails[type eq "home"].value eq "ada@home.org""#, &[ADA]),
            (r#"not (emails[type eq "work"])"#, &[ZOE, EMILE]),
            (r#"emails pr"#, &[ADA, BEN]),
            (r#"phoneNumbers[value sw "+1"]"#, &[EMILE]),
        ],
    );
}

fn words_combine_by_precedence_and_parentheses(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"title pr and active eq true"#, &[ADA]),
            (r#"userName eq "ben" or userName eq "émile""#, &[BEN, EMILE]),
            (r#"userName eq "émile" or title pr and active eq false"#, &[BEN, EMILE]),
            (r#"(userName eq "émile" or title pr) and active eq true"#, &[ADA, EMILE]),
            (r#"not (title pr)"#, &[ZOE, EMILE]),
            (r#"not (title pr or userName eq "émile")"#, &[ZOE]),
            (r#"NOT (title PR) AND userName Sw "zo""#, &[ZOE]),
            (r#"userName eq "ben" and externalId eq "X-1""#, &[]),
            (r#"userName eq "ben" or userName eq "BEN""#, &[BEN]),
            (r#"  ( ( userName   eq   "ben" ) )  "#, &[BEN]),
        ],
    );
}

fn names_may_carry_their_urn(app: &TestApp) {
    let extension = |rest: &str| format!("{ENTERPRISE}:{rest}");
    assert_finds(
        app,
        &[
            (&format!("{USER}:userName eq \"ben\""), &[BEN]),
            (&format!("{USER}:name.familyName eq \"lane\""), &[ADA]),
            (&format!("{}:USERNAME eq \"ben\"", USER.to_uppercase()), &[BEN]),
            (&extension("department eq \"r&d\""), &[ADA]),
            (&extension("employeeNumber eq \"9\""), &[BEN]),
            (&extension("employeeNumber gt \"10\""), &[BEN]),
            (&extension("manager.value eq \"boss\""), &[ADA]),
            (&extension("manager pr"), &[ADA]),
            (&format!("{ENTERPRISE} pr"), &[ADA, BEN]),
            (&format!("schemas eq \"{ENTERPRISE}\""), &[ADA, BEN]),
        ],
    );
}

fn letter_case_accents_and_width_do_not_matter(app: &TestApp) {
    assert_finds(
        app,
        &[
            ("userName eq \"ÉMILE\"", &[EMILE]),
            ("userName eq \"e\u{301}mile\"", &[EMILE]),
            ("userName eq \"emile\"", &[]),
            ("userName eq \"ｂｅｎ\"", &[BEN]),
            ("userName eq \" ben \"", &[BEN]),
            ("displayName co \"STRAßE\"", &[EMILE]),
            ("displayName co \"strasse\"", &[]),
            ("displayName sw \"é\"", &[EMILE]),
            ("USERNAME EQ \"ben\"", &[BEN]),
            ("Emails.Type eq \"HOME\"", &[ADA]),
        ],
    );
}

fn wildcards_and_quotes_are_ordinary_characters(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"userName eq "ZO\"E\\""#, &[ZOE]),
            (r#"userName co "\"""#, &[ZOE]),
            (r#"userName eq "\u007ao\"e\\""#, &[ZOE]),
            (r#"userName co "%""#, &[]),
            (r#"userName sw "_en""#, &[]),
            (r#"userName co "*""#, &[]),
            (r#"nickName co "%_""#, &[ZOE]),
            (r#"userName eq "' OR 1=1 --""#, &[]),
        ],
    );
}

fn empty_filter_lists_everything(app: &TestApp) {
    make_users(app);
    assert_eq!(app.scim.filter("/Users", "").total(), 4);
    assert_eq!(app.scim.filter("/Users", "  ").total(), 4);
    assert_eq!(app.scim.get("/Users?FILTER=userName+eq+%22ben%22").total(), 1);
}

fn groups_are_found_by_name_and_member(app: &TestApp) {
    let mut ada = plain_user("ada");
    ada["displayName"] = json!("Ada");
    let ada = create(&app.scim, "/Users", ada);
    create(&app.scim, "/Groups", group("Staff", &[&ada]));
    create(&app.scim, "/Groups", group("Guests", &[]));
    for (filter, expected) in [
        ("displayName eq \"STAFF\"".to_owned(), vec!["Staff"]),
        ("displayName sw \"g\"".to_owned(), vec!["Guests"]),
        (format!("members.value eq \"{ada}\""), vec!["Staff"]),
        (format!("members[value eq \"{ada}\"]"), vec!["Staff"]),
        ("members[type eq \"Group\"]".to_owned(), vec![]),
        ("members.display eq \"ada\"".to_owned(), vec!["Staff"]),
        ("members pr".to_owned(), vec!["Staff"]),
        ("not (members pr)".to_owned(), vec!["Guests"]),
    ] {
        assert_eq!(
            texts(&app.scim.filter("/Groups", &filter), "displayName"),
            expected,
            "{filter}"
        );
    }
}

fn users_are_found_by_group(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    create(&app.scim, "/Users", plain_user("ben"));
    let inner = create(&app.scim, "/Groups", group("Inner", &[&ada]));
    create(&app.scim, "/Groups", group("Outer", &[&inner]));
    for (filter, expected) in [
        (format!("groups.value eq \"{inner}\""), vec!["ada"]),
        ("groups.display eq \"outer\"".to_owned(), vec!["ada"]),
        ("groups[type eq \"direct\" and display eq \"outer\"]".to_owned(), vec![]),
        ("groups pr".to_owned(), vec!["ada"]),
        ("not (groups pr)".to_owned(), vec!["ben"]),
    ] {
        assert_eq!(texts(&app.scim.filter("/Users", &filter), "userName"), expected, "{filter}");
    }
}

fn filter_follows_changes(app: &TestApp) {
    let mut body = plain_user("ada");
    body["emails"] = json!([{"value": "old@example.com"}]);
    let id = create(&app.scim, "/Users", body.clone());
    body["emails"] = json!([{"value": "new@example.com"}]);
    app.scim.put(&format!("/Users/{id}"), body).expect(200);
    assert_eq!(app.scim.filter("/Users", "emails.value eq \"old@example.com\"").total(), 0);
    assert_eq!(app.scim.filter("/Users", "emails.value eq \"new@example.com\"").total(), 1);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    assert_eq!(app.scim.filter("/Users", "emails.value eq \"new@example.com\"").total(), 0);
}

fn bad_filters_say_what_is_wrong(app: &TestApp) {
    let deep = format!("{}userName pr{}", "(".repeat(500), ")".repeat(500));
    let long = format!("userName eq \"{}\"", "a".repeat(20_000));
    for (filter, named) in [
        ("shoeSize eq 38", "shoeSize"),
        ("name.shoe eq \"x\"", "name.shoe"),
        ("urn:example:2.0:User:x eq 1", "urn:example"),
        ("members pr", "members"),
        ("userName", "operator"),
        ("userName eq", "quoted string"),
        ("userName is \"x\"", "operator"),
        ("userName eq \"x", "quotation"),
        ("userName eq x", "quoted string"),
        ("userName eq 5", "string"),
        ("active eq \"perhaps\"", "true or false"),
        ("active gt true", "gt"),
        ("meta.created gt \"yesterday\"", "date and time"),
        ("name eq \"x\"", "sub-attribute"),
        ("emails[type eq \"work\"", "bracket"),
        ("emails[foo eq \"work\"]", "foo"),
        ("(userName pr", "parenthesis"),
        ("userName pr)", "end"),
        ("userName pr and", "attribute"),
        ("and userName pr", "operator"),
        ("password eq \"x\"", "password"),
        ("userName eq \"b\\u0000en\"", "U+0000"),
        ("id eq \"\\u0000\"", "U+0000"),
        ("userName co \"\\ud800\"", "escapes"),
        (deep.as_str(), "deep"),
        (long.as_str(), "bytes"),
    ] {
        let answer = app.scim.filter("/Users", filter);
        let detail = answer.expect_scim_error(400, Some("invalidFilter"));
        assert!(detail.contains(named), "{filter}: {detail}");
    }
    app.scim.get("/Users?filter=%FF").expect_scim_error(400, Some("invalidValue"));
}
