//! Tables for the operations on `members` and for their net effect.

use serde_json::{Value, json};

use super::super::members::{of_representation, split};
use super::super::op::{BodyRules, PatchOp, parse};
use super::super::{MemberChange, MemberStep, PatchRules};
use crate::scim::filter::{UnquotedValues, parse_filter};
use crate::scim::resource::fixture::{group, object, user};
use crate::scim::{ResourceType, ScimError, ScimType, urn};

fn run(ops: &Value, rt: &ResourceType) -> Result<(Vec<PatchOp>, Vec<MemberStep>), ScimError> {
    run_with(ops, rt, PatchRules::LENIENT)
}

fn run_with(
    ops: &Value,
    rt: &ResourceType,
    rules: PatchRules,
) -> Result<(Vec<PatchOp>, Vec<MemberStep>), ScimError> {
    let body = object(json!({"Operations": ops}));
    split(parse(&body, BodyRules::LENIENT)?, rt, rules)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn add(list: &[&str]) -> MemberStep {
    MemberStep::Add(ids(list))
}

fn remove(list: &[&str]) -> MemberStep {
    MemberStep::Remove(ids(list))
}

fn set(list: &[&str]) -> MemberStep {
    MemberStep::Set(ids(list))
}

fn matching(filter: &str) -> MemberStep {
    MemberStep::RemoveMatching(parse_filter(filter, UnquotedValues::Refuse).unwrap())
}

#[test]
fn operations_on_members_become_steps() {
    let op = |op: &str, value: Value| json!([{"op": op, "path": "members", "value": value}]);
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let gone = |path: &str| json!([{"op": "remove", "path": path}]);
    let urn_path = format!("{}:members", urn::GROUP);
    let table = [
        (op("add", json!([{"value": "a"}, {"value": "b"}])), vec![add(&["a", "b"])]),
        (op("add", json!({"VALUE": " a "})), vec![add(&["a"])]),
        (op("add", json!("a")), vec![add(&["a"])]),
        (op("add", json!(["a", null])), vec![add(&["a"])]),
        (
            op("add", json!([{"value": "a", "$ref": null, "display": 7, "type": "X"}])),
            vec![add(&["a"])],
        ),
        (op("add", json!([{"$ref": "https://x.example/scim/v2/Users/a"}])), vec![add(&["a"])]),
        (op("add", json!([{"$ref": "../Users/a", "value": "b"}])), vec![add(&["b"])]),
        (op("add", json!([])), vec![add(&[])]),
        (op("add", Value::Null), vec![add(&[])]),
        (op("replace", json!([{"value": "a"}])), vec![set(&["a"])]),
        (op("replace", json!([])), vec![set(&[])]),
        (op("replace", Value::Null), vec![set(&[])]),
        (op("remove", json!([{"value": "a"}])), vec![remove(&["a"])]),
        (op("remove", json!({"value": "a"})), vec![remove(&["a"])]),
        (op("remove", json!([])), vec![remove(&[])]),
        (op("remove", Value::Null), vec![set(&[])]),
        (gone("members"), vec![set(&[])]),
        (gone("MEMBERS"), vec![set(&[])]),
        (gone(&urn_path), vec![set(&[])]),
        (gone(&format!("{}.members", urn::GROUP)), vec![set(&[])]),
        (gone("members[value eq \"a\"]"), vec![remove(&["a"])]),
        (gone("Members[VALUE EQ \"A\"]"), vec![remove(&["A"])]),
        (gone(&format!("{urn_path}[value eq \"a\"]")), vec![remove(&["a"])]),
        (gone("members[value eq \"a\" or value eq \"b\"]"), vec![remove(&["a", "b"])]),
        (gone("members[type eq \"User\"]"), vec![matching("type eq \"User\"")]),
        (
            gone("members[value eq \"a\" or type eq \"User\"]"),
            vec![matching("value eq \"a\" or type eq \"User\"")],
        ),
        (
            gone("members[value eq \"a\" and type eq \"User\"]"),
            vec![matching("value eq \"a\" and type eq \"User\"")],
        ),
        (gone("members[value ne \"a\"]"), vec![matching("value ne \"a\"")]),
        (gone("members[value pr]"), vec![matching("value pr")]),
        (
            path("replace", "members[value eq \"a\"]", json!({"value": "b"})),
            vec![remove(&["a"]), add(&["b"])],
        ),
        (path("add", "members[value eq \"a\"]", json!([{"value": "a"}])), vec![add(&["a"])]),
        (path("replace", "members[value eq \"a\"]", Value::Null), vec![remove(&["a"]), add(&[])]),
    ];
    for (ops, expected) in table {
        let (rest, steps) = run(&ops, &group()).unwrap_or_else(|error| panic!("{ops}: {error}"));
        assert!(rest.is_empty(), "{ops}");
        assert_eq!(steps, expected, "{ops}");
    }
}

#[test]
fn rest_of_the_request_stays() {
    let urn_key = format!("{}:members", urn::GROUP);
    let table = [
        (
            json!([{"op": "add", "value": {"Members": [{"value": "a"}], "displayName": "G"}}]),
            json!([{"op": "add", "value": {"displayName": "G"}}]),
            vec![add(&["a"])],
        ),
        (
            json!([{"op": "replace", "value": {"members": [{"value": "a"}]}}]),
            json!([]),
            vec![set(&["a"])],
        ),
        (json!([{"op": "replace", "value": {"members": []}}]), json!([]), vec![set(&[])]),
        (json!([{"op": "replace", "value": {"members": null}}]), json!([]), vec![set(&[])]),
        (
            json!([{"op": "replace", "value": {"displayName": "G"}}]),
            json!([{"op": "replace", "value": {"displayName": "G"}}]),
            vec![],
        ),
        (
            json!([{"op": "add", "value": {urn_key: [{"value": "a"}]}}]),
            json!([]),
            vec![add(&["a"])],
        ),
        (
            json!([{"op": "add", "value": {"members[value eq \"a\"]": {"value": "a"}}}]),
            json!([]),
            vec![add(&["a"])],
        ),
        (
            json!([
            {"op": "remove", "path": "members", "value": [{"value": "a"}]},
            {"op": "replace", "path": "displayName", "value": "G"},
            {"op": "add", "path": "members", "value": [{"value": "b"}]},
            {"op": "replace", "value": {"externalId": "e", "members": [{"value": "c"}]}}]),
            json!([{"op": "replace", "path": "displayName", "value": "G"},
                   {"op": "replace", "value": {"externalId": "e"}}]),
            vec![remove(&["a"]), add(&["b"]), set(&["c"])],
        ),
        // Not members: left to `apply`.
        (
            json!([{"op": "add", "path": "members.colour", "value": 1}]),
            json!([{"op": "add", "path": "members.colour", "value": 1}]),
            vec![],
        ),
    ];
    for (ops, rest, steps) in table {
        let (expected, _) = match rest.as_array().map(Vec::len) {
            Some(0) => (Vec::new(), Vec::new()),
            _ => run(&rest, &user()).unwrap(),
        };
        assert_eq!(run(&ops, &group()), Ok((expected, steps)), "{ops}");
    }
}

#[test]
fn types_without_members_keep_their_operations() {
    let ops = json!([{"op": "add", "path": "members", "value": [{"value": "a"}]}]);
    let (rest, steps) = run(&ops, &user()).unwrap();
    assert_eq!((rest.len(), steps.len()), (1, 0));
    assert_eq!(of_representation(&object(json!({"members": "x"})), &user()), Ok(None));
}

#[test]
fn malformed_members_are_refused() {
    use ScimType::{InvalidPath, InvalidValue, Mutability};
    let op = |value: Value| json!([{"op": "add", "path": "members", "value": value}]);
    let gone = |path: &str| json!([{"op": "remove", "path": path}]);
    let want = "The attribute \"members\" must be a list of objects with a \"value\" that is an \
                id, but the request has ";
    let sub = "The sub-attribute \"members.display\" cannot be changed; add or remove whole \
               members.";
    let table = [
        (op(json!([{"display": "x"}])), InvalidValue, format!("{want}an object.")),
        (op(json!([{"value": 7}])), InvalidValue, format!("{want}the number 7.")),
        (op(json!([{"value": ""}])), InvalidValue, format!("{want}the string \"\".")),
        (op(json!([7])), InvalidValue, format!("{want}the number 7.")),
        (op(json!(" ")), InvalidValue, format!("{want}the string \" \".")),
        (op(json!("a\u{0}b")), InvalidValue, format!("{want}the string \"ab\".")),
        (op(json!([["a"]])), InvalidValue, format!("{want}an array.")),
        (
            op(json!([{"$ref": "https://x.example/Users/"}])),
            InvalidValue,
            format!("{want}an object."),
        ),
        (
            json!([{"op": "add", "value": {"members": true}}]),
            InvalidValue,
            format!("{want}the boolean true."),
        ),
        (
            json!([{"op": "replace", "path": "members.display", "value": "x"}]),
            Mutability,
            sub.into(),
        ),
        (gone("members[value eq \"a\"].display"), Mutability, sub.into()),
        (
            gone("members[colour eq \"a\"]"),
            InvalidPath,
            "The attribute \"members\" has no sub-attribute \"colour\".".into(),
        ),
        (
            gone("members[value eq 7]"),
            InvalidPath,
            "The attribute \"members.value\" of type string cannot be compared with 7; allowed is a \
             string in quotation marks, such as \"7\"."
                .into(),
        ),
    ];
    for (ops, scim_type, detail) in table {
        let error = run(&ops, &group()).expect_err(&ops.to_string());
        assert_eq!((error.status, error.scim_type), (400, Some(scim_type)), "{ops}: {error}");
        assert_eq!(error.detail, detail, "{ops}");
    }
}

#[test]
fn strict_rules_want_one_member_for_one_filter() {
    let op = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let gone = |path: &str| json!([{"op": "remove", "path": path}]);
    let strict = |ops: &Value| run_with(ops, &group(), PatchRules::STRICT);
    for (ops, step) in [
        (gone("members[value eq \"a\"]"), remove(&["a"])),
        (
            gone("members[type eq \"User\" and value eq \"a\"]"),
            matching("type eq \"User\" and value eq \"a\""),
        ),
        (gone("members"), set(&[])),
        (op("remove", "members", json!([{"value": "a"}, {"value": "b"}])), remove(&["a", "b"])),
        (op("add", "members", json!([{"value": "a", "type": "User"}])), add(&["a"])),
        (op("replace", "members", json!([{"value": "a"}])), set(&["a"])),
    ] {
        assert_eq!(strict(&ops), Ok((vec![], vec![step])), "{ops}");
    }
    for filter in
        ["type eq \"User\"", "value eq \"a\" or value eq \"b\"", "value pr", "value sw \"a\""]
    {
        let error = strict(&gone(&format!("members[{filter}]"))).expect_err(filter);
        let detail = format!(
            "The filter [{filter}] can match several values of \"members\"; in a path it must name \
             one, such as members[value eq \"…\"]."
        );
        assert_eq!(error, ScimError::invalid_filter(detail));
    }
    for (kind, article) in [("add", "an add"), ("replace", "a replace")] {
        let ops = op(kind, "members[value eq \"a\"]", json!({"value": "b"}));
        let detail = format!(
            "The path \"members[value eq \"a\"]\" of {article} names a whole value; name one of its \
             sub-attributes, such as members[value eq \"a\"].value."
        );
        assert_eq!(strict(&ops), Err(ScimError::invalid_path(detail)));
    }
    let detail = "The attribute \"members.colour\" is not defined by the schemas of this resource \
                  type.";
    let unknown = op("add", "members", json!([{"value": "a"}, {"value": "b", "colour": 1}]));
    assert_eq!(strict(&unknown), Err(ScimError::invalid_syntax(detail)));
    assert!(run(&unknown, &group()).is_ok());
}

#[test]
fn members_of_a_representation() {
    let read = |body: Value| of_representation(&object(body), &group());
    assert_eq!(read(json!({"displayName": "G"})), Ok(None));
    assert_eq!(read(json!({"members": null})), Ok(Some(Vec::new())));
    assert_eq!(read(json!({"members": []})), Ok(Some(Vec::new())));
    assert_eq!(read(json!({"MEMBERS": [{"value": "a"}, "b"]})), Ok(Some(ids(&["a", "b"]))));
    assert_eq!(read(json!({"members": 7})).unwrap_err().scim_type, Some(ScimType::InvalidValue));
}

#[test]
fn steps_fold_into_a_net_change() {
    let change = |only_added_stay: bool, add: &[&str], remove: &[&str]| MemberChange {
        only_added_stay,
        add: ids(add),
        remove: ids(remove),
    };
    let table = [
        (vec![], change(false, &[], &[])),
        (vec![add(&["a", "b", "a"])], change(false, &["a", "b"], &[])),
        (vec![add(&["a"]), add(&["b", "a"])], change(false, &["a", "b"], &[])),
        (vec![remove(&["a", "a"]), remove(&["b", "a"])], change(false, &[], &["a", "b"])),
        // Whether `a` was a member before is not known: it has to go and may not be there.
        (vec![add(&["a", "b"]), remove(&["a"])], change(false, &["b"], &["a"])),
        (vec![remove(&["a", "b"]), add(&["a"])], change(false, &["a"], &["b"])),
        (vec![add(&["a"]), remove(&["a"]), add(&["a"])], change(false, &["a"], &[])),
        (vec![set(&["a", "a"])], change(true, &["a"], &[])),
        (vec![set(&[])], change(true, &[], &[])),
        (vec![set(&["a"]), add(&["b", "a"])], change(true, &["a", "b"], &[])),
        (vec![set(&["a", "b"]), remove(&["a", "c"])], change(true, &["b"], &[])),
        (vec![add(&["a"]), remove(&["b"]), set(&["c"])], change(true, &["c"], &[])),
        (vec![set(&["a"]), set(&["b"])], change(true, &["b"], &[])),
    ];
    for (steps, expected) in table {
        let folded = MemberChange::fold(&steps).unwrap();
        assert_eq!(folded, expected, "{steps:?}");
        let nothing = expected == MemberChange::default();
        assert_eq!(folded.is_empty(), nothing, "{steps:?}");
    }
    assert_eq!(MemberChange::fold(&[add(&["a"]), matching("type pr")]), None);
}
