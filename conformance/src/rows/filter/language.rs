//! Operators, their order, the grammar and its names.

use serde_json::json;

use super::{expect_refused, expect_users, three_users};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{USER, full_user};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "F1",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f1_only_matching_resources",
        "Only matching resources are returned",
        f1,
    ),
    Row::new(
        "F2",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f2_operators",
        "`eq ne co sw ew pr gt ge lt le` all work on strings; `gt ge lt le` on dateTime \
         chronologically and on integer/decimal numerically",
        f2,
    ),
    Row::new(
        "F3",
        "SHALL",
        "RFC 7644 §3.4.2.2",
        "rfc_f3_no_order_of_booleans_and_binaries",
        "`gt ge lt le` on boolean or binary gives 400 invalidFilter",
        f3,
    ),
    Row::new(
        "F4",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f4_precedence",
        "Precedence: grouping, then `not`, then `and`, then `or`; brackets override",
        f4,
    ),
    Row::new(
        "F5",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f5_not_requires_parentheses",
        "`not` requires parentheses: `not (x)`",
        f5,
    ),
    Row::new(
        "F6",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f6_grammar",
        "ABNF: values are JSON literals (quoted strings, true/false/null, numbers); \
         `userName eq bob` and `(((` give 400 invalidFilter",
        f6,
    ),
    Row::new(
        "F7",
        "MUST",
        "RFC 7644 §3.4.2.2",
        "rfc_f7_names_in_any_case",
        "Operators and attribute names are case-insensitive (`userName Eq \"x\"`)",
        f7,
    ),
];

fn f1(s: &Subject) -> Check {
    three_users(s)?;
    s.scim.create_group("Tools", &[])?;
    s.scim.create_group("Sales", &[])?;
    expect_users(
        s,
        &[
            ("userName eq \"ada\"", &["ada"]),
            ("userName pr", &["ada", "ben", "cyd"]),
            ("title eq \"Engineer\"", &["ada", "ben"]),
            ("name.familyName eq \"Moss\"", &["ben"]),
            ("active eq false", &["ben"]),
            ("userName eq \"nobody\"", &[]),
        ],
    )?;
    let groups = s.scim.filter("/Groups", "displayName sw \"T\"")?.expect(200)?;
    groups.expect_found("/displayName", &["Tools"])?;
    Ok(())
}

fn f2(s: &Subject) -> Check {
    three_users(s)?;
    expect_users(
        s,
        &[
            ("displayName eq \"Ada Lane\"", &["ada"]),
            ("displayName ne \"Ada Lane\"", &["ben", "cyd"]),
            ("displayName co \"a L\"", &["ada"]),
            ("displayName sw \"Ben\"", &["ben"]),
            ("displayName sw \"Ben Moss\"", &["ben"]),
            ("displayName ew \"ane\"", &["ada"]),
            ("displayName ew \"Ada Lane\"", &["ada"]),
            ("displayName pr", &["ada", "ben"]),
            ("userName gt \"ben\"", &["cyd"]),
            ("userName ge \"ben\"", &["ben", "cyd"]),
            ("userName lt \"ben\"", &["ada"]),
            ("userName le \"ben\"", &["ada", "ben"]),
            ("emails.value co \"home.\"", &["ada", "ben"]),
            ("meta.created gt \"2011-05-13T04:42:34Z\"", &["ada", "ben", "cyd"]),
            ("meta.lastModified lt \"2011-05-13T04:42:34Z\"", &[]),
            ("meta.created le \"9999-12-31T23:59:59Z\"", &["ada", "ben", "cyd"]),
        ],
    )?;

    s.load_schemas(&resource_type(&json!([
        {"name": "label", "type": "string"},
        {"name": "size", "type": "integer"},
        {"name": "weight", "type": "decimal"},
        {"name": "since", "type": "dateTime"},
    ])))?;
    for (label, size, weight, since) in [
        ("a", -2, 0.25, "2020-01-01T12:00:00Z"),
        ("b", 9, 2.5, "2020-01-01T12:30:00+02:00"),
        ("c", 10, 10.0, "2020-01-01T12:00:00.001Z"),
    ] {
        let thing = json!({"label": label, "size": size, "weight": weight, "since": since});
        s.scim.create(THINGS, &a_thing(&thing))?;
    }
    let table: &[(&str, &[&str])] = &[
        ("size gt 9", &["c"]),
        ("size ge 9", &["b", "c"]),
        ("size lt 9", &["a"]),
        ("size le 9", &["a", "b"]),
        ("size eq 10", &["c"]),
        ("size ne 10", &["a", "b"]),
        ("size gt -3", &["a", "b", "c"]),
        ("weight gt 2.5", &["c"]),
        ("weight ge 2.50", &["b", "c"]),
        ("weight lt 2.5e0", &["a"]),
        ("weight le 2.5", &["a", "b"]),
        ("weight eq 10", &["c"]),
        // By the instant, not by the text.
        ("since lt \"2020-01-01T12:00:00Z\"", &["b"]),
        ("since le \"2020-01-01T13:00:00+01:00\"", &["a", "b"]),
        ("since gt \"2020-01-01T12:00:00Z\"", &["c"]),
        ("since ge \"2020-01-01T07:00:00-05:00\"", &["a", "c"]),
        ("since eq \"2020-01-01T10:30:00Z\"", &["b"]),
    ];
    for (filter, expected) in table {
        s.scim.filter(THINGS, filter)?.expect(200)?.expect_found("/label", expected)?;
    }
    Ok(())
}

fn f3(s: &Subject) -> Check {
    s.scim.create("/Users", &full_user("ada"))?;
    for operator in ["gt", "ge", "lt", "le"] {
        expect_refused(
            s,
            &[
                &format!("active {operator} true"),
                &format!("emails[primary {operator} false]"),
                &format!("x509Certificates.value {operator} \"MIIDQzCCAqw=\""),
                &format!("userName pr or active {operator} true"),
            ],
        )?;
    }
    Ok(())
}

fn f4(s: &Subject) -> Check {
    three_users(s)?;
    let (ada, ben, engineer) =
        ("userName eq \"ada\"", "userName eq \"ben\"", "title eq \"Engineer\"");
    let all = ["ada", "ben", "cyd"];
    expect_users(
        s,
        &[
            // `and` binds more tightly than `or`, on either side of it.
            (&format!("{ada} or {ben} and title eq \"none\""), &["ada"]),
            (&format!("title eq \"none\" and {ben} or {ada}"), &["ada"]),
            (&format!("({ada} or {ben}) and title eq \"none\""), &[]),
            // `not` binds more tightly than both.
            (&format!("not ({ada}) and {engineer}"), &["ben"]),
            (&format!("not ({ada} and {engineer})"), &["ben", "cyd"]),
            (&format!("not ({ada}) or {ada}"), &all),
            (&format!("not ({ada} or {ben})"), &["cyd"]),
            (&format!("{ada} or not ({engineer})"), &["ada", "cyd"]),
            (&format!("not (not ({ada}))"), &["ada"]),
            (&format!("(({ada}) or (({ben})))"), &["ada", "ben"]),
        ],
    )
}

fn f5(s: &Subject) -> Check {
    three_users(s)?;
    expect_users(
        s,
        &[
            ("not (userName eq \"ada\")", &["ben", "cyd"]),
            ("not(userName eq \"ada\")", &["ben", "cyd"]),
            ("title pr and not (userName eq \"ada\")", &["ben"]),
            ("emails[not (type eq \"work\")]", &["ada", "ben"]),
        ],
    )?;
    expect_refused(
        s,
        &[
            "not userName eq \"ada\"",
            "not title pr",
            "title pr and not userName eq \"ada\"",
            "not",
            "not ()",
            "emails[not type eq \"work\"]",
        ],
    )
}

fn f6(s: &Subject) -> Check {
    three_users(s)?;
    expect_users(
        s,
        &[
            ("userName eq \"\\u0061da\"", &["ada"]),
            ("userName ne \"a\\\"d\\\\a\\/\"", &["ada", "ben", "cyd"]),
            ("active eq true", &["ada", "cyd"]),
            ("title eq null", &["cyd"]),
            ("title eq \"O'Malley (and) or not [pr]\"", &[]),
        ],
    )?;
    expect_refused(
        s,
        &[
            "userName eq bob",
            "userName eq 'bob'",
            "userName eq \"bob",
            "userName eq bob\"",
            "userName eq \"a\" \"b\"",
            "userName eq \"\\x\"",
            "userName eq {\"value\": \"bob\"}",
            "userName eq [\"bob\"]",
            "active eq yes",
            "(((",
            ")",
            "()",
            "(userName pr",
            "userName pr)",
            "emails[type eq \"work\"",
            "emails[]",
            "emails type eq \"work\"]",
            "userName",
            "userName eq",
            "eq \"bob\"",
            "\"bob\" eq userName",
            "userName \"bob\"",
            "userName pr \"bob\"",
            "userName eq \"a\" and",
            "or userName pr",
            "userName pr userName pr",
            "userName pr and or title pr",
            "user Name pr",
            "9name pr",
            "user%Name pr",
            "userName. pr",
            "userName == \"bob\"",
        ],
    )
}

fn f7(s: &Subject) -> Check {
    three_users(s)?;
    let upper = USER.to_uppercase();
    expect_users(
        s,
        &[
            ("userName Eq \"ada\"", &["ada"]),
            ("USERNAME EQ \"ada\"", &["ada"]),
            ("username nE \"ada\"", &["ben", "cyd"]),
            ("Name.FAMILYname Co \"an\"", &["ada"]),
            ("DisplayName SW \"ben\"", &["ben"]),
            ("displayname eW \"moss\"", &["ben"]),
            ("TITLE PR", &["ada", "ben"]),
            ("username Gt \"ada\" And username LT \"cyd\"", &["ben"]),
            ("username gE \"ben\" AND username Le \"ben\"", &["ben"]),
            ("userName eq \"ada\" Or userName eq \"ben\"", &["ada", "ben"]),
            ("NOT (title Pr)", &["cyd"]),
            ("Emails[Type EQ \"work\" AND Value sw \"ada\"]", &["ada"]),
            ("active EQ false", &["ben"]),
            (&format!("{upper}:username eq \"ada\""), &["ada"]),
        ],
    )
}
