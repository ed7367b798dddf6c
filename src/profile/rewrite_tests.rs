//! Tables for the rewrites: what each fires on, what it makes of it, and what it leaves alone.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Profile;
use super::rewrite::{Fired, patch, representation};
use crate::scim::patch::laws::{hostile, plausible, word};
use crate::scim::patch::op::{BodyRules, parse};
use crate::scim::resource::fixture::{device, expand, group, object, user};
use crate::scim::{ResourceType, urn};

/// A profile with no rewrite but `rule`.
fn only(rule: &str) -> Profile {
    let overrides = toml::Table::from_iter([(rule.to_owned(), true.into())]);
    Profile::of("rfc", &overrides).unwrap()
}

fn none() -> Profile {
    Profile::of("rfc", &toml::Table::new()).unwrap()
}

fn rewritten(body: &Value, rt: &ResourceType, profile: &Profile) -> (Value, Vec<Fired>) {
    let mut body = object(body.clone());
    let fired = representation(&mut body, rt, profile);
    (Value::Object(body), fired)
}

fn fired(rule: &'static str, paths: &[&str]) -> Vec<Fired> {
    let expand = |path: &str| path.replace("ENT", urn::ENTERPRISE_USER);
    paths.iter().map(|path| Fired { rule, path: expand(path) }).collect()
}

/// Rows are a body, what it becomes, and the paths that are reported; a body that stays as it is
/// reports none. Without the flag every body stays.
fn bodies(rule: &'static str, rt: &ResourceType, table: &[(Value, Value, &[&str])]) {
    for (body, expected, paths) in table {
        let (body, expected) = (expand(body), expand(expected));
        assert_eq!(rewritten(&body, rt, &only(rule)), (expected, fired(rule, paths)), "{body}");
        assert_eq!(rewritten(&body, rt, &none()), (body, Vec::new()), "{rule} is off");
    }
}

/// The same for one PATCH operation each: its path or none, its value, and what that becomes.
fn operations(rule: &'static str, table: &[(Option<&str>, Value, Value, &[&str])]) {
    for (path, value, expected, paths) in table {
        let path = path.map(|path| path.replace("ENT", urn::ENTERPRISE_USER));
        let body = object(json!({"Operations": [
            {"op": "add", "path": path, "value": expand(value)}
        ]}));
        let before = parse(&body, BodyRules::LENIENT).unwrap();
        let mut ops = before.clone();
        assert_eq!(patch(&mut ops, &user(), &only(rule)), fired(rule, paths), "{path:?} {value}");
        assert_eq!(ops[0].value, Some(expand(expected)), "{path:?} {value}");
        let mut ops = before.clone();
        assert_eq!(patch(&mut ops, &user(), &none()), Vec::new(), "{rule} is off");
        assert_eq!(ops, before, "{rule} is off");
    }
}

#[test]
fn boolean_text() {
    let same = |value: Value| (value.clone(), value, [].as_slice());
    bodies(
        "boolean_text",
        &user(),
        &[
            (json!({"active": "True"}), json!({"active": true}), &["active"]),
            (json!({"ACTIVE": "fALSE"}), json!({"ACTIVE": false}), &["ACTIVE"]),
            (
                json!({"emails": [{"value": "a", "Primary": "true"}, {"primary": "no"}]}),
                json!({"emails": [{"value": "a", "Primary": true}, {"primary": "no"}]}),
                &["emails.Primary"],
            ),
            same(json!({"active": true, "userName": "true", "displayName": "False"})),
            same(json!({"active": "yes"})),
            same(json!({"active": 1})),
            same(json!({"hat": "true", "not a path": "true"})),
        ],
    );
    operations(
        "boolean_text",
        &[
            (Some("active"), json!("False"), json!(false), &["active"]),
            (Some("userName"), json!("False"), json!("False"), &[]),
            (
                Some("emails[primary pr].primary"),
                json!(["True"]),
                json!([true]),
                &["emails[primary pr].primary"],
            ),
            (
                Some("emails[type eq \"work\"].primary"),
                json!("True"),
                json!(true),
                &["emails[type eq \"work\"].primary"],
            ),
            (
                Some("emails[type eq \"work\"]"),
                json!({"primary": "True"}),
                json!({"primary": true}),
                &["emails[type eq \"work\"].primary"],
            ),
            (
                Some("emails[type eq \"work\"]"),
                json!([{"primary": "True"}]),
                json!([{"primary": true}]),
                &["emails[type eq \"work\"].primary"],
            ),
            (
                Some("emails"),
                json!([{"primary": "True"}]),
                json!([{"primary": true}]),
                &["emails.primary"],
            ),
            (
                None,
                json!({"active": "True", "emails[type eq \"work\"].primary": "false"}),
                json!({"active": true, "emails[type eq \"work\"].primary": false}),
                &["active", "emails[type eq \"work\"].primary"],
            ),
            (Some("hat"), json!("True"), json!("True"), &[]),
        ],
    );
}

#[test]
fn complex_from_scalar() {
    let same = |value: Value| (value.clone(), value, [].as_slice());
    bodies(
        "complex_from_scalar",
        &user(),
        &[
            (
                json!({"ENT": {"manager": "m"}}),
                json!({"ENT": {"manager": {"value": "m"}}}),
                &["ENT:manager"],
            ),
            (
                json!({"ENT": {"manager": ["m"]}}),
                json!({"ENT": {"manager": {"value": "m"}}}),
                &["ENT:manager"],
            ),
            (
                json!({"ENT": {"manager": [{"value": "m"}]}}),
                json!({"ENT": {"manager": {"value": "m"}}}),
                &["ENT:manager"],
            ),
            (json!({"ENT": {"manager": []}}), json!({"ENT": {"manager": null}}), &["ENT:manager"]),
            (json!({"ENT": {"manager": ""}}), json!({"ENT": {"manager": null}}), &["ENT:manager"]),
            (
                json!({"emails": ["a", {"value": "b"}, ""]}),
                json!({"emails": [{"value": "a"}, {"value": "b"}, null]}),
                &["emails", "emails"],
            ),
            same(json!({"ENT": {"manager": {"value": "m"}}})),
            same(json!({"ENT": {"manager": ["m", "n"]}})),
            same(json!({"ENT": {"manager": null}})),
            same(json!({"name": "Bob"})),
            same(json!({"userName": "bob"})),
            same(json!({"ENT": "m"})),
        ],
    );
    operations(
        "complex_from_scalar",
        &[
            (Some("ENT:manager"), json!("m"), json!({"value": "m"}), &["ENT:manager"]),
            (Some("ENT.manager"), json!("m"), json!({"value": "m"}), &["ENT.manager"]),
            (Some("ENT:manager"), json!(""), Value::Null, &["ENT:manager"]),
            (Some("ENT:manager.value"), json!("m"), json!("m"), &[]),
            (Some("manager"), json!(["m"]), json!({"value": "m"}), &["manager"]),
            (
                Some("ENT"),
                json!({"manager": "m"}),
                json!({"manager": {"value": "m"}}),
                &["ENT:manager"],
            ),
            (
                None,
                json!({"ENT": {"Manager": "m"}}),
                json!({"ENT": {"Manager": {"value": "m"}}}),
                &["ENT:Manager"],
            ),
            (
                None,
                json!({"ENT:manager": "m"}),
                json!({"ENT:manager": {"value": "m"}}),
                &["ENT:manager"],
            ),
            (Some("emails"), json!(["a"]), json!([{"value": "a"}]), &["emails"]),
            (
                Some("emails[type eq \"work\"]"),
                json!("a"),
                json!({"value": "a"}),
                &["emails[type eq \"work\"]"],
            ),
        ],
    );
}

#[test]
fn array_from_object() {
    let same = |value: Value| (value.clone(), value, [].as_slice());
    bodies(
        "array_from_object",
        &user(),
        &[
            (json!({"emails": {"value": "a"}}), json!({"emails": [{"value": "a"}]}), &["emails"]),
            (json!({"Roles": {}}), json!({"Roles": [{}]}), &["Roles"]),
            same(json!({"emails": [{"value": "a"}], "name": {"givenName": "B"}})),
            same(json!({"emails": "a"})),
            same(json!({"emails": null, "hat": {"value": "a"}})),
            same(json!({"ENT": {"manager": {"value": "m"}}})),
        ],
    );
    operations(
        "array_from_object",
        &[
            (Some("emails"), json!({"value": "a"}), json!([{"value": "a"}]), &["emails"]),
            (
                None,
                json!({"emails": {"value": "a"}}),
                json!({"emails": [{"value": "a"}]}),
                &["emails"],
            ),
            // A value filter is about one element already.
            (Some("emails[type eq \"work\"]"), json!({"value": "a"}), json!({"value": "a"}), &[]),
            (
                None,
                json!({"emails[type eq \"work\"]": {"value": "a"}}),
                json!({"emails[type eq \"work\"]": {"value": "a"}}),
                &[],
            ),
        ],
    );
}

#[test]
fn single_primary() {
    let same = |value: Value| (value.clone(), value, [].as_slice());
    let (yes, no) = (json!({"primary": true}), json!({"primary": false}));
    bodies(
        "single_primary",
        &user(),
        &[
            (
                json!({"emails": [yes, no, yes, yes]}),
                json!({"emails": [yes, no, no, no]}),
                &["emails"],
            ),
            (
                json!({"emails": [{"Primary": true}, {"PRIMARY": true}]}),
                json!({"emails": [{"Primary": true}, {"PRIMARY": false}]}),
                &["emails"],
            ),
            (
                json!({"emails": [yes, yes], "roles": [yes, yes]}),
                json!({"emails": [yes, no], "roles": [yes, no]}),
                &["emails", "roles"],
            ),
            same(json!({"emails": [no, yes, {"primary": "true"}], "roles": [yes]})),
            same(json!({"hat": [yes, yes]})),
        ],
    );
    operations(
        "single_primary",
        &[
            (Some("emails"), json!([yes, yes]), json!([yes, no]), &["emails"]),
            (None, json!({"emails": [yes, yes]}), json!({"emails": [yes, no]}), &["emails"]),
        ],
    );
    // Text that becomes a boolean counts.
    let both = toml::Table::from_iter([
        ("boolean_text".to_owned(), true.into()),
        ("single_primary".to_owned(), true.into()),
    ]);
    let body = json!({"emails": [yes, {"primary": "True"}]});
    let (body, _) = rewritten(&body, &user(), &Profile::of("rfc", &both).unwrap());
    assert_eq!(body, json!({"emails": [yes, no]}));
}

#[test]
fn legacy_urns() {
    for prefix in ["urn:scim:schemas", "urn:ietf:params:scim:schemas", "URN:SCIM:Schemas"] {
        legacy_urns_behind(prefix);
    }
}

fn legacy_urns_behind(prefix: &str) {
    let core = format!("{prefix}:core:2.0");
    let early = format!("{prefix}:extension:enterprise:2.0");
    let (core, early) = (core.as_str(), early.as_str());
    let uris = |uris: &[&str]| json!({"schemas": uris});
    let same = |value: Value| (value.clone(), value, [].as_slice());
    bodies(
        "legacy_urns",
        &user(),
        &[
            (uris(&[core]), uris(&[urn::USER]), &["schemas"]),
            (
                uris(&[core, early]),
                uris(&[urn::USER, urn::ENTERPRISE_USER]),
                &["schemas", "schemas"],
            ),
            (json!({early: {"department": "D"}}), json!({"ENT": {"department": "D"}}), &[early]),
            same(uris(&[urn::USER, urn::ENTERPRISE_USER])),
            same(json!({"schemas": core})),
            same(json!({"ENT": {"department": "D"}, "userName": core})),
            same(json!({"ENT": {"department": "D"}, early: {"department": "E"}})),
        ],
    );
    bodies("legacy_urns", &group(), &[(uris(&[core]), uris(&[urn::GROUP]), &["schemas"])]);
}

/// Rows are a path or none, a value, what they become, and what is reported; without the flag and
/// without a rewrite everything stays.
#[test]
fn legacy_urns_in_patches() {
    const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0";
    const OLD: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0";
    let user_title = format!("{}:title", urn::USER);
    let department = format!("{}:department", urn::ENTERPRISE_USER);
    let dotted = format!("{}.title", urn::USER);
    let path = |path: &str| (Some(path.to_owned()), json!("x"));
    let value = |value: Value| (None, expand(&value));
    let same = |row: (Option<String>, Value)| (row.clone(), row, vec![]);
    let table = [
        (path(&format!("{OLD}:department")), path(&department), vec![format!("{OLD}:department")]),
        (
            path(&format!("{}:department", OLD.to_uppercase())),
            path(&department),
            vec![format!("{}:department", OLD.to_uppercase())],
        ),
        (
            path(&format!("{OLD}:manager.value")),
            path(&format!("{}:manager.value", urn::ENTERPRISE_USER)),
            vec![format!("{OLD}:manager.value")],
        ),
        (path(OLD), path(urn::ENTERPRISE_USER), vec![OLD.to_owned()]),
        (
            path("urn:scim:schemas:extension:enterprise:2.0:department"),
            path(&department),
            vec!["urn:scim:schemas:extension:enterprise:2.0:department".to_owned()],
        ),
        (path(&format!("{CORE}:title")), path(&user_title), vec![format!("{CORE}:title")]),
        (
            path(&format!("{CORE}:emails[type eq \"work\"].value")),
            path(&format!("{}:emails[type eq \"work\"].value", urn::USER)),
            vec![format!("{CORE}:emails[type eq \"work\"].value")],
        ),
        (
            (Some("schemas".into()), json!([CORE, OLD])),
            (Some("schemas".into()), json!([urn::USER, urn::ENTERPRISE_USER])),
            vec!["schemas".into(), "schemas".into()],
        ),
        (
            value(json!({"title": "T", OLD: {"department": "D"}, "active": true})),
            value(json!({"title": "T", "ENT": {"department": "D"}, "active": true})),
            vec![OLD.to_owned()],
        ),
        (
            value(json!({format!("{OLD}:department"): "D", "schemas": [OLD]})),
            value(json!({"ENT:department": "D", "schemas": [urn::ENTERPRISE_USER]})),
            vec!["schemas".into(), format!("{OLD}:department")],
        ),
        // What is registered begins with what is not.
        same(path(&user_title)),
        same(path(&dotted)),
        same(path(&department)),
        same(path(urn::USER)),
        same(path(&format!("{OLD}:shoeSize"))),
        same(path(&format!("{CORE}:shoeSize"))),
        same(path("title")),
        same(value(json!({"title": CORE, "a b": 1, "schemas": CORE}))),
        // The registered name wins over the early one.
        same(value(json!({OLD: {"department": "D"}, "ENT": {"department": "E"}}))),
    ];
    for ((path, value), (new_path, new_value), paths) in table {
        let read = |path: &Option<String>, value: &Value| {
            let op = json!({"op": "add", "path": path, "value": value});
            parse(&object(json!({"Operations": [op]})), BodyRules::LENIENT).unwrap()
        };
        let before = read(&path, &value);
        let mut ops = before.clone();
        let found: Vec<String> = patch(&mut ops, &user(), &only("legacy_urns"))
            .into_iter()
            .map(|Fired { rule, path }| {
                assert_eq!(rule, "legacy_urns");
                path
            })
            .collect();
        assert_eq!(found, paths, "{path:?} {value}");
        assert_eq!(ops, read(&new_path, &new_value), "{path:?} {value}");
        let mut ops = before.clone();
        assert_eq!((patch(&mut ops, &user(), &none()), &ops), (vec![], &before), "{path:?}");
    }
    // Members of a group are found behind the early name, too.
    let op = json!({"op": "remove", "path": format!("{CORE}:members[value eq \"a\"]")});
    let mut ops = parse(&object(json!({"Operations": [op]})), BodyRules::LENIENT).unwrap();
    patch(&mut ops, &group(), &only("legacy_urns"));
    assert_eq!(
        ops[0].path.as_ref().map(ToString::to_string),
        Some(format!("{}:members[value eq \"a\"]", urn::GROUP))
    );
}

#[test]
fn json_in_roles() {
    let same = |value: Value| (value.clone(), value, [].as_slice());
    let role = |value: Value| json!({"roles": [value]});
    let text = r#"{"id":"r1","value":"admin","displayName":"Admin"}"#;
    bodies(
        "json_in_roles",
        &user(),
        &[
            (
                role(json!({"value": text})),
                role(json!({"id": "r1", "value": "admin", "display": "Admin"})),
                &["roles"],
            ),
            (
                role(json!({"value": text, "primary": true})),
                role(json!({"id": "r1", "value": "admin", "display": "Admin", "primary": true})),
                &["roles"],
            ),
            (
                role(json!({"value": r#"{"value":"a","display":"A","displayName":"B"}"#})),
                role(json!({"value": "a", "display": "A"})),
                &["roles"],
            ),
            same(role(json!({"value": "admin"}))),
            same(role(json!({"value": "{broken"}))),
            same(role(json!({"value": "[1]"}))),
            same(role(json!({"display": text}))),
            same(json!({"entitlements": [{"value": text}]})),
        ],
    );
    operations(
        "json_in_roles",
        &[
            (
                Some("roles"),
                json!([{"value": r#"{"value":"a"}"#}]),
                json!([{"value": "a"}]),
                &["roles"],
            ),
            (
                None,
                json!({"roles": [{"value": r#"{"value":"a"}"#}]}),
                json!({"roles": [{"value": "a"}]}),
                &["roles"],
            ),
        ],
    );
}

#[test]
fn display_name_from_name() {
    let same = |value: Value| (value.clone(), value, [].as_slice());
    let row = |body: Value, composed: &str| {
        let mut expected = object(body.clone());
        expected.insert("displayName".into(), composed.into());
        (body, Value::Object(expected), ["displayName"].as_slice())
    };
    bodies(
        "display_name_from_name",
        &user(),
        &[
            row(json!({"name": {"formatted": "Bob H", "givenName": "B"}}), "Bob H"),
            row(json!({"name": {"givenName": "Bob", "familyName": "Hill"}}), "Bob Hill"),
            row(json!({"name": {"familyName": "Hill"}}), "Hill"),
            row(json!({"Name": {"GivenName": "Bob"}}), "Bob"),
            row(json!({"displayName": "", "name": {"formatted": "Bob"}}), "Bob"),
            row(json!({"displayName": null, "name": {"formatted": "", "givenName": "Bob"}}), "Bob"),
            same(json!({"displayName": "B", "name": {"formatted": "Bob"}})),
            same(json!({"DISPLAYNAME": "B", "name": {"formatted": "Bob"}})),
            same(json!({"name": {"middleName": "M"}})),
            same(json!({"name": "Bob"})),
            same(json!({"userName": "bob"})),
        ],
    );
    bodies("display_name_from_name", &group(), &[same(json!({"name": {"formatted": "Bob"}}))]);
    // Only a create composes it: a PATCH names what it changes.
    operations(
        "display_name_from_name",
        &[(
            None,
            json!({"name": {"formatted": "Bob"}}),
            json!({"name": {"formatted": "Bob"}}),
            &[],
        )],
    );
}

#[test]
fn rewritten_body_is_valid() {
    let all = Profile::of("entra", &toml::Table::new()).unwrap();
    let mut body = object(expand(&json!({
        "userName": "bob", "active": "True", "emails": {"value": "a", "primary": "True"},
        "ENT": {"manager": "m"}
    })));
    let rules: Vec<&str> =
        representation(&mut body, &user(), &all).iter().map(|fired| fired.rule).collect();
    let expected = ["boolean_text", "array_from_object", "boolean_text", "complex_from_scalar"];
    assert_eq!(rules, expected);
    let found = crate::scim::resource::fixture::document(Value::Object(body), &user());
    assert_eq!(found.as_object()["emails"], json!([{"value": "a", "primary": true}]));
    let mut body = object(json!({"tags": {"value": "x"}}));
    assert_eq!(representation(&mut body, &device(), &all).len(), 1);
}

proptest! {
    #[test]
    fn hostile_bodies_never_panic(
        body in plausible(),
        ops in vec((option::of(word()), hostile()), 1..4),
    ) {
        // Entra ID's profile with the rewrites of all others.
        let more = "legacy_urns = true\ndisplay_name_from_name = true".parse().unwrap();
        let all = Profile::of("entra", &more).unwrap();
        let ops: Vec<Value> = (ops.iter())
            .map(|(path, value)| json!({"op": "add", "path": path, "value": value}))
            .collect();
        for rt in [user(), group(), device()] {
            let mut once = object(body.clone());
            representation(&mut once, &rt, &all);
            if let Ok(mut ops) =
                parse(&object(json!({"Operations": ops})), BodyRules::LENIENT)
            {
                patch(&mut ops, &rt, &all);
            }
        }
    }
}
