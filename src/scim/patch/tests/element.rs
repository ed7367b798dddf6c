//! Operations on multi-valued attributes and on the elements that a value path selects.

use serde_json::{Value, json};

use super::*;

#[test]
fn multi_valued_attributes_are_appended_or_replaced() {
    let ops = |op: &str, value: Value| json!([{"op": op, "path": "emails", "value": value}]);
    let x = json!({"value": "x"});
    bob_becomes(&[
        (ops("add", json!([x])), emails(json!([work(), home(), x]))),
        (ops("add", x.clone()), emails(json!([work(), home(), x]))),
        (ops("add", json!([x, x])), emails(json!([work(), home(), x]))),
        (
            ops("add", json!([{"value": "x", "type": "WORK"}])),
            emails(json!([work(), home(), {"value": "x", "type": "work"}])),
        ),
        // The pair of value and type is stored once; the later element completes the earlier.
        (
            ops("add", json!({"value": "b@h.example", "type": "home", "display": "B"})),
            emails(json!([work(), {"value": "b@h.example", "display": "B", "type": "home"}])),
        ),
        (ops("replace", json!([x])), emails(json!([x]))),
        (ops("replace", x.clone()), emails(json!([x]))),
        (
            ops("replace", json!([{"value": "x", "display": "1"}, {"value": "x", "display": "2"}])),
            emails(json!([{"value": "x", "display": "2"}])),
        ),
        (ops("replace", json!([])), emails(Value::Null)),
        (ops("replace", Value::Null), emails(Value::Null)),
        (ops("replace", json!([null, {}])), emails(Value::Null)),
        (ops("add", json!([])), json!({})),
        (ops("add", Value::Null), json!({})),
        (json!([{"op": "remove", "path": "emails"}]), emails(Value::Null)),
        (json!([{"op": "remove", "path": "emails", "value": null}]), emails(Value::Null)),
        (json!([{"op": "remove", "path": "ims"}]), json!({})),
    ]);
}

#[test]
fn remove_with_values_removes_only_those() {
    let ops = |value: Value| json!([{"op": "remove", "path": "emails", "value": value}]);
    let only_work = || emails(json!([work()]));
    bob_becomes(&[
        (ops(json!([home()])), only_work()),
        (ops(home()), only_work()),
        (ops(json!([{"value": "b@h.example", "display": null}])), only_work()),
        (ops(json!([{"VALUE": "b@h.example", "Type": "HOME"}])), only_work()),
        (ops(json!("b@h.example")), only_work()),
        (ops(json!([{"type": "home"}, work()])), emails(Value::Null)),
        (ops(json!([{"value": "b@h.example", "type": "work"}])), json!({})),
        (ops(json!([{"value": "x"}, "y", 1])), json!({})),
        // What says nothing names nothing.
        (ops(json!([])), json!({})),
        (ops(json!({})), json!({})),
        (ops(json!([{"value": null}, null])), json!({})),
        (ops(json!([{"unknown": "b@h.example"}])), json!({})),
    ]);
}

#[test]
fn value_paths_that_match() {
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let new = json!([work(), {"value": "n", "type": "home"}]);
    bob_becomes(&[
        (path("replace", "emails[type eq \"home\"].value", json!("n")), emails(new.clone())),
        (path("add", "emails[type eq \"HOME\"].VALUE", json!("n")), emails(new.clone())),
        (path("add", "emails.value[type eq \"home\"]", json!("n")), emails(new.clone())),
        (path("replace", "emails[type eq \"home\"].value", json!(["n"])), emails(new.clone())),
        (path("replace", "emails[type eq \"home\"]", json!({"value": "n"})), emails(new.clone())),
        (path("replace", "emails[type eq \"HOME\"]", json!([{"value": "n"}])), emails(new.clone())),
        (path("add", "emails[type eq \"home\"]", json!({"value": "n"})), emails(new)),
        // A replaced element keeps only what the filter asks for, an added one keeps the rest.
        (
            path("replace", "emails[type eq \"work\"]", json!({"value": "n"})),
            emails(json!([{"value": "n", "type": "work"}, home()])),
        ),
        (
            path("add", "emails[type eq \"work\"]", json!({"value": "n"})),
            emails(json!([{"value": "n", "type": "work", "primary": true}, home()])),
        ),
        (path("replace", "emails[value eq \"B@H.example\"]", json!({"type": "home"})), json!({})),
        (
            path("replace", "emails[type eq \"home\"].display", json!("B")),
            emails(json!([work(), {"value": "b@h.example", "display": "B", "type": "home"}])),
        ),
        (
            path("replace", "emails[value pr].display", json!("B")),
            emails(json!([
            {"value": "b@w.example", "display": "B", "type": "work", "primary": true},
            {"value": "b@h.example", "display": "B", "type": "home"}])),
        ),
        (
            path("replace", "emails[primary eq \"True\"].value", json!("n")),
            emails(json!([{"value": "n", "type": "work", "primary": true}, home()])),
        ),
        (
            path("replace", "emails[primary eq false].value", json!("n")),
            emails(json!([work(), {"value": "n", "type": "home"}])),
        ),
        (path("replace", "emails[type eq \"home\"]", Value::Null), emails(json!([work()]))),
        (
            path("replace", "emails[type eq \"home\"].type", Value::Null),
            emails(json!([work(), {"value": "b@h.example"}])),
        ),
        (json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]), emails(json!([work()]))),
        (json!([{"op": "remove", "path": "emails[value ew \"example\"]"}]), emails(Value::Null)),
        (
            json!([{"op": "remove", "path": "emails[type eq \"home\"].type"}]),
            emails(json!([work(), {"value": "b@h.example"}])),
        ),
        (
            json!([{"op": "remove", "path": "emails.primary"}]),
            emails(json!([{"value": "b@w.example", "type": "work"}, home()])),
        ),
        (json!([{"op": "remove", "path": "emails[type eq \"other\"]"}]), json!({})),
        (json!([{"op": "remove", "path": "emails[type eq \"other\"].value"}]), json!({})),
        (json!([{"op": "remove", "path": "ims[type eq \"aim\"]"}]), json!({})),
    ]);
}

#[test]
fn value_paths_that_match_nothing_create() {
    let unmatched = PatchRules { unmatched_replace: UnmatchedReplace::Refuse, ..ACCEPT };
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let phones = |element: Value| json!({"phoneNumbers": [element]});
    let fax = || phones(json!({"value": "1", "type": "fax"}));
    bob_becomes(&[
        (path("add", "phoneNumbers[type eq \"fax\"].value", json!("1")), fax()),
        (path("replace", "phoneNumbers[type eq \"FAX\"].value", json!("1")), fax()),
        (path("add", "phoneNumbers[type eq \"fax\"]", json!({"value": "1"})), fax()),
        (path("replace", "phoneNumbers[type eq \"fax\"]", json!({"value": "1"})), fax()),
        (
            path("add", "phoneNumbers[type eq \"fax\" and primary eq \"True\"].value", json!("1")),
            phones(json!({"value": "1", "type": "fax", "primary": true})),
        ),
        // The operation after it finds the new element.
        (
            json!([
            {"op": "add", "path": "addresses[type eq \"work\"].locality", "value": "Bonn"},
            {"op": "add", "path": "addresses[type eq \"work\"].country", "value": "DE"}]),
            json!({"addresses": [{"locality": "Bonn", "country": "DE", "type": "work"}]}),
        ),
        (
            path("add", "emails[type eq \"other\"].value", json!("x")),
            emails(json!([work(), home(), {"value": "x", "type": "other"}])),
        ),
        (path("replace", "phoneNumbers[type eq \"fax\"]", Value::Null), json!({})),
        (path("add", "phoneNumbers.value", json!("1")), phones(json!({"value": "1"}))),
        (path("add", "name[familyName eq \"Hill\"].givenName", json!("Bob")), json!({})),
    ]);
    use ScimType::{InvalidPath, NoTarget};
    refused(
        &bob_body(),
        &user(),
        ACCEPT,
        &[
            (
                path("add", "emails[type sw \"o\"].value", json!("x")),
                NoTarget,
                "No value of \"emails\" matches [type sw \"o\"].",
            ),
            (
                path("replace", "emails[type eq \"a\" or type eq \"b\"]", json!({"value": "x"})),
                NoTarget,
                "No value of \"emails\" matches [type eq \"a\" or type eq \"b\"].",
            ),
            (
                path("add", "emails[colour eq \"a\"].value", json!("x")),
                InvalidPath,
                "The attribute \"emails\" has no sub-attribute \"colour\".",
            ),
            (
                json!([{"op": "remove", "path": "title[value eq \"a\"]"}]),
                InvalidPath,
                "The attribute \"title\" has a single value of type string and cannot be followed by \
             square brackets.",
            ),
            (
                path("replace", "emails.value", json!("x")),
                InvalidPath,
                "The path \"emails.value\" names 2 values; choose with a filter such as \
             emails[type eq \"work\"].value.",
            ),
        ],
    );
    refused(
        &bob_body(),
        &user(),
        unmatched,
        &[
            (
                path("replace", "emails[type eq \"other\"].value", json!("x")),
                NoTarget,
                "No value of \"emails\" matches [type eq \"other\"].",
            ),
            (
                path("replace", "phoneNumbers[type eq \"fax\"]", json!({"value": "1"})),
                NoTarget,
                "No value of \"phoneNumbers\" matches [type eq \"fax\"].",
            ),
        ],
    );
    becomes(
        &bob_body(),
        &user(),
        unmatched,
        &[
            (path("add", "phoneNumbers[type eq \"fax\"].value", json!("1")), fax()),
            (json!([{"op": "remove", "path": "phoneNumbers[type eq \"fax\"]"}]), json!({})),
        ],
    );
}

#[test]
fn each_operation_sees_the_one_before() {
    bob_becomes(&[(
        json!([{"op": "remove", "path": "emails[value pr]"},
                {"op": "add", "path": "emails.value", "value": "x"}]),
        emails(json!([{"value": "x"}])),
    )]);
    refused(
        &bob_body(),
        &user(),
        ACCEPT,
        &[(
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": null},
               {"op": "replace", "path": "emails[type ne \"home\"].value", "value": "x"}]),
            ScimType::NoTarget,
            "No value of \"emails\" matches [type ne \"home\"].",
        )],
    );
    bob_becomes(&[
        (
            json!([{"op": "add", "path": "title", "value": "1"},
                {"op": "remove", "path": "title"},
                {"op": "add", "path": "title", "value": "2"}]),
            json!({"title": "2"}),
        ),
        (
            json!([{"op": "replace", "path": "emails[type eq \"home\"].type", "value": "work"},
                {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"}]),
            emails(json!([{"value": "x", "type": "work", "primary": true}])),
        ),
    ]);
}

#[test]
fn primary_moves() {
    let demoted = || json!({"value": "b@w.example", "type": "work", "primary": false});
    let promoted = || json!({"value": "b@h.example", "type": "home", "primary": true});
    let x = json!({"value": "x", "primary": true});
    bob_becomes(&[
        (
            json!([{"op": "add", "path": "emails", "value": x}]),
            emails(json!([demoted(), home(), x])),
        ),
        (json!([{"op": "add", "value": {"emails": [x]}}]), emails(json!([demoted(), home(), x]))),
        (
            json!([{"op": "add", "path": "emails[type eq \"home\"].primary", "value": true}]),
            emails(json!([demoted(), promoted()])),
        ),
        (
            json!([{"op": "replace", "path": "emails[type eq \"home\"]",
                 "value": {"value": "b@h.example", "primary": true}}]),
            emails(json!([demoted(), promoted()])),
        ),
        (
            json!([{"op": "add", "path": "emails[type eq \"other\" and primary eq true].value",
                 "value": "x"}]),
            emails(json!([demoted(), home(), {"value": "x", "type": "other", "primary": true}])),
        ),
        (
            json!([{"op": "add", "path": "emails[type eq \"work\"].primary", "value": true}]),
            json!({}),
        ),
        (
            json!([{"op": "replace", "path": "emails[type eq \"work\"].primary", "value": false}]),
            emails(json!([demoted(), home()])),
        ),
    ]);
    let two = "The attribute \"emails\" has 2 values with \"primary\": true; at most one is \
               allowed.";
    refused(
        &bob_body(),
        &user(),
        ACCEPT,
        &[
            (
                json!([{"op": "replace", "path": "emails[value pr].primary", "value": true}]),
                ScimType::InvalidValue,
                two,
            ),
            (
                json!([{"op": "replace", "path": "emails",
                 "value": [x, {"value": "y", "primary": true}]}]),
                ScimType::InvalidValue,
                two,
            ),
        ],
    );
}

#[test]
fn simple_multi_valued_attributes() {
    let set = device_with(&json!({"tags": ["a", "b"]}));
    let tags = |tags: Value| json!({"tags": tags});
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    becomes(
        &set,
        &device(),
        ACCEPT,
        &[
            (path("add", "tags", json!(["b", "c", "c"])), tags(json!(["a", "b", "c"]))),
            (path("add", "tags", json!("c")), tags(json!(["a", "b", "c"]))),
            (path("replace", "tags", json!(["c"])), tags(json!(["c"]))),
            (path("remove", "tags", json!(["a", "x"])), tags(json!(["b"]))),
            (path("replace", "tags[value eq \"a\"]", json!("c")), tags(json!(["c", "b"]))),
            (path("replace", "tags[value eq \"a\"]", json!("b")), tags(json!(["b"]))),
            (json!([{"op": "remove", "path": "tags[value eq \"A\"]"}]), tags(json!(["b"]))),
            (json!([{"op": "remove", "path": "tags[value pr]"}]), tags(Value::Null)),
        ],
    );
    refused(
        &set,
        &device(),
        ACCEPT,
        &[(
            path("add", "tags[value eq \"z\"]", json!("c")),
            ScimType::NoTarget,
            "No value of \"tags\" matches [value eq \"z\"].",
        )],
    );
}
