//! Which values a filter looks at, how they compare, and what is too much.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{expect_refused, expect_users, three_users};
use crate::answer::ensure;
use crate::rows::custom::{THING, THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{ENTERPRISE, USER, encode, full_user, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "F8",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f8_complex_by_sub_attribute",
        "Complex attributes are addressed by sub-attribute (`name.givenName`)",
        f8,
    ),
    Row::new(
        "F9",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f9_multi_valued_matches_any_value",
        "A multi-valued attribute matches if any value matches; `emails eq \"x\"` means \
         `emails.value`",
        f9,
    ),
    Row::new(
        "F10",
        "MAY",
        "RFC 7644 §3.4.2.2",
        "rfc_f10_value_filter",
        "`emails[type eq \"work\" and value co \"@x\"]` applies all parts to the same element",
        f10,
    ),
    Row::new(
        "F11",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f11_case_exact",
        "Comparison case follows `caseExact`",
        f11,
    ),
    Row::new(
        "F12",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f12_unknown_operator",
        "Unknown operator: 400 invalidFilter with a detail",
        f12,
    ),
    Row::new(
        "F13",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f13_present",
        "`pr` is true for a non-empty value or a non-empty complex node; false for null/[]/absent",
        f13,
    ),
    Row::new(
        "F14",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f14_null_and_unassigned",
        "`eq null` behaves as not present; `ne` includes unassigned consistently — documented",
        f14,
    ),
    Row::new(
        "F15",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f15_defaulted_attributes",
        "Defaulted attributes are filtered by the value that was returned to the client",
        f15,
    ),
    Row::new(
        "F16",
        "MUST",
        "RFC 7644 §7.8",
        "rfc_f16_unicode_normalised",
        "Unicode is normalised before comparing (NFC vs NFD of the same name match)",
        f16,
    ),
    Row::new(
        "F17",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f17_extension_attributes",
        "Extension attributes filter by URN: `urn:…:enterprise:2.0:User:department eq \"x\"`",
        f17,
    ),
    Row::new(
        "F18",
        "—",
        "RFC 7644 §3.4.2.2",
        "rfc_f18_hostile_filter",
        "Depth/length limits: a hostile filter (1 MB, 10 000 brackets) gives 400 quickly, no stack \
         overflow",
        f18,
    ),
];

/// A hostile filter has to be refused within this time.
const QUICKLY: Duration = Duration::from_secs(5);

fn f8(s: &Subject) -> Check {
    three_users(s)?;
    expect_users(
        s,
        &[
            ("name.givenName eq \"Ada\"", &["ada"]),
            ("name.familyName co \"os\"", &["ben"]),
            ("name.familyName pr", &["ada", "ben"]),
            ("emails.type eq \"home\"", &["ada", "ben"]),
            ("meta.resourceType eq \"User\"", &["ada", "ben", "cyd"]),
            (&format!("{USER}:name.givenName eq \"Ben\""), &["ben"]),
        ],
    )?;
    expect_refused(s, &["name eq \"Ada\"", "name co \"Ada\"", "meta eq \"User\"", "name gt \"A\""])
}

fn f9(s: &Subject) -> Check {
    three_users(s)?;
    expect_users(
        s,
        &[
            // Each has a second address, at `home.`.
            ("emails.value eq \"home.ada\"", &["ada"]),
            ("emails.value eq \"ada\"", &["ada"]),
            ("emails eq \"home.ben\"", &["ben"]),
            ("emails co \"ben\"", &["ben"]),
            ("emails sw \"home.\"", &["ada", "ben"]),
            ("emails.type eq \"work\" and emails.type eq \"home\"", &["ada", "ben"]),
            ("phoneNumbers pr", &["ada", "ben"]),
            (&format!("schemas eq \"{ENTERPRISE}\""), &["ada", "ben"]),
        ],
    )
}

fn f10(s: &Subject) -> Check {
    for (name, work, home) in [("ada", "ada@x.org", "ada@y.org"), ("ben", "ben@y.org", "ben@x.org")]
    {
        let emails = json!([{"type": "work", "value": work}, {"type": "home", "value": home}]);
        s.scim.create("/Users", &with(user(name), "emails", emails))?;
    }
    expect_users(
        s,
        &[
            ("emails[type eq \"work\" and value co \"@x\"]", &["ada"]),
            ("emails[type eq \"home\" and value co \"@x\"]", &["ben"]),
            ("emails[type eq \"other\" and value co \"@x\"]", &[]),
            ("emails[type eq \"work\" or value co \"@x\"]", &["ada", "ben"]),
            ("emails[not (type eq \"work\") and value co \"@x\"]", &["ben"]),
            ("emails[(type eq \"work\" or type eq \"other\") and value ew \"@y.org\"]", &["ben"]),
            ("emails[type eq \"work\" and value co \"@x\"] and userName eq \"ben\"", &[]),
            ("not (emails[type eq \"work\" and value co \"@x\"])", &["ben"]),
            // Outside the brackets each part may be true of another element.
            ("emails.type eq \"work\" and emails.value co \"@x\"", &["ada", "ben"]),
        ],
    )
}

fn f11(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &with(full_user("Ada"), "externalId", json!("Ext-1")))?;
    let upper = ada.id.to_uppercase();
    expect_users(
        s,
        &[
            ("userName eq \"aDA\"", &["Ada"]),
            ("displayName co \"A LANE\"", &["Ada"]),
            ("emails.value sw \"HOME\"", &["Ada"]),
            ("emails[type eq \"WORK\" and value ew \"DA\"]", &["Ada"]),
            (&format!("{ENTERPRISE}:department eq \"TOOLS\""), &["Ada"]),
            ("externalId eq \"Ext-1\"", &["Ada"]),
            ("externalId eq \"ext-1\"", &[]),
            ("externalId sw \"ext\"", &[]),
            ("externalId co \"T-\"", &[]),
            (&format!("id eq \"{}\"", ada.id), &["Ada"]),
            (&format!("id eq \"{upper}\""), &[]),
            ("meta.resourceType eq \"user\"", &[]),
        ],
    )?;

    s.load_schemas(&resource_type(&json!([
        {"name": "exact", "type": "string", "caseExact": true},
        {"name": "folded", "type": "string", "caseExact": false},
    ])))?;
    let thing = s.scim.create(THINGS, &a_thing(&json!({"exact": "Éa", "folded": "Éa"})))?;
    for (filter, found) in [
        ("exact eq \"Éa\"", true),
        ("exact eq \"éa\"", false),
        ("exact co \"A\"", false),
        ("exact lt \"Éb\"", true),
        ("folded eq \"éA\"", true),
        ("folded sw \"é\"", true),
        ("folded ew \"A\"", true),
    ] {
        let expected: &[&str] = if found { &[&thing.id] } else { &[] };
        s.scim.filter(THINGS, filter)?.expect(200)?.expect_set(expected)?;
    }
    Ok(())
}

fn f12(s: &Subject) -> Check {
    three_users(s)?;
    for operator in ["regex", "like", "in", "eqq", "e", "xor", "pre"] {
        for filter in
            [format!("userName {operator} \"ada\""), format!("emails[value {operator} \"ada\"]")]
        {
            let answer = s.scim.filter("/Users", &filter)?;
            let refused = answer.expect_error(400, Some("invalidFilter"))?;
            let named = refused.text_at("/detail")?.contains(operator);
            refused.expect_that(named, "the detail does not name the operator")?;
        }
    }
    Ok(())
}

fn f13(s: &Subject) -> Check {
    let nothing = json!({
        "title": null, "emails": [], "name": {}, "phoneNumbers": null, "nickName": null,
        ENTERPRISE: {"manager": {}, "department": null},
    });
    let mut empty = user("empty");
    if let (Some(empty), Some(nothing)) = (empty.as_object_mut(), nothing.as_object()) {
        empty.extend(nothing.clone());
    }
    s.scim.create("/Users", &empty)?;
    s.scim.create("/Users", &full_user("full"))?;
    s.scim.create("/Users", &with(user("part"), "name", json!({"givenName": "Part"})))?;
    let department = format!("{ENTERPRISE}:department");
    expect_users(
        s,
        &[
            ("title pr", &["full"]),
            ("emails pr", &["full"]),
            ("emails.value pr", &["full"]),
            ("emails.primary pr", &["full"]),
            ("emails[type eq \"home\" and primary pr]", &[]),
            ("phoneNumbers pr", &["full"]),
            ("name pr", &["full", "part"]),
            ("name.familyName pr", &["full"]),
            ("nickName pr", &[]),
            (&format!("{department} pr"), &["full"]),
            (&format!("{ENTERPRISE}:manager pr"), &[]),
            ("meta pr", &["empty", "full", "part"]),
            ("not (name pr)", &["empty"]),
        ],
    )
}

/// Rollbook: `ne` is exactly `not (… eq …)`, so it finds what has no value.
fn f14(s: &Subject) -> Check {
    three_users(s)?;
    let manager = format!("{ENTERPRISE}:manager.value");
    let all = ["ada", "ben", "cyd"];
    for name in ["title", "name.familyName", "emails", "emails.type", "phoneNumbers.value"] {
        expect_users(
            s,
            &[
                (&format!("{name} eq null"), &["cyd"]),
                (&format!("not ({name} pr)"), &["cyd"]),
                (&format!("{name} ne null"), &["ada", "ben"]),
                (&format!("{name} ne \"nothing of that kind\""), &all),
                (&format!("not ({name} eq \"nothing of that kind\")"), &all),
            ],
        )?;
    }
    expect_users(
        s,
        &[
            ("title ne \"Engineer\"", &["cyd"]),
            ("not (title eq \"Engineer\")", &["cyd"]),
            ("emails.type ne \"home\"", &["cyd"]),
            ("not (emails.type eq \"home\")", &["cyd"]),
            (&format!("{manager} eq null"), &all),
            (&format!("{manager} ne \"somebody\""), &all),
        ],
    )
}

fn f15(s: &Subject) -> Check {
    let silent = s.scim.create_user("silent")?;
    s.scim.create("/Users", &with(user("inactive"), "active", json!(false)))?;
    let agrees = |active: Option<&Value>| match active {
        Some(Value::Bool(true)) => expect_users(
            s,
            &[
                ("active eq true", &["silent"]),
                ("active pr", &["silent", "inactive"]),
                ("active eq false", &["inactive"]),
            ],
        ),
        Some(Value::Bool(false)) => expect_users(
            s,
            &[("active eq true", &[]), ("active eq false", &["silent", "inactive"])],
        ),
        _ => expect_users(s, &[("active pr", &["inactive"]), ("active eq true", &[])]),
    };
    agrees(silent.body.get("active"))?;
    // Also after the value has been taken away.
    let removed = s.scim.apply(&silent.path, &json!([{"op": "remove", "path": "active"}]))?;
    agrees(removed.json.get("active"))?;
    let replaced = s.scim.put(&silent.path, &user("silent"))?.expect(200)?;
    agrees(replaced.json.get("active"))
}

fn f16(s: &Subject) -> Check {
    // Precomposed and decomposed, both ways round.
    for (name, stored) in [("nfc", "Zo\u{eb} \u{c5}ng"), ("nfd", "Rene\u{301} A\u{30a}ng")] {
        let body = with(user(name), "displayName", json!(stored));
        s.scim.create("/Users", &with(body, "externalId", json!(stored)))?;
    }
    s.scim.create_user("jos\u{e9}")?;
    expect_users(
        s,
        &[
            ("displayName eq \"Zoe\u{308} A\u{30a}ng\"", &["nfc"]),
            ("displayName eq \"Zo\u{eb} \u{c5}ng\"", &["nfc"]),
            ("displayName eq \"Ren\u{e9} \u{c5}ng\"", &["nfd"]),
            ("displayName eq \"Rene\u{301} A\u{30a}ng\"", &["nfd"]),
            ("displayName sw \"Ren\u{e9}\"", &["nfd"]),
            ("displayName co \"oe\u{308}\"", &["nfc"]),
            ("displayName ew \"\u{c5}ng\"", &["nfc", "nfd"]),
            ("externalId eq \"Ren\u{e9} \u{c5}ng\"", &["nfd"]),
            ("externalId eq \"Zoe\u{308} A\u{30a}ng\"", &["nfc"]),
            ("userName eq \"jose\u{301}\"", &["jos\u{e9}"]),
            ("displayName eq \"Zoe \u{c5}ng\"", &[]),
        ],
    )
}

fn f17(s: &Subject) -> Check {
    three_users(s)?;
    let upper = ENTERPRISE.to_uppercase();
    expect_users(
        s,
        &[
            (&format!("{ENTERPRISE}:department eq \"Tools\""), &["ada", "ben"]),
            (&format!("{ENTERPRISE}:department eq \"Sales\""), &[]),
            (&format!("{upper}:DEPARTMENT sw \"to\""), &["ada", "ben"]),
            (&format!("{ENTERPRISE}:employeeNumber pr and userName eq \"ben\""), &["ben"]),
            (&format!("not ({ENTERPRISE}:costCenter eq \"4130\")"), &["cyd"]),
            (&format!("{USER}:userName sw \"a\""), &["ada"]),
            (&format!("schemas eq \"{ENTERPRISE}\""), &["ada", "ben"]),
        ],
    )?;
    s.load_schemas(&resource_type(&json!([{"name": "label", "type": "string"}])))?;
    let thing = s.scim.create(THINGS, &a_thing(&json!({"label": "first"})))?;
    let by_urn = s.scim.filter(THINGS, &format!("{THING}:label eq \"first\""))?;
    by_urn.expect(200)?.expect_ids(&[&thing.id])?;
    Ok(())
}

fn f18(s: &Subject) -> Check {
    s.scim.create_user("ada")?;
    let deep = 10_000;
    let nested =
        |open: &str, close: &str| format!("{}userName pr{}", open.repeat(deep), close.repeat(deep));
    let short = [
        "(".repeat(deep),
        nested("(", ")"),
        "[".repeat(deep),
        "emails[".repeat(1_000),
        "a.".repeat(deep),
    ];
    let long = [
        nested("not (", ")"),
        nested("emails[", "]"),
        format!("userName eq \"{}\"", "a".repeat(1_000_000)),
        format!("{} pr", "a".repeat(1_000_000)),
        "userName pr or ".repeat(70_000) + "userName pr",
        "(".repeat(1_000_000),
        "\\".repeat(1_000_000),
    ];
    let refused = |filter: &str, method: &str| {
        let started = Instant::now();
        let answer = match method {
            "GET" => s.scim.get(&format!("/Users?filter={}", encode(filter)))?,
            _ => s.scim.search("/Users", &json!({"filter": filter}))?,
        };
        let took = started.elapsed();
        answer.expect_error(400, Some("invalidFilter"))?;
        ensure(took < QUICKLY, || format!("{method} with a hostile filter took {took:?}"))
    };
    for filter in &short {
        refused(filter, "GET")?;
    }
    for filter in short.iter().chain(&long) {
        refused(filter, "POST")?;
    }
    // Nothing of it has hurt the server.
    expect_users(s, &[("userName eq \"ada\"", &["ada"])])
}
