//! Operations that are refused or skipped: unknown, mistyped, read-only, immutable, required.

use serde_json::{Value, json};

use super::*;

#[test]
fn failing_operation_leaves_nothing_changed() {
    let before = document(bob_body(), &user());
    let copy = before.clone();
    let ops = json!([
        {"op": "replace", "path": "title", "value": "T"},
        {"op": "remove", "path": "ENT"},
        {"op": "replace", "path": "active", "value": "maybe"}
    ]);
    let error = run(&before, &ops, &user(), ACCEPT, &mut Notes::default()).unwrap_err();
    assert_eq!(
        error.detail,
        "The attribute \"active\" must be true or false, but the request has the string \"maybe\"."
    );
    assert_eq!(before, copy);
}

#[test]
fn unknown_paths_are_skipped_into_extra() {
    let before = document(bob_body(), &user());
    let mut notes =
        Notes { extra: object(json!({"shoeSize": 44, "hat": "old"})), ..Notes::default() };
    let ops = json!([
        {"op": "add", "path": "badge", "value": 7},
        {"op": "replace", "path": "hat", "value": "new"},
        {"op": "remove", "path": "shoeSize"},
        {"op": "replace", "path": "urn:other:User:room", "value": "R1"},
        {"op": "add", "value": {"cap": {"size": 1}, "title": "T", "ENT": {"desk": 5}}},
        {"op": "add", "path": "emails[type eq \"work\"].colour", "value": "red"},
        {"op": "add", "path": "gone", "value": 1},
        {"op": "replace", "path": "gone", "value": null}
    ]);
    let after = run(&before, &ops, &user(), ACCEPT, &mut notes).unwrap();
    assert_eq!(after, document(changed(bob_body(), &json!({"title": "T"})), &user()));
    let expected = expand(&json!({
        "hat": "new", "badge": 7, "urn:other:User:room": "R1", "cap": {"size": 1},
        "ENT:desk": 5, "emails[type eq \"work\"].colour": "red"
    }));
    assert_eq!(Value::Object(notes.extra), expected);
    assert_eq!(notes.ignored.len(), 9);
}

#[test]
fn unknown_paths_are_refused() {
    let no =
        |path: &str| format!("The path \"{path}\" names no attribute of the resource type User.");
    for (op, path) in [
        (json!({"op": "add", "path": "badge", "value": 7}), "badge"),
        (json!({"op": "remove", "path": "name.badge"}), "name.badge"),
        (json!({"op": "add", "path": "emails[type pr].x", "value": 7}), "emails[type pr].x"),
        (json!({"op": "remove", "path": "urn:other:User"}), "urn:other:User"),
        (json!({"op": "remove", "path": "ENT[department pr]"}), "ENT[department pr]"),
    ] {
        let rows = [(json!([op]), ScimType::InvalidPath, no(path))];
        let rows: Vec<_> = rows.iter().map(|(op, t, d)| (op.clone(), *t, d.as_str())).collect();
        refused(&bob_body(), &user(), REFUSE, &rows);
        refused(&bob_body(), &user(), PatchRules { values: LENIENT, ..REFUSE }, &rows);
    }
}

/// A name inside a value is an attribute of a body, whatever the rule for paths is.
#[test]
fn unknown_attributes_in_values_are_kept_or_refused() {
    let paths_refused = PatchRules { values: LENIENT, ..REFUSE };
    for (op, name, kept) in [
        (json!({"op": "add", "value": {"badge": 7}}), "badge", true),
        (json!({"op": "replace", "value": {"urn:x:User:badge": 7}}), "urn:x:User:badge", true),
        (json!({"op": "add", "value": {"emails[type pr].x": 7}}), "emails[type pr].x", true),
        // What cannot be read as a path is an unknown attribute as well.
        (json!({"op": "add", "value": {"not a path": 7}}), "not a path", true),
        (json!({"op": "add", "value": {"emails[": 7}}), "emails[", true),
        (json!({"op": "add", "value": {"": 7}}), "", true),
        (json!({"op": "add", "path": "ENT", "value": {"desk": 7}}), "ENT:desk", true),
        (json!({"op": "add", "value": {"ENT": {"desk": 7}}}), "ENT:desk", true),
        (json!({"op": "add", "path": "name", "value": {"badge": 7}}), "name.badge", false),
        (json!({"op": "add", "path": "emails", "value": [{"x": 7}]}), "emails.x", false),
        (json!({"op": "add", "value": {"/password": "s3cret"}}), "/password", false),
    ] {
        let (before, name) =
            (document(bob_body(), &user()), name.replace("ENT", urn::ENTERPRISE_USER));
        for rules in [ACCEPT, paths_refused] {
            let mut notes = Notes::default();
            let after = run(&before, &json!([op]), &user(), rules, &mut notes).unwrap();
            assert_eq!(after, before, "{op}");
            assert_eq!(notes.ignored, [name.as_str()], "{op}");
            assert_eq!(notes.extra.contains_key(&name), kept, "{op}");
        }
        let detail = format!(
            "The attribute \"{name}\" is not defined by the schemas of this resource type."
        );
        let rows = [(json!([op]), ScimType::InvalidSyntax, detail.as_str())];
        refused(&bob_body(), &user(), REFUSE, &rows);
    }
    let mut notes = Notes { extra: object(json!({"not a path": 7})), ..Notes::default() };
    let ops = json!([{"op": "replace", "value": {"not a path": null}}]);
    run(&document(bob_body(), &user()), &ops, &user(), ACCEPT, &mut notes).unwrap();
    assert!(notes.extra.is_empty());
}

#[test]
fn schemas_may_name_what_the_type_has() {
    let add = |value: Value| json!([{"op": "add", "path": "schemas", "value": value}]);
    let before = document(bob_body(), &user());
    for ops in [
        add(json!([urn::ENTERPRISE_USER])),
        add(json!(urn::USER)),
        add(json!([])),
        add(Value::Null),
        json!([{"op": "replace", "path": "schemas", "value": [urn::USER.to_uppercase()]}]),
        json!([{"op": "remove", "path": "schemas", "value": ["urn:x"]}]),
    ] {
        let mut notes = Notes::default();
        assert_eq!(run(&before, &ops, &user(), REFUSE, &mut notes), Ok(before.clone()), "{ops}");
        assert_eq!(notes, Notes::default(), "{ops}");
    }
    let detail = format!(
        "The attribute \"schemas\" names \"urn:x\", which the resource type User does not have; \
         allowed are {}, {}.",
        urn::USER,
        urn::ENTERPRISE_USER
    );
    for ops in [
        add(json!(["urn:x"])),
        add(json!("urn:x")),
        json!([{"op": "replace", "value": {"schemas": [urn::USER, "urn:x"]}}]),
    ] {
        let rows = [(ops.clone(), ScimType::InvalidValue, detail.as_str())];
        refused(&bob_body(), &user(), REFUSE, &rows);
        let mut notes = Notes::default();
        assert_eq!(run(&before, &ops, &user(), ACCEPT, &mut notes), Ok(before.clone()), "{ops}");
        assert_eq!(notes.ignored, ["schemas[\"urn:x\"]"], "{ops}");
    }
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    use ScimType::InvalidValue;
    let path = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    refused(
        &bob_body(),
        &user(),
        ACCEPT,
        &[
            (
                path("userName", json!(7)),
                InvalidValue,
                "The attribute \"userName\" must be a string, but the request has the number 7.",
            ),
            (
                path("name", json!("Bob")),
                InvalidValue,
                "The attribute \"name\" must be an object, but the request has the string \"Bob\".",
            ),
            (
                path("name.givenName", json!(["Bob"])),
                InvalidValue,
                "The attribute \"name.givenName\" must be a string, but the request has an array.",
            ),
            (
                path("emails", json!(["x"])),
                InvalidValue,
                "The attribute \"emails\" must be an object, but the request has the string \"x\".",
            ),
            (
                path("emails[type eq \"home\"]", json!("x")),
                InvalidValue,
                "The attribute \"emails\" must be an object, but the request has the string \"x\".",
            ),
            (
                path("emails[type eq \"home\"].value", json!(["a", "b"])),
                InvalidValue,
                "The attribute \"emails.value\" must be a string, but the request has an array.",
            ),
            (
                path("ENT", json!("x")),
                InvalidValue,
                "The attribute \"ENT\" must be an object, but the request has the string \"x\".",
            ),
            (
                path("ENT:department", json!(true)),
                InvalidValue,
                "The attribute \"ENT:department\" must be a string, but the request has the boolean \
             true.",
            ),
            (
                path("photos[value eq \"not a uri\"].type", json!("photo")),
                InvalidValue,
                "The attribute \"photos.value\" must be a URI, but the request has the string \
             \"not a uri\".",
            ),
        ],
    );
}

#[test]
fn read_only_and_required_attributes_are_kept() {
    use ScimType::{InvalidValue, Mutability};
    let path = |path: &str| json!([{"op": "replace", "path": path, "value": "x"}]);
    let required = "The attribute \"userName\" is required, but the resource has no value for it.";
    refused(
        &bob_body(),
        &user(),
        ACCEPT,
        &[
            (path("id"), Mutability, "The attribute \"id\" is read-only."),
            (path("meta.created"), Mutability, "The attribute \"meta.created\" is read-only."),
            (
                path("groups[value eq \"g\"].display"),
                Mutability,
                "The attribute \"groups.display\" is read-only.",
            ),
            (
                json!([{"op": "remove", "path": "groups"}]),
                Mutability,
                "The attribute \"groups\" is read-only.",
            ),
            (
                path("ENT:manager.displayName"),
                Mutability,
                "The attribute \"ENT:manager.displayName\" is read-only.",
            ),
            (
                json!([{"op": "remove", "path": "userName"}]),
                Mutability,
                "The attribute \"userName\" is required and cannot be removed.",
            ),
            (json!([{"op": "replace", "path": "userName", "value": null}]), InvalidValue, required),
            (json!([{"op": "replace", "value": {"userName": null}}]), InvalidValue, required),
        ],
    );
}

#[test]
fn immutable_attributes_take_one_value() {
    let set = device_with(&json!({
        "serial": "s1", "origin": {"site": "A"}, "shelf": {"row": "1", "seal": "x"},
        RACK: {"unit": 3, "owner": "ops"}
    }));
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let owner = format!("{RACK}:owner");
    becomes(
        &device_body(),
        &device(),
        ACCEPT,
        &[
            (path("add", "serial", json!("s1")), json!({"serial": "s1"})),
            (path("replace", "origin", json!({"site": "A"})), json!({"origin": {"site": "A"}})),
            (path("add", "origin.site", json!("A")), json!({"origin": {"site": "A"}})),
            (path("add", &owner, json!("ops")), json!({RACK: {"unit": 3, "owner": "ops"}})),
            (json!([{"op": "remove", "path": "serial"}]), json!({})),
        ],
    );
    becomes(
        &set,
        &device(),
        ACCEPT,
        &[
            (path("add", "serial", json!("s1")), json!({})),
            (path("replace", "origin", json!({"site": "A"})), json!({})),
            (path("replace", "shelf.seal", json!("x")), json!({})),
            (json!([{"op": "replace", "value": {"serial": "s1"}}]), json!({})),
            (
                path("replace", "shelf", json!({"place": "9"})),
                json!({"shelf": {"row": "1", "place": "9", "seal": "x"}}),
            ),
        ],
    );
    let immutable =
        |path: &str| format!("The attribute \"{path}\" is immutable and already has a value.");
    for (ops, name) in [
        (path("add", "serial", json!("s2")), "serial"),
        (path("replace", "serial", Value::Null), "serial"),
        (json!([{"op": "remove", "path": "serial"}]), "serial"),
        (path("add", "origin", json!({"line": "L"})), "origin"),
        (path("replace", "origin.site", json!("B")), "origin.site"),
        (path("add", "origin[site eq \"A\"].line", json!("L")), "origin.line"),
        (json!([{"op": "remove", "path": "origin.site"}]), "origin.site"),
        (path("replace", "shelf.seal", json!("y")), "shelf.seal"),
        (path("replace", "shelf", json!({"seal": "y"})), "shelf"),
        (path("replace", "shelf", json!({"seal": null})), "shelf"),
        (json!([{"op": "remove", "path": "shelf.seal"}]), "shelf.seal"),
        (path("add", &owner, json!("dev")), owner.as_str()),
        (json!([{"op": "remove", "path": RACK}]), owner.as_str()),
    ] {
        refused(&set, &device(), ACCEPT, &[(ops, ScimType::Mutability, &immutable(name))]);
    }
}

#[test]
fn required_sub_attributes_and_extensions_stay() {
    use ScimType::{InvalidValue, Mutability};
    let set = device_with(&json!({"shelf": {"row": "1", "place": "2"}}));
    let row = "The attribute \"shelf.row\" is required, but the resource has no value for it.";
    becomes(
        &set,
        &device(),
        ACCEPT,
        &[
            (
                json!([{"op": "replace", "path": "shelf", "value": {"place": "9"}}]),
                json!({"shelf": {"row": "1", "place": "9"}}),
            ),
            (json!([{"op": "remove", "path": "shelf"}]), json!({"shelf": null})),
        ],
    );
    refused(
        &set,
        &device(),
        ACCEPT,
        &[
            (
                json!([{"op": "remove", "path": "shelf.row"}]),
                Mutability,
                "The attribute \"shelf.row\" is required and cannot be removed.",
            ),
            (json!([{"op": "replace", "path": "shelf.row", "value": null}]), InvalidValue, row),
            (
                json!([{"op": "replace", "path": "shelf.floor", "value": "x"}]),
                Mutability,
                "The attribute \"shelf.floor\" is read-only.",
            ),
            (
                json!([{"op": "remove", "path": RACK}]),
                InvalidValue,
                &format!(
                    "The attribute \"{RACK}\" is required, but the resource has no value for it."
                ),
            ),
            (
                json!([{"op": "remove", "path": format!("{RACK}:unit")}]),
                InvalidValue,
                &format!(
                    "The attribute \"{RACK}\" is required, but the resource has no value for it."
                ),
            ),
        ],
    );
    refused(
        &device_body(),
        &device(),
        ACCEPT,
        &[
            (json!([{"op": "add", "path": "shelf", "value": {"place": "9"}}]), InvalidValue, row),
            (json!([{"op": "add", "path": "shelf.place", "value": "9"}]), InvalidValue, row),
        ],
    );
}
