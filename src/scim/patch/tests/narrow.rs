//! The rules that leave fewer ways to say the same: whole replacement, one element for one filter,
//! no whole elements. And references, of which several spellings are one value.

use serde_json::{Value, json};

use super::*;

const WHOLE: PatchRules = PatchRules { complex_replace: ComplexReplace::Whole, ..ACCEPT };

#[test]
fn whole_replacement_takes_away_what_is_left_out() {
    let name = |op: &str, value: Value| json!([{"op": op, "path": "name", "value": value}]);
    becomes(
        &bob_body(),
        &user(),
        WHOLE,
        &[
            (name("replace", json!({"givenName": "Ann"})), json!({"name": {"givenName": "Ann"}})),
            (name("replace", json!({"GIVENNAME": "Ann"})), json!({"name": {"givenName": "Ann"}})),
            (name("replace", json!({"givenName": null})), json!({"name": null})),
            (name("replace", json!({})), json!({"name": null})),
            (name("replace", Value::Null), json!({"name": null})),
            (name("replace", json!({"unknown": 1})), json!({"name": null})),
            (
                json!([{"op": "replace", "value": {"name": {"formatted": "B"}}}]),
                json!({"name": {"formatted": "B"}}),
            ),
            (
                json!([{"op": "replace", "path": "ENT:manager", "value": {"value": "m2"}}]),
                json!({"ENT": {"department": "Tools", "manager": {"value": "m2"}}}),
            ),
            // An add merges, a sub-attribute is one value, and an extension is no attribute.
            (
                name("add", json!({"givenName": "Ann"})),
                json!({"name": {"familyName": "Hill", "givenName": "Ann"}}),
            ),
            (
                json!([{"op": "replace", "path": "name.givenName", "value": "Ann"}]),
                json!({"name": {"familyName": "Hill", "givenName": "Ann"}}),
            ),
            (
                json!([{"op": "replace", "path": "ENT", "value": {"division": "D"}}]),
                json!({"ENT": {"division": "D", "department": "Tools", "manager": {"value": "m1"}}}),
            ),
        ],
    );
}

#[test]
fn whole_replacement_leaves_what_a_client_cannot_take_away() {
    let shelf = |value: Value| json!([{"op": "replace", "path": "shelf", "value": value}]);
    let set = device_with(&json!({"shelf": {"row": "1", "place": "2", "seal": "x"}}));
    becomes(
        &set,
        &device(),
        WHOLE,
        &[
            (shelf(json!({"row": "9"})), json!({"shelf": {"row": "9", "seal": "x"}})),
            (shelf(json!({"row": "9", "seal": "x"})), json!({"shelf": {"row": "9", "seal": "x"}})),
        ],
    );
    let row = "The attribute \"shelf.row\" is required, but the resource has no value for it.";
    let seal = "The attribute \"shelf\" is immutable and already has a value.";
    refused(
        &set,
        &device(),
        WHOLE,
        &[
            (shelf(json!({"place": "9"})), ScimType::InvalidValue, row),
            (shelf(json!({"row": "9", "seal": "y"})), ScimType::Mutability, seal),
            (shelf(json!({"row": "9", "seal": null})), ScimType::Mutability, seal),
        ],
    );
}

#[test]
fn whole_elements_are_refused_except_for_removing_them() {
    let rules = PatchRules { whole_elements: WholeElements::Refuse, ..ACCEPT };
    let op = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    for (kind, article) in [("add", "an add"), ("replace", "a replace")] {
        let whole = |value: Value| op(kind, "emails[type eq \"work\"]", value);
        let detail = format!(
            "The path \"emails[type eq \"work\"]\" of {article} names a whole value; name one of its \
             sub-attributes, such as emails[type eq \"work\"].value."
        );
        for ops in [whole(json!({"value": "x"})), whole(Value::Null), whole(json!([]))] {
            refused(&bob_body(), &user(), rules, &[(ops, ScimType::InvalidPath, &detail)]);
        }
        becomes(
            &bob_body(),
            &user(),
            rules,
            &[(
                op(kind, "emails[type eq \"home\"].value", json!("x")),
                emails(json!([work(), {"value": "x", "type": "home"}])),
            )],
        );
        // One value of a simple attribute has no sub-attributes, and a singular value is no element.
        becomes(
            &device_with(&json!({"tags": ["a", "b"], "shelf": {"row": "1"}})),
            &device(),
            rules,
            &[
                (op(kind, "tags[value eq \"a\"]", json!("c")), json!({"tags": ["c", "b"]})),
                (
                    op(kind, "shelf[row eq \"1\"]", json!({"row": "1", "place": "2"})),
                    json!({"shelf": {"row": "1", "place": "2"}}),
                ),
            ],
        );
    }
    let remove = json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]);
    becomes(&bob_body(), &user(), rules, &[(remove, emails(json!([work()])))]);
}

#[test]
fn filter_that_matches_several_values_is_refused() {
    let rules = PatchRules { several_matches: SeveralMatches::Refuse, ..ACCEPT };
    let detail =
        "The filter [value pr] matches 2 values of \"emails\"; in a path it must match one.";
    for ops in [
        json!([{"op": "replace", "path": "emails[value pr].display", "value": "B"}]),
        json!([{"op": "add", "path": "emails[value pr].display", "value": "B"}]),
        json!([{"op": "replace", "path": "emails[value pr]", "value": {"value": "x"}}]),
        json!([{"op": "remove", "path": "emails[value pr].type"}]),
        json!([{"op": "remove", "path": "emails[value pr]"}]),
    ] {
        refused(&bob_body(), &user(), rules, &[(ops.clone(), ScimType::InvalidFilter, detail)]);
        let before = document(bob_body(), &user());
        assert!(run(&before, &ops, &user(), ACCEPT, &mut Notes::default()).is_ok(), "{ops}");
    }
    becomes(
        &bob_body(),
        &user(),
        rules,
        &[
            (
                json!([{"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x"}]),
                emails(json!([work(), {"value": "x", "type": "home"}])),
            ),
            (
                json!([{"op": "add", "path": "emails[type eq \"other\"].value", "value": "x"}]),
                emails(json!([work(), home(), {"value": "x", "type": "other"}])),
            ),
            (
                json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]),
                emails(json!([work()])),
            ),
            (json!([{"op": "remove", "path": "emails[type eq \"x\"]"}]), json!({})),
            (json!([{"op": "remove", "path": "emails"}]), emails(Value::Null)),
            (json!([{"op": "remove", "path": "emails.display"}]), json!({})),
            (
                json!([{"op": "replace", "path": "name[givenName pr].givenName", "value": "Ann"}]),
                json!({"name": {"familyName": "Hill", "givenName": "Ann"}}),
            ),
        ],
    );
    // What matches is counted when the operation's turn comes.
    let ops = json!([
        {"op": "remove", "path": "emails[type eq \"home\"]"},
        {"op": "remove", "path": "emails[value pr]"}
    ]);
    becomes(&bob_body(), &user(), rules, &[(ops, emails(Value::Null))]);
}

/// A user with a manager, and a device with links to resources.
#[test]
fn reference_in_another_version_of_the_protocol_is_the_same_value() {
    let (plain, versioned) = ("https://x.org/Users/1", "https://x.org/v2/Users/1");
    let body = changed(bob_body(), &json!({"ENT": {"manager": {"value": "1", "$ref": plain}}}));
    let body = expand(&body);
    let set =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let manager = json!({"value": "1", "$ref": versioned});
    for rules in [ACCEPT, WHOLE] {
        becomes(
            &body,
            &user(),
            rules,
            &[
                (set("replace", "ENT:manager", manager.clone()), json!({})),
                (set("add", "ENT:manager", manager.clone()), json!({})),
                (set("replace", "ENT:manager.$ref", json!(versioned)), json!({})),
                (set("replace", "ENT", json!({"manager": manager})), json!({})),
                (json!([{"op": "replace", "value": {"ENT": {"manager": manager}}}]), json!({})),
                (
                    set("replace", "ENT:manager.$ref", json!("https://x.org/v2/Users/2")),
                    json!({"ENT": {"manager": {"value": "1", "$ref": "https://x.org/v2/Users/2"}}}),
                ),
            ],
        );
    }
    let links = linked(&[plain, "https://x.org/Groups/2"]);
    becomes(
        &links,
        &linked_type(),
        ACCEPT,
        &[
            (set("add", "links", json!([versioned])), json!({})),
            (set("replace", "links", json!([versioned, "https://x.org/v1/Groups/2"])), json!({})),
            (
                json!([{"op": "remove", "path": "links", "value": [versioned]}]),
                json!({"links": ["https://x.org/Groups/2"]}),
            ),
            (
                json!([{"op": "remove", "path": format!("links[value eq \"{versioned}\"]")}]),
                json!({"links": ["https://x.org/Groups/2"]}),
            ),
        ],
    );
}

fn linked(links: &[&str]) -> Value {
    device_with(&json!({"links": links}))
}

/// A device with a multi-valued reference to resources.
fn linked_type() -> ResourceType {
    let mut linked = device();
    let mut schema = (*linked.schema).clone();
    let mut links = schema.attribute("page").unwrap().clone();
    links.name = "links".into();
    links.multi_valued = true;
    links.reference_types = vec!["User".into(), "Group".into()];
    schema.attributes.push(links);
    linked.schema = schema.into();
    linked
}
