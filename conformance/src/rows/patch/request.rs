//! The request as a whole: its form, order, atomicity and answer; what may be changed at all.

use serde_json::{Value, json};

use super::{about, enterprise, expect_each, expect_refused};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{ENTERPRISE, LIST_RESPONSE, PATCH_OP, USER, full_user, patch};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "X1",
        "SHOULD",
        "RFC 7644 §3.5",
        "rfc_x1_patch_is_announced",
        "PATCH is supported and announced",
        x1,
    ),
    Row::new(
        "X2",
        "MUST",
        "RFC 7644 §3.5.2",
        "rfc_x2_patch_body",
        "Body has the PatchOp URI and a non-empty `Operations`; otherwise 400 invalidSyntax",
        x2,
    )
    .differs(
        "a body without `schemas` is read as a PatchOp: clients are known to leave it out",
        x2_default,
    ),
    Row::new(
        "X3",
        "MUST",
        "RFC 7644 §3.5.2",
        "rfc_x3_one_op_each",
        "Each operation has one `op` of add/remove/replace (accept any case: Entra sends `Add`)",
        x3,
    ),
    Row::new(
        "X4",
        "REQUIRED",
        "RFC 7644 §3.5.2",
        "rfc_x4_remove_needs_a_path",
        "`path` is needed for remove: without it 400 noTarget",
        x4,
    ),
    Row::new(
        "X5",
        "SHOULD",
        "RFC 7644 §3.12",
        "rfc_x5_malformed_path",
        "A malformed path gives 400 invalidPath",
        x5,
    )
    .differs(
        "a malformed path is 400 invalidPath here too; one that is well formed and names no known \
         attribute is skipped, so that the `active: false` beside it still applies",
        x5_default,
    ),
    Row::new(
        "X6",
        "SHALL",
        "RFC 7644 §3.5.2",
        "rfc_x6_operations_in_order",
        "Operations apply in order, each on the result of the one before",
        x6,
    ),
    Row::new(
        "X7",
        "SHALL",
        "RFC 7644 §3.5.2",
        "rfc_x7_patch_is_atomic",
        "Atomic: one failing operation leaves the resource (and version) as it was",
        x7,
    ),
    Row::new(
        "X8",
        "MUST",
        "RFC 7644 §3.5.2",
        "rfc_x8_patch_answer",
        "Success: 200 with the whole resource, or 204; with `attributes` in the request always 200",
        x8,
    ),
];

fn x1(s: &Subject) -> Check {
    s.scim.config()?.expect_at("/patch/supported", &json!(true))?;
    s.load_schemas(&resource_type(&json!([{"name": "displayName", "type": "string"}])))?;
    for made in [
        s.scim.create_user("ada@example.com")?,
        s.scim.create_group("Tools", &[])?,
        s.scim.create(THINGS, &a_thing(&json!({"displayName": "a"})))?,
    ] {
        let operations = json!([{"op": "replace", "path": "displayName", "value": "b"}]);
        s.scim.apply(&made.path, &operations)?.expect_at("/displayName", &json!("b"))?;
    }
    let operations = json!([{"op": "replace", "path": "displayName", "value": "b"}]);
    s.scim.patch("/Users/nothing", &patch(&operations))?.expect_error(404, None)?;
    Ok(())
}

/// Bodies that are refused whatever the profile. The operation in them would work.
fn bad_bodies() -> Vec<String> {
    let operation = json!({"op": "replace", "path": "title", "value": "Boss"});
    [
        json!({"schemas": [PATCH_OP]}),
        json!({"schemas": [PATCH_OP], "Operations": []}),
        json!({"schemas": [PATCH_OP], "Operations": null}),
        json!({"schemas": [PATCH_OP], "Operations": operation}),
        json!({"schemas": [PATCH_OP], "Operations": ["replace"]}),
        json!({"schemas": [PATCH_OP], "Operations": [operation, 7]}),
        json!({"schemas": [LIST_RESPONSE], "Operations": [operation]}),
        json!({"schemas": [USER], "Operations": [operation]}),
        json!({"schemas": [], "Operations": [operation]}),
        json!({"schemas": [PATCH_OP], "title": "Boss"}),
        json!([operation]),
        json!("Operations"),
    ]
    .iter()
    .map(Value::to_string)
    .chain([
        String::new(),
        "{".into(),
        format!("{{\"schemas\":[\"{PATCH_OP}\"],\"Operations\":[{{]}}"),
    ])
    .collect()
}

fn expect_bad_bodies(s: &Subject, path: &str) -> Check {
    let before = s.scim.get(path)?.expect(200)?;
    for body in bad_bodies() {
        let answer = s.scim.send("PATCH", path, &[], Some(&body))?;
        let refused = answer.expect_error(400, Some("invalidSyntax"));
        refused.map_err(|finding| about(&Value::from(body), finding))?;
    }
    s.scim.get(path)?.expect(200)?.expect_same(&before.json)?;
    Ok(())
}

fn x2(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    expect_bad_bodies(s, &ada.path)?;
    let bare = json!({"Operations": [{"op": "replace", "path": "title", "value": "Boss"}]});
    s.scim.patch(&ada.path, &bare)?.expect_error(400, Some("invalidSyntax"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&ada.body)?;
    Ok(())
}

fn x2_default(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    expect_bad_bodies(s, &ada.path)?;
    let bare = json!({"Operations": [{"op": "replace", "path": "title", "value": "Boss"}]});
    s.scim.patch(&ada.path, &bare)?.expect(200)?.expect_at("/title", &json!("Boss"))?;
    Ok(())
}

fn x3(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    for (add, replace, remove) in
        [("add", "replace", "remove"), ("Add", "Replace", "Remove"), ("ADD", "REPLACE", "rEmOvE")]
    {
        let operations = json!([
            {"op": add, "path": "nickName", "value": "A"},
            {"op": replace, "path": "title", "value": add},
            {"op": remove, "path": "displayName"},
        ]);
        let patched = s.scim.apply(&ada.path, &operations)?;
        patched.expect_at("/nickName", &json!("A"))?;
        patched.expect_at("/title", &json!(add))?;
        patched.expect_unassigned("/displayName")?;
    }
    expect_refused(
        s,
        &ada.path,
        &[
            (json!({"path": "title", "value": "x"}), "invalidSyntax"),
            (json!({"op": null, "path": "title", "value": "x"}), "invalidSyntax"),
            (json!({"op": "", "path": "title", "value": "x"}), "invalidSyntax"),
            (json!({"op": "move", "path": "title", "value": "x"}), "invalidSyntax"),
            (json!({"op": "test", "path": "title", "value": "Engineer"}), "invalidSyntax"),
            (json!({"op": 1, "path": "title", "value": "x"}), "invalidSyntax"),
            (json!({"op": ["add"], "path": "title", "value": "x"}), "invalidSyntax"),
        ],
    )?;
    // Two in one operation: nobody can say which is meant.
    let before = s.scim.get(&ada.path)?.expect(200)?;
    for twice in ["\"op\":\"add\",\"op\":\"remove\"", "\"op\":\"add\",\"Op\":\"remove\""] {
        let body = format!(
            "{{\"schemas\":[\"{PATCH_OP}\"],\
             \"Operations\":[{{{twice},\"path\":\"title\",\"value\":\"x\"}}]}}"
        );
        let answer = s.scim.send("PATCH", &ada.path, &[], Some(&body))?;
        answer.expect_error(400, Some("invalidSyntax"))?;
    }
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&before.json)?;
    Ok(())
}

fn x4(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    for path in [&ada.path, &tools.path] {
        expect_refused(
            s,
            path,
            &[
                (json!({"op": "remove"}), "noTarget"),
                (json!({"op": "remove", "path": null}), "noTarget"),
                (json!({"op": "remove", "value": {"displayName": "x"}}), "noTarget"),
            ],
        )?;
    }
    Ok(())
}

fn malformed(s: &Subject, path: &str) -> Check {
    let paths = [
        json!("emails[type eq \"work\""),
        json!("emails[type eq"),
        json!("emails[]"),
        json!("emails[type eq \"work\"]value"),
        json!("emails[type eq \"work\"]."),
        json!("emails]type eq \"work\"["),
        json!("emails[type regex \"work\"]"),
        json!("emails[type eq work]"),
        json!("emails[type eq \"work\" and]"),
        json!("first name"),
        json!("9name"),
        json!(".title"),
        json!("title."),
        json!("name..givenName"),
        json!("title,nickName"),
        json!("/title"),
        json!("$.title"),
        json!("emails[0]"),
        json!(7),
        json!(["title"]),
        json!({"path": "title"}),
    ];
    let table: Vec<_> = paths
        .iter()
        .flat_map(|path| {
            [
                (json!({"op": "replace", "path": path, "value": "x"}), "invalidPath"),
                (json!({"op": "add", "path": path, "value": "x"}), "invalidPath"),
                (json!({"op": "remove", "path": path}), "invalidPath"),
            ]
        })
        .collect();
    expect_refused(s, path, &table)
}

/// Well-formed paths that lead to no attribute.
const UNKNOWN_PATHS: [&str; 3] =
    ["noSuchAttribute", "name.noSuchPart", "urn:example:params:scim:schemas:none:2.0:User:badge"];

fn x5(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    malformed(s, &ada.path)?;
    for path in UNKNOWN_PATHS {
        let operation = json!({"op": "add", "path": path, "value": "x"});
        expect_refused(s, &ada.path, &[(operation, "invalidPath")])?;
    }
    Ok(())
}

fn x5_default(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    malformed(s, &ada.path)?;
    for path in UNKNOWN_PATHS {
        let active = json!([{"op": "replace", "path": "active", "value": true}]);
        s.scim.apply(&ada.path, &active)?;
        let operations = json!([
            {"op": "add", "path": path, "value": "x-unknown"},
            {"op": "replace", "path": "active", "value": false},
        ]);
        let patched = s.scim.apply(&ada.path, &operations)?;
        patched.expect_at("/active", &json!(false))?;
        patched.expect_nowhere("x-unknown")?;
    }
    Ok(())
}

fn x6(s: &Subject) -> Check {
    let number = enterprise("employeeNumber");
    expect_each(
        s,
        &[
            (
                json!([
                    {"op": "add", "path": "title", "value": "first"},
                    {"op": "replace", "path": "title", "value": "second"},
                ]),
                "/title",
                json!("second"),
            ),
            (
                json!([
                    {"op": "replace", "path": "title", "value": "second"},
                    {"op": "remove", "path": "title"},
                ]),
                "/title",
                json!(null),
            ),
            (
                json!([
                    {"op": "remove", "path": "emails"},
                    {"op": "add", "path": "emails", "value": [{"value": "n@example.com"}]},
                ]),
                "/emails",
                json!([{"value": "n@example.com"}]),
            ),
            // The filter of the second sees what the first has set.
            (
                json!([
                    {"op": "replace", "path": "emails[type eq \"home\"].type", "value": "other"},
                    {"op": "remove", "path": "emails[type eq \"other\"].display"},
                ]),
                "/emails/2",
                json!({"value": "h@example.com", "type": "other"}),
            ),
            (
                json!([
                    {"op": "remove", "path": ENTERPRISE},
                    {"op": "add", "path": number, "value": "7"},
                ]),
                &format!("/{ENTERPRISE}"),
                json!({"employeeNumber": "7"}),
            ),
        ],
    )
}

fn x7(s: &Subject) -> Check {
    let ben = s.scim.create_user("ben@example.com")?;
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let good = json!({"op": "replace", "path": "displayName", "value": "Changed"});
    let failing = [
        (json!({"op": "replace", "path": "active", "value": "perhaps"}), 400, "invalidValue"),
        (json!({"op": "replace", "path": "id", "value": "mine"}), 400, "mutability"),
        (json!({"op": "remove", "path": "userName"}), 400, "mutability"),
        (json!({"op": "remove"}), 400, "noTarget"),
        (json!({"op": "add", "path": "a b", "value": "x"}), 400, "invalidPath"),
        (json!({"op": "copy", "path": "title"}), 400, "invalidSyntax"),
        (
            json!({"op": "replace", "path": "userName", "value": "BEN@example.com"}),
            409,
            "uniqueness",
        ),
    ];
    let before = s.scim.get(&ada.path)?.expect(200)?;
    for (bad, status, word) in failing {
        for operations in [json!([good, bad]), json!([bad, good]), json!([good, bad, good])] {
            let answer = s.scim.patch(&ada.path, &patch(&operations))?;
            let refused = answer.expect_error(status, Some(word));
            refused.map_err(|finding| about(&operations, finding))?;
            let after = s.scim.get(&ada.path)?.expect(200)?;
            after.expect_same(&before.json)?;
            after.expect_that(after.etag()? == before.etag()?, "the version has moved")?;
        }
    }
    let before = s.scim.get(&tools.path)?.expect(200)?;
    let add = json!({"op": "add", "path": "members", "value": [{"value": ben.id}]});
    let remove = json!({"op": "remove", "path": format!("members[value eq \"{}\"]", ada.id)});
    for bad in [
        json!({"op": "add", "path": "members", "value": [{"value": "nobody"}]}),
        json!({"op": "replace", "path": "displayName", "value": ""}),
    ] {
        let operations = json!([add, remove, good, bad]);
        let answer = s.scim.patch(&tools.path, &patch(&operations))?;
        answer.expect_error(400, Some("invalidValue"))?;
        let after = s.scim.get(&tools.path)?.expect(200)?;
        after.expect_same(&before.json)?;
        after.expect_that(after.etag()? == before.etag()?, "the version has moved")?;
    }
    s.scim.get(&ben.path)?.expect(200)?.expect_same(&ben.body)?;
    Ok(())
}

/// Rollbook answers 200, and 204 for a group of more than a thousand members.
fn x8(s: &Subject) -> Check {
    let ids = s.scim.create_users(1_001)?;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let small = s.scim.create_group("Small", ids.get(..2).unwrap_or_default())?;
    let large = s.scim.create_group("Large", &ids)?;
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let rename =
        |name: &str| patch(&json!([{"op": "replace", "path": "displayName", "value": name}]));
    for path in [&ada.path, &small.path, &large.path] {
        let answer = s.scim.patch(path, &rename("Changed"))?.expect_status(&[200, 204])?;
        let read = s.scim.get(path)?.expect(200)?;
        read.expect_at("/displayName", &json!("Changed"))?;
        if answer.status == 200 {
            answer.expect_same(&read.json)?;
        } else {
            answer.expect_that(answer.text.is_empty(), "a 204 has no body")?;
        }
        answer.expect_that(answer.etag()? == read.etag()?, "the ETag is not that of the GET")?;

        let chosen = s.scim.patch(&format!("{path}?attributes=displayName"), &rename("Again"))?;
        let chosen = chosen.expect(200)?;
        chosen.expect_members("", &["schemas", "id", "displayName"])?;
        chosen.expect_at("/displayName", &json!("Again"))?;
        let query = format!("{path}?excludedAttributes=members,emails");
        let chosen = s.scim.patch(&query, &rename("Thrice"))?.expect(200)?;
        chosen.expect_at("/displayName", &json!("Thrice"))?;
        chosen.expect_absent("/members")?;
        chosen.expect_absent("/emails")?;
    }
    Ok(())
}
