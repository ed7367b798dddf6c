//! `remove` (RFC 7644 §3.5.2.2).

use serde_json::{Value, json};

use super::{enterprise, expect_each, expect_refused};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{ENTERPRISE, full_user};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "X17",
        "SHALL",
        "RFC 7644 §3.5.2.2",
        "rfc_x17_remove_whole_attributes",
        "remove singular / whole multi-valued: unassigned afterwards",
        x17,
    ),
    Row::new(
        "X18",
        "SHALL",
        "RFC 7644 §3.5.2.2",
        "rfc_x18_remove_matching_values",
        "remove `members[value eq \"id\"]` / `emails[type eq \"work\"]` removes matching elements \
         only; last one gone = unassigned",
        x18,
    ),
    Row::new(
        "X19",
        "SHALL",
        "RFC 7644 §3.5.2.2",
        "rfc_x19_remove_a_sub_attribute",
        "remove `emails[type eq \"work\"].display` removes only that sub-attribute",
        x19,
    ),
    Row::new(
        "X20",
        "SHALL",
        "RFC 7644 §3.5.2.2",
        "rfc_x20_remove_of_required_or_read_only",
        "remove of a required or readOnly attribute: 400 mutability",
        x20,
    ),
];

fn remove(path: &str) -> Value {
    json!([{"op": "remove", "path": path}])
}

fn x17(s: &Subject) -> Check {
    let department = enterprise("department");
    let extension = format!("/{ENTERPRISE}");
    let rest = json!({"employeeNumber": "701984", "costCenter": "4130"});
    expect_each(
        s,
        &[
            (remove("title"), "/title", json!(null)),
            (remove("displayName"), "/displayName", json!(null)),
            (remove("externalId"), "/externalId", json!(null)),
            (remove("name"), "/name", json!(null)),
            (
                remove("name.givenName"),
                "/name",
                json!({"familyName": "Lane", "formatted": "Ada Lane"}),
            ),
            (remove("emails"), "/emails", json!(null)),
            (remove("phoneNumbers"), "/phoneNumbers", json!(null)),
            (remove(&department), &extension, rest),
            (remove(ENTERPRISE), &extension, json!(null)),
            // Of what has no value nothing can be taken away, which is no error.
            (remove("nickName"), "/title", json!("Engineer")),
            (remove("addresses"), "/title", json!("Engineer")),
            (remove("title"), "/displayName", json!("Ada Lane")),
        ],
    )?;
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    for (path, filter) in [
        ("title", "title pr"),
        ("emails", "emails pr"),
        ("emails", "emails.type eq \"home\""),
        ("name", "name pr"),
        ("externalId", "externalId eq \"ext-ada@example.com\""),
    ] {
        s.scim.apply(&ada.path, &remove(path))?;
        s.scim.filter("/Users", filter)?.expect(200)?.expect_ids(&[])?;
    }
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    s.scim.apply(&tools.path, &remove("members"))?.expect_unassigned("/members")?;
    s.scim.filter("/Groups", "members pr")?.expect(200)?.expect_ids(&[])?;
    s.scim.get(&ada.path)?.expect(200)?.expect_unassigned("/groups")?;
    Ok(())
}

fn x18(s: &Subject) -> Check {
    let w1 = json!({"value": "w1@example.com", "type": "work", "display": "One", "primary": true});
    let w2 = json!({"value": "w2@example.com", "type": "work", "display": "Two"});
    let home = json!({"value": "h@example.com", "type": "home", "display": "Home"});
    expect_each(
        s,
        &[
            (remove("emails[type eq \"work\"]"), "/emails", json!([home])),
            (remove("emails[type eq \"home\"]"), "/emails", json!([w1, w2])),
            (remove("emails[value eq \"w2@example.com\"]"), "/emails", json!([w1, home])),
            (
                remove("emails[type eq \"work\" and value ew \"2@example.com\"]"),
                "/emails",
                json!([w1, home]),
            ),
            (remove("emails[primary eq true]"), "/emails", json!([w2, home])),
            (remove("emails[not (type eq \"work\")]"), "/emails", json!([w1, w2])),
            (remove("emails[type eq \"none\"]"), "/emails", json!([w1, w2, home])),
            (remove("emails[value pr]"), "/emails", json!(null)),
            (
                json!([
                    {"op": "remove", "path": "emails[type eq \"home\"]"},
                    {"op": "remove", "path": "emails[type eq \"work\"]"},
                ]),
                "/emails",
                json!(null),
            ),
        ],
    )?;

    let ids = s.scim.create_users(3)?;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let tools = s.scim.create_group("Tools", &ids)?;
    let mut left = ids.len();
    for id in ids {
        left -= 1;
        let path = format!("members[value eq \"{id}\"]");
        let patched = s.scim.apply(&tools.path, &remove(&path))?;
        patched.expect_nowhere(id)?;
        match left {
            0 => patched.expect_unassigned("/members")?,
            _ => patched.expect_that(patched.array_at("/members")?.len() == left, "one less")?,
        };
        s.scim.get(&format!("/Users/{id}"))?.expect(200)?.expect_unassigned("/groups")?;
        // Who is no member can be removed once more.
        s.scim.apply(&tools.path, &remove(&path))?.expect_same(&patched.json)?;
    }
    s.scim.filter("/Groups", "members pr")?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

fn x19(s: &Subject) -> Check {
    expect_each(
        s,
        &[
            (
                remove("emails[type eq \"work\"].display"),
                "/emails",
                json!([
                    {"value": "w1@example.com", "type": "work", "primary": true},
                    {"value": "w2@example.com", "type": "work"},
                    {"value": "h@example.com", "type": "home", "display": "Home"},
                ]),
            ),
            (
                remove("emails[value eq \"h@example.com\"].type"),
                "/emails/2",
                json!({"value": "h@example.com", "display": "Home"}),
            ),
            (
                remove("emails[primary eq true].primary"),
                "/emails/0",
                json!({"value": "w1@example.com", "type": "work", "display": "One"}),
            ),
            (remove("emails[type eq \"none\"].display"), "/emails/2/display", json!("Home")),
            (
                remove("EMAILS[Type eq \"home\"].DISPLAY"),
                "/emails/2",
                json!({"value": "h@example.com", "type": "home"}),
            ),
        ],
    )
}

fn x20(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let refused = |path: &str, targets: &[&str]| {
        let table: Vec<_> = targets
            .iter()
            .map(|target| (json!({"op": "remove", "path": target}), "mutability"))
            .collect();
        expect_refused(s, path, &table)
    };
    refused(
        &ada.path,
        &[
            "userName",
            "urn:ietf:params:scim:schemas:core:2.0:User:userName",
            "id",
            "meta",
            "meta.created",
            "groups",
            &format!("groups[value eq \"{}\"]", tools.id),
        ],
    )?;
    refused(&tools.path, &["displayName", "id", "meta"])?;

    s.load_schemas(&resource_type(&json!([
        {"name": "label", "type": "string", "required": true},
        {"name": "stamp", "type": "string", "mutability": "readOnly"},
        {
            "name": "marks", "type": "complex", "multiValued": true, "required": true,
            "subAttributes": [
                {"name": "value", "type": "string", "required": true},
                {"name": "kind", "type": "string"},
            ],
        },
    ])))?;
    let marks = json!([{"value": "a", "kind": "x"}, {"value": "b", "kind": "x"}]);
    let thing = s.scim.create(THINGS, &a_thing(&json!({"label": "a", "marks": marks})))?;
    refused(
        &thing.path,
        // The filter takes the last of the marks away.
        &["label", "stamp", "marks", "marks[kind eq \"x\"]", "marks[value eq \"a\"].value"],
    )?;
    let left = s.scim.apply(&thing.path, &remove("marks[value eq \"a\"]"))?;
    left.expect_at("/marks", &json!([{"value": "b", "kind": "x"}]))?;
    refused(&thing.path, &["marks[value eq \"b\"]"])
}
