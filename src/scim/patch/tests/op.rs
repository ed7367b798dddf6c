//! The request body: what is read and what is refused.

use serde_json::{Value, json};

use super::*;

#[test]
fn body_is_read_in_any_letter_case_and_order() {
    let op = json!({"op": "add", "path": "title", "value": 1});
    for body in [
        json!({"schemas": [urn::PATCH_OP], "Operations": [op]}),
        json!({"Operations": [op], "schemas": ["x", urn::PATCH_OP.to_uppercase()]}),
        json!({"SCHEMAS": [urn::PATCH_OP], "operations": [op]}),
        json!({"schemas": [urn::PATCH_OP], "OPERATIONS": [{"VALUE": 1, "PATH": "a", "OP": "AdD"}]}),
        json!({"schemas": [urn::PATCH_OP], "Operations": [{"op": "REMOVE", "path": "a"}]}),
        json!({"schemas": [urn::PATCH_OP], "Operations": [{"op": "Replace", "value": {}, "x": 1}]}),
    ] {
        let rules = BodyRules { paths: MissingPaths::Accept, ..BodyRules::STRICT };
        assert_eq!(parse_value(body.clone(), rules), Ok(1), "{body}");
    }
    for schemas in [json!({}), json!({"schemas": null})] {
        let mut body = object(schemas);
        body.insert("Operations".into(), json!([op]));
        assert!(parse(&body, BodyRules::LENIENT).is_ok());
        assert!(parse(&body, BodyRules::STRICT).is_err());
    }
}

#[test]
fn empty_path_is_no_path_and_null_is_a_value() {
    let body = object(json!({"Operations": [
        {"op": "add", "path": " ", "value": {}},
        {"op": "add", "path": null, "value": {}},
        {"op": "replace", "path": "title", "value": null},
        {"op": "remove", "path": "title"}
    ]}));
    let ops = parse(&body, BodyRules::LENIENT).unwrap();
    let paths: Vec<bool> = ops.iter().map(|op| op.path.is_some()).collect();
    assert_eq!(paths, [false, false, true, true]);
    assert_eq!((&ops[2].value, &ops[3].value), (&Some(Value::Null), &None));
}

#[test]
fn malformed_bodies_are_refused() {
    use ScimType::{InvalidPath, InvalidSyntax, InvalidValue, NoTarget};
    let ops = |ops: Value| json!({"Operations": ops});
    let schemas = "\"schemas\" of this request must be \
                   [\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"].";
    let table = [
        (json!({"schemas": []}), InvalidSyntax, schemas),
        (json!({"schemas": [urn::USER], "Operations": []}), InvalidSyntax, schemas),
        (json!({"schemas": urn::PATCH_OP}), InvalidSyntax, schemas),
        (json!({"schemas": {}}), InvalidSyntax, schemas),
        (json!({"schemas": [1]}), InvalidSyntax, schemas),
        (json!({}), InvalidSyntax, "The PATCH request has no \"Operations\"."),
        (
            ops(json!([])),
            InvalidSyntax,
            "\"Operations\" is empty; a PATCH needs at least one operation.",
        ),
        (
            ops(json!({"op": "add"})),
            InvalidSyntax,
            "\"Operations\" must be an array, but the request has an object.",
        ),
        (
            ops(Value::Null),
            InvalidSyntax,
            "\"Operations\" must be an array, but the request has null.",
        ),
        (
            ops(json!([{"op": "remove", "path": "title"}, 7])),
            InvalidSyntax,
            "Operations[1] must be an object, but it is the number 7.",
        ),
        (
            ops(json!([{"path": "title", "value": 1}])),
            InvalidSyntax,
            "Operations[0] has no \"op\", but \"op\" must be \"add\", \"remove\" or \"replace\".",
        ),
        (
            ops(json!([{"op": "move", "path": "title", "value": 1}])),
            InvalidSyntax,
            "Operations[0] has the string \"move\", but \"op\" must be \"add\", \"remove\" or \
             \"replace\".",
        ),
        (
            ops(json!([{"op": true}])),
            InvalidSyntax,
            "Operations[0] has the boolean true, but \"op\" must be \"add\", \"remove\" or \
             \"replace\".",
        ),
        (
            ops(json!([{"op": "add", "path": ["title"], "value": 1}])),
            InvalidPath,
            "The path of Operations[0] must be a string, but it is an array.",
        ),
        (
            ops(json!([{"op": "remove", "path": "/title"}])),
            InvalidPath,
            "The path could not be read at position 1: found `/title`, expected an attribute name.",
        ),
        (
            ops(json!([{"op": "remove"}])),
            NoTarget,
            "Operations[0] is a remove without a path; name the attribute to remove.",
        ),
        (
            ops(json!([{"op": "remove", "path": "", "value": {"title": 1}}])),
            NoTarget,
            "Operations[0] is a remove without a path; name the attribute to remove.",
        ),
        (
            ops(json!([{"op": "add", "path": "title"}])),
            InvalidValue,
            "Operations[0] is an add without a value.",
        ),
        (
            ops(json!([{"op": "add", "value": {}}, {"op": "replace"}])),
            InvalidValue,
            "Operations[1] is a replace without a value.",
        ),
        (
            ops(json!([{"op": "add", "value": {}}, {"op": "add", "value": [{"title": "T"}]}])),
            InvalidValue,
            "Operations[1] is an add without a path, so its value must be an object of attributes, \
             but it is an array.",
        ),
    ];
    for (body, scim_type, detail) in table {
        let error = parse_value(body.clone(), BodyRules::LENIENT).expect_err(detail);
        let found = (error.status, error.scim_type, error.detail.as_str());
        assert_eq!(found, (400, Some(scim_type), detail), "{body}");
    }
}

#[test]
fn missing_paths_are_refused_where_the_rules_say_so() {
    let ops = |op: Value| json!({"Operations": [{"op": "add", "path": "title", "value": 1}, op]});
    let rules = BodyRules { paths: MissingPaths::Refuse, ..BodyRules::LENIENT };
    for (op, article) in [
        (json!({"op": "add", "value": {"title": 1}}), "an add"),
        (json!({"op": "replace", "path": null, "value": {"title": 1}}), "a replace"),
        (json!({"op": "Replace", "path": " ", "value": {}}), "a replace"),
        (json!({"op": "remove"}), "a remove"),
        (json!({"op": "add"}), "an add"),
    ] {
        let detail = format!(
            "Operations[1] is {article} without a path; each operation must name its attribute in \
             \"path\"."
        );
        assert_eq!(parse_value(ops(op), rules), Err(ScimError::invalid_syntax(detail)));
    }
    assert_eq!(parse_value(ops(json!({"op": "remove", "path": "name"})), rules), Ok(2));
}

#[test]
fn too_many_operations_are_413() {
    let body = |n| json!({"Operations": vec![json!({"op": "remove", "path": "title"}); n]});
    assert_eq!(parse_value(body(MAX_OPERATIONS), BodyRules::LENIENT), Ok(10_000));
    let error = parse_value(body(MAX_OPERATIONS + 1), BodyRules::LENIENT).unwrap_err();
    let detail = "The request has 10001 operations; at most 10000 are allowed.";
    assert_eq!(error, ScimError::new(413, detail));
}
