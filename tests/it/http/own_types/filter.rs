//! Filters: every operator on every type, on base and extensions.

use serde_json::json;

use super::{ASSET, LAB, full, load, plain, with};
use crate::http::{create, texts};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    operators_fit_every_type,
    several_values_match_when_one_does,
    value_paths_look_at_one_element,
    extensions_are_filtered_by_their_urn,
    filters_follow_changes,
    filters_that_do_not_fit_say_why,
];

/// `one` has a value everywhere, `two` other ones, `three` none that is not required.
fn make(app: &TestApp) {
    load(app);
    create(&app.scim, "/TestResources", full("one"));
    let two = with(
        "two",
        json!({
            "code": "code-1", "colour": "Blue", "flag": false, "ratio": -2, "count": -5,
            "since": "2021-06-25T17:07:33.156Z", "blob": "AQID", "page": "https://example.com/A",
            "tags": ["TWO", "three"], "scores": [3, 9], "ratios": [7], "flags": [false],
            "dates": ["2022-01-01T00:00:00Z"], "blobs": ["AQ=="], "pages": ["urn:x:Y"],
            "address": {"city": "bern", "street": "Short"},
            "contacts": [{"value": "w@example.com", "type": "home", "rank": 5}],
            "label": "L2", "note": "Other",
            ASSET: {"tag": "B", "slot": {"row": 2}}, LAB: {"rooms": [2, 3]},
        }),
    );
    create(&app.scim, "/TestResources", two);
    create(&app.scim, "/TestResources", plain("three"));
}

fn assert_finds(app: &TestApp, table: &[(&str, &[&str])]) {
    make(app);
    for (filter, expected) in table {
        let filter = filter.replace("ASSET", ASSET).replace("LAB", LAB);
        let list = app.scim.filter("/TestResources", &filter);
        assert_eq!(texts(&list, "name"), *expected, "{filter}");
        assert_eq!(list.total(), u64::try_from(expected.len()).expect("few"), "{filter}");
    }
}

const ALL: &[&str] = &["one", "two", "three"];

fn operators_fit_every_type(app: &TestApp) {
    assert_finds(
        app,
        &[
            // Text, unique and indexed; without and with case; with canonical values.
            (r#"name eq "ONE""#, &["one"]),
            (r#"name ne "one""#, &["two", "three"]),
            (r#"name co "o""#, &["one", "two"]),
            (r#"name sw "T""#, &["two", "three"]),
            (r#"name ew "E""#, &["one", "three"]),
            (r#"name gt "one""#, &["two", "three"]),
            (r#"name ge "three""#, &["two", "three"]),
            (r#"name lt "two""#, &["one", "three"]),
            (r#"name le "one""#, &["one"]),
            ("name pr", ALL),
            (r#"code eq "Code-1""#, &["one"]),
            (r#"code sw "code""#, &["two"]),
            (r#"code ne "code-1""#, &["one", "three"]),
            (r#"code co "ode""#, &["one", "two"]),
            (r#"code ew "-1""#, &["one", "two"]),
            (r#"code lt "a""#, &["one"]),
            ("code pr", &["one", "two"]),
            ("code eq null", &["three"]),
            (r#"colour eq "RED" or colour sw "bl""#, &["one", "two"]),
            // Boolean.
            ("flag eq true", &["one"]),
            ("flag eq false", &["two"]),
            ("flag ne true", &["two", "three"]),
            ("flag pr", &["one", "two"]),
            ("not (flag eq \"False\")", &["one", "three"]),
            // Decimal.
            ("ratio eq 1.5", &["one"]),
            ("ratio eq -2.0", &["two"]),
            ("ratio ne 1.5", &["two", "three"]),
            ("ratio gt -2", &["one"]),
            ("ratio ge -2", &["one", "two"]),
            ("ratio lt 1.5", &["two"]),
            ("ratio le 1.5e0", &["one", "two"]),
            ("ratio pr", &["one", "two"]),
            // Integer.
            ("count eq 42", &["one"]),
            ("count ne 42", &["two", "three"]),
            ("count gt -5", &["one"]),
            ("count ge -5", &["one", "two"]),
            ("count lt 42", &["two"]),
            ("count le 42", &["one", "two"]),
            ("count gt 100 or count lt -100", &[]),
            // Date and time, in any zone.
            (r#"since eq "2021-06-25T17:07:33.155Z""#, &["one"]),
            (r#"since ne "2021-06-25T17:07:33.155Z""#, &["two", "three"]),
            (r#"since gt "2021-06-25T19:07:33.155+02:00""#, &["two"]),
            (r#"since ge "2021-06-25T17:07:33.155Z""#, &["one", "two"]),
            (r#"since lt "2021-06-25T17:07:33.156Z""#, &["one"]),
            (r#"since le "2021-06-25T17:07:33.156Z""#, &["one", "two"]),
            // Binary and references, always with case.
            (r#"blob eq "AP8=""#, &["one"]),
            (r#"blob eq "ap8=""#, &[]),
            (r#"blob ne "AP8=""#, &["two", "three"]),
            (r#"blob sw "AQ""#, &["two"]),
            (r#"blob co "P""#, &["one"]),
            (r#"blob ew "=""#, &["one"]),
            ("blob pr", &["one", "two"]),
            (r#"page eq "https://example.com/A""#, &["two"]),
            (r#"page ne "https://example.com/A""#, &["one", "three"]),
            (r#"page ew "/a""#, &["one"]),
            (r#"page co "example""#, &["one", "two"]),
            (r#"page gt "https://example.com/A""#, &["one"]),
            (r#"page le "https://example.com/A""#, &["two"]),
            // Complex, by its parts.
            (r#"address.city eq "BERN""#, &["one", "two"]),
            (r#"address.city ne "bern""#, &["three"]),
            (r#"address.street sw "l""#, &["one"]),
            ("address pr", &["one", "two"]),
            ("not (address.plot pr)", &["two", "three"]),
            // What is shown only on request, what is read-only, what every resource has.
            (r#"note eq "note""#, &["one"]),
            ("level pr", &[]),
            ("level eq null", ALL),
            (r#"externalId eq "ext-one""#, &["one"]),
            ("externalId eq null", &["two", "three"]),
            (r#"meta.resourceType eq "TestResource""#, ALL),
            (r#"id sw "directory_resource_""#, ALL),
        ],
    );
}

fn several_values_match_when_one_does(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"tags eq "two""#, &["one", "two"]),
            (r#"tags eq "x" or tags eq "ONE""#, &["one"]),
            (r#"tags ne "two""#, &["three"]),
            (r#"tags sw "th""#, &["two"]),
            (r#"tags co "n""#, &["one"]),
            ("tags pr", &["one", "two"]),
            ("scores eq 3", &["one", "two"]),
            ("scores gt 3", &["two"]),
            ("scores lt 0", &["one"]),
            ("scores ne 9", &["one", "three"]),
            ("ratios le 0.5", &["one"]),
            ("flags eq true", &["one"]),
            ("flags eq false", &["one", "two"]),
            (r#"dates ge "2021-01-01T00:00:00Z""#, &["one", "two"]),
            (r#"blobs eq "AQ==""#, &["one", "two"]),
            (r#"blobs ew "g==""#, &["one"]),
            (r#"pages eq "urn:x:y""#, &["one"]),
            (r#"tags[value eq "two"] and scores[value gt 5]"#, &["two"]),
        ],
    );
}

fn value_paths_look_at_one_element(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"contacts eq "W@example.com""#, &["one", "two"]),
            (r#"contacts.value ew "example.com""#, &["one", "two"]),
            (r#"contacts[value eq "w@example.com" and type eq "home"]"#, &["two"]),
            (r#"contacts[type eq "home" and rank gt 2]"#, &["two"]),
            (r#"contacts[type eq "home" or rank gt 2]"#, &["one", "two"]),
            (r#"contacts[not (rank eq 1)]"#, &["one", "two"]),
            (r#"contacts[type eq "work"].rank eq 1"#, &["one"]),
            ("contacts.rank eq 1", &["one"]),
            ("contacts.rank ge 2", &["one", "two"]),
            ("contacts.primary eq true", &["one"]),
            // A value that does not say so is not primary.
            ("contacts.primary eq false", &["one", "two"]),
            ("contacts.primary ne false", &["three"]),
            ("contacts[primary eq false and rank eq 2]", &["one"]),
            (r#"contacts.$ref eq "../Users/1""#, &["one"]),
            (r#"contacts[$ref pr]"#, &["one"]),
            (r#"address[city eq "bern" and street co "ong"]"#, &["one"]),
            ("contacts pr and not (flag eq true)", &["two"]),
        ],
    );
}

fn extensions_are_filtered_by_their_urn(app: &TestApp) {
    assert_finds(
        app,
        &[
            (r#"ASSET:tag eq "B""#, &["two"]),
            (r#"ASSET:tag sw "tag-""#, &["one", "three"]),
            ("ASSET:slot.row ge 1", &["one", "two"]),
            (r#"ASSET:slot.seal eq "s""#, &["one"]),
            (r#"tag eq "b""#, &["two"]),
            ("LAB:rooms eq 2", &["one", "two"]),
            ("LAB:rooms gt 2", &["two"]),
            (r#"LAB:opened le "2019-01-01T01:00:00+01:00""#, &["one"]),
            (r#"LAB:hint co "in""#, &["one"]),
            ("LAB pr", &["one", "two"]),
            ("ASSET pr", ALL),
            ("not (LAB pr)", &["three"]),
        ],
    );
}

fn filters_follow_changes(app: &TestApp) {
    make(app);
    let list = app.scim.filter("/TestResources", "count eq 42");
    let path = format!("/TestResources/{}", list.ids()[0]);
    let mut body = full("one");
    body["count"] = json!(43);
    body["tags"] = json!(["five"]);
    body["contacts"] = json!([{"value": "n@example.com"}]);
    body[ASSET]["tag"] = json!("new");
    app.scim.put(&path, body).expect(200);
    let tag = format!("{ASSET}:tag eq");
    for (filter, total) in [
        ("count eq 42", 0),
        ("count eq 43", 1),
        ("tags eq \"One\"", 0),
        ("tags eq \"five\"", 1),
        ("contacts.value eq \"h@example.com\"", 0),
        ("contacts.value eq \"n@example.com\"", 1),
        ("contacts.rank pr", 1),
        (&format!("{tag} \"tag-one\""), 0),
        (&format!("{tag} \"NEW\""), 1),
    ] {
        assert_eq!(app.scim.filter("/TestResources", filter).total(), total, "{filter}");
    }
}

fn filters_that_do_not_fit_say_why(app: &TestApp) {
    make(app);
    let hidden = "is never returned and cannot be used in a filter";
    let key = format!("{LAB}:key pr");
    for (filter, sentence) in [
        ("hat eq 1", "The resource type \"TestResource\" has no attribute \"hat\"."),
        ("userName pr", "The resource type \"TestResource\" has no attribute \"userName\"."),
        (
            "flag gt true",
            "The operator gt cannot be used with the attribute \"flag\" of type boolean",
        ),
        (
            "count co 4",
            "The operator co cannot be used with the attribute \"count\" of type integer",
        ),
        ("count eq \"4\"", "of type integer cannot be compared with \"4\""),
        ("count eq 4.5", "of type integer cannot be compared with 4.5"),
        ("since co \"2021\"", "The operator co cannot be used with the attribute \"since\""),
        ("since eq \"2021\"", "of type dateTime cannot be compared with \"2021\""),
        ("blob gt \"AA==\"", "The operator gt cannot be used with the attribute \"blob\""),
        ("address eq \"x\"", "The attribute \"address\" is complex and cannot be compared"),
        ("contacts[hat eq 1]", "The attribute \"contacts\" has no sub-attribute \"hat\"."),
        ("secret eq \"hidden-secret\"", hidden),
        ("pin eq 987654321", hidden),
        ("address.lock pr", hidden),
        ("address[lock sw \"h\"]", hidden),
        (&key, hidden),
    ] {
        let answer = app.scim.filter("/TestResources", filter);
        let detail = answer.expect_scim_error(400, Some("invalidFilter"));
        assert!(detail.contains(sentence), "{filter}: {detail}");
    }
}
