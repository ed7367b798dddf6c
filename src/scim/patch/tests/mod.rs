//! Tables for the PATCH body and for the operations on a document, one row per rule.

mod attribute;
mod element;
mod members;
mod narrow;
mod op;
mod refusal;

use serde_json::{Value, json};

use super::op::{BodyRules, MAX_OPERATIONS, MissingPaths, parse};
use super::{ComplexReplace, PatchRules, SeveralMatches, UnmatchedReplace, WholeElements, apply};
use crate::scim::resource::fixture::{
    LENIENT, RACK, device, device_body, document, expand, object, user,
};
use crate::scim::resource::{Document, Notes};
use crate::scim::{Object, ResourceType, ScimError, ScimType, urn};

const ACCEPT: PatchRules = PatchRules::LENIENT;

const REFUSE: PatchRules = PatchRules::STRICT;

fn bob_body() -> Value {
    expand(&json!({
        "externalId": "e1",
        "userName": "bob",
        "name": {"familyName": "Hill", "givenName": "Bob"},
        "active": true,
        "emails": [
            {"value": "b@w.example", "type": "work", "primary": true},
            {"value": "b@h.example", "type": "home"}
        ],
        "ENT": {"department": "Tools", "manager": {"value": "m1"}}
    }))
}

/// `body` with the members of `changes` in place of its own; null takes one out.
fn changed(mut body: Value, changes: &Value) -> Value {
    body.as_object_mut().unwrap().extend(object(expand(changes)));
    body
}

fn run(
    before: &Document,
    ops: &Value,
    resource_type: &ResourceType,
    rules: PatchRules,
    notes: &mut Notes,
) -> Result<Document, ScimError> {
    let body = object(json!({"Operations": expand(ops)}));
    let ops = parse(&body, BodyRules::LENIENT)?;
    apply(before, &ops, resource_type, rules, notes)
}

/// Applies `ops` to `body` and compares what is stored, to the byte, with `body` and `changes`.
fn becomes(
    body: &Value,
    resource_type: &ResourceType,
    rules: PatchRules,
    table: &[(Value, Value)],
) {
    for (ops, changes) in table {
        let before = document(body.clone(), resource_type);
        let after = run(&before, ops, resource_type, rules, &mut Notes::default())
            .unwrap_or_else(|error| panic!("{ops}: {error}"));
        let expected = document(changed(body.clone(), changes), resource_type);
        assert_eq!(after.to_json(), expected.to_json(), "{ops}");
    }
}

fn bob_becomes(table: &[(Value, Value)]) {
    becomes(&bob_body(), &user(), ACCEPT, table);
}

fn refused(
    body: &Value,
    resource_type: &ResourceType,
    rules: PatchRules,
    table: &[(Value, ScimType, &str)],
) {
    for (ops, scim_type, detail) in table {
        let before = document(body.clone(), resource_type);
        let error = run(&before, ops, resource_type, rules, &mut Notes::default())
            .expect_err(&ops.to_string());
        assert_eq!((error.status, error.scim_type), (400, Some(*scim_type)), "{ops}: {error}");
        assert_eq!(error.detail, detail.replace("ENT", urn::ENTERPRISE_USER), "{ops}");
    }
}

fn parse_value(body: Value, rules: BodyRules) -> Result<usize, ScimError> {
    parse(&object(body), rules).map(|ops| ops.len())
}

fn emails(elements: Value) -> Value {
    Value::from_iter([("emails", elements)])
}

fn work() -> Value {
    json!({"value": "b@w.example", "type": "work", "primary": true})
}

fn home() -> Value {
    json!({"value": "b@h.example", "type": "home"})
}

fn device_with(more: &Value) -> Value {
    changed(device_body(), more)
}
