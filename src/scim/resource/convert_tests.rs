//! Values move to `extra` and back; nothing is lost, nothing that was removed comes back.

#![expect(clippy::needless_pass_by_value, reason = "rows of tables are literals")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::convert;
use crate::scim::resource::fixture::{document, object};
use crate::scim::schema::OwnSchemas;
use crate::scim::{Object, Registry, ResourceType, urn};

const THING: &str = "urn:example:params:scim:schemas:Thing";
const MORE: &str = "urn:example:params:scim:schemas:extension:More";

/// The type Thing with these attributes, and these of an extension unless there are none.
fn thing(attributes: &Value, more: &Value) -> ResourceType {
    let mut schemas = vec![json!({"id": THING, "attributes": attributes})];
    let mut extensions = Vec::new();
    if more.as_array().is_some_and(|more| !more.is_empty()) {
        schemas.push(json!({"id": MORE, "attributes": more}));
        extensions.push(json!({"schema": MORE}));
    }
    let own = json!({
        "schemas": schemas,
        "resource_types": [{
            "name": "Thing", "endpoint": "/Things", "schema": THING, "schemaExtensions": extensions,
        }],
    });
    let builtin = Registry::builtin();
    let own = OwnSchemas::parse(&object(own), &builtin).unwrap_or_else(|p| panic!("{p:?}"));
    (**own.added_to(&builtin).by_name("Thing").unwrap()).clone()
}

fn base(attributes: Value) -> ResourceType {
    thing(&attributes, &json!([]))
}

/// What is left of a document without what every one has.
fn body(doc: &Object) -> Value {
    let mut body = doc.clone();
    body.retain(|name, _| !matches!(name.as_str(), "schemas" | "id"));
    body.into()
}

/// Converts a resource of the old type to the new one: (document, extra).
fn converted(old: &ResourceType, new: &ResourceType, sent: Value) -> (Object, Object) {
    let stored = document(sent, old);
    let (doc, extra) = convert(stored.as_object(), &Object::new(), new);
    (doc.into_object(), extra)
}

fn string(name: &str) -> Value {
    json!({"name": name})
}

fn typed(name: &str, data_type: &str) -> Value {
    json!({"name": name, "type": data_type})
}

/// An element whose parts another one has as well gets its own back, and the other one does not get them.
#[test]
fn part_comes_back_to_the_element_that_it_was_of() {
    let attribute = |value: &str| {
        let mut value = typed("value", value);
        value["multiValued"] = true.into();
        let parts = json!([value, string("type"), typed("x", "integer")]);
        json!([{"name": "d", "type": "complex", "multiValued": true, "subAttributes": parts}])
    };
    let (old, new) = (base(attribute("string")), base(attribute("integer")));
    for elements in [
        json!([{"value": ["a"], "x": 2}, {"value": ["b", "a"], "type": "t", "x": 2}]),
        json!([{"value": ["a"], "x": 2}, {"type": "t", "x": 2}]),
    ] {
        let stored = document(json!({"d": elements}), &old);
        let (there, extra) = convert(stored.as_object(), &Object::new(), &new);
        let (back, rest) = convert(there.as_object(), &extra, &old);
        assert_eq!((back.to_json(), rest), (stored.to_json(), Object::new()));
    }
}

fn many(name: &str, data_type: &str) -> Value {
    json!({"name": name, "type": data_type, "multiValued": true})
}

fn complex(name: &str, subs: Value) -> Value {
    json!({"name": name, "type": "complex", "subAttributes": subs})
}

fn list(name: &str, subs: Value) -> Value {
    json!({"name": name, "type": "complex", "multiValued": true, "subAttributes": subs})
}

/// Fails unless the value becomes that document and that extra, and all of it comes back.
#[track_caller]
fn moves(old: Value, new: Value, sent: Value, doc: Value, extra: Value) {
    let (old, new) = (base(old), base(new));
    let (there, aside) = converted(&old, &new, sent.clone());
    assert_eq!((body(&there), Value::Object(aside.clone())), (doc, extra), "{sent}");
    let (back, rest) = convert(&there, &aside, &old);
    assert_eq!(body(back.as_object()), sent, "back");
    assert_eq!(rest, Object::new(), "{sent}");
}

#[test]
fn attribute_that_goes_is_kept_and_comes_back() {
    let both = json!([string("a"), string("b")]);
    let one = json!([string("a")]);
    moves(both, one, json!({"a": "1", "b": "2"}), json!({"a": "1"}), json!({"b": "2"}));
}

#[test]
fn values_that_do_not_fit_the_new_type_are_kept() {
    let instant = "2021-06-25T19:07:33Z";
    for (from, to, value, fits) in [
        ("string", "integer", json!("x"), false),
        ("string", "integer", json!("5"), false),
        ("integer", "string", json!(5), false),
        ("integer", "decimal", json!(5), true),
        ("decimal", "integer", json!(5), true),
        ("decimal", "integer", json!(5.5), false),
        ("string", "boolean", json!("true"), false),
        ("string", "dateTime", json!(instant), true),
        ("string", "dateTime", json!("soon"), false),
        ("dateTime", "string", json!(instant), true),
        ("string", "binary", json!("TWFu"), true),
        ("string", "binary", json!("no base64"), false),
        ("string", "reference", json!("../Users/1"), true),
        ("string", "reference", json!("a b"), false),
    ] {
        let (doc, extra) = match fits {
            true => (json!({"a": value}), json!({})),
            false => (json!({}), json!({"a": value})),
        };
        let (old, new) = (json!([typed("a", from)]), json!([typed("a", to)]));
        moves(old, new, json!({"a": value}), doc, extra);
    }
    let (one, several) = (json!([string("a")]), json!([many("a", "string")]));
    moves(one.clone(), several.clone(), json!({"a": "x"}), json!({}), json!({"a": "x"}));
    moves(several.clone(), one, json!({"a": ["x"]}), json!({}), json!({"a": ["x"]}));
    let numbers = json!([many("a", "integer")]);
    moves(several, numbers, json!({"a": ["x", "y"]}), json!({}), json!({"a": ["x", "y"]}));
    let whole = json!([complex("a", json!([string("x")]))]);
    let sent = json!({"a": {"x": "1"}});
    moves(whole, json!([string("a")]), sent.clone(), json!({}), sent);
}

#[test]
fn parts_of_a_complex_value_move_alone() {
    let both = json!([complex("a", json!([string("x"), string("y")]))]);
    let one = json!([complex("a", json!([string("x")]))]);
    let number = json!([complex("a", json!([string("x"), typed("y", "integer")]))]);
    let other = json!([complex("a", json!([string("z")]))]);
    let sent = json!({"a": {"x": "1", "y": "2"}});
    moves(both.clone(), one, sent.clone(), json!({"a": {"x": "1"}}), json!({"a.y": "2"}));
    moves(both.clone(), number, sent.clone(), json!({"a": {"x": "1"}}), json!({"a.y": "2"}));
    moves(both, other, sent, json!({}), json!({"a.x": "1", "a.y": "2"}));
}

fn emails() -> Value {
    json!({"a": [
        {"value": "1", "type": "work", "rank": 1},
        {"value": "2", "rank": 2},
        {"value": "3"},
    ]})
}

fn ranked() -> Value {
    json!([list("a", json!([string("value"), string("type"), typed("rank", "integer")]))])
}

fn unranked() -> Value {
    json!([list("a", json!([string("value"), string("type")]))])
}

#[test]
fn parts_of_elements_come_back_to_their_elements() {
    moves(
        ranked(),
        unranked(),
        emails(),
        json!({"a": [{"value": "1", "type": "work"}, {"value": "2"}, {"value": "3"}]}),
        json!({"a.rank": [{"value": "1", "type": "work", "rank": 1}, {"value": "2", "rank": 2}]}),
    );
}

#[test]
fn elements_that_would_become_one_stay_apart() {
    let sent = json!({"a": [{"value": "1", "x": "s"}, {"value": "2", "x": "s"}]});
    let both = json!([list("a", json!([string("value"), string("x")]))]);
    let one = json!([list("a", json!([string("x")]))]);
    moves(both.clone(), one, sent.clone(), json!({}), sent.clone());
    let other = json!([list("a", json!([string("z")]))]);
    moves(both, other, sent.clone(), json!({}), sent);
}

#[test]
fn what_a_client_removed_meanwhile_does_not_come_back() {
    let (old, new) = (base(ranked()), base(unranked()));
    let (mut doc, extra) = converted(&old, &new, emails());
    doc["a"].as_array_mut().unwrap().remove(0);
    doc["a"].as_array_mut().unwrap().push(json!({"value": "4"}));
    let (back, rest) = convert(&doc, &extra, &old);
    let expected = json!({"a": [{"value": "2", "rank": 2}, {"value": "3"}, {"value": "4"}]});
    assert_eq!((body(back.as_object()), rest), (expected, Object::new()));
    doc.shift_remove("a");
    let (back, rest) = convert(&doc, &extra, &old);
    assert_eq!((body(back.as_object()), rest), (json!({}), Object::new()));
}

#[test]
fn what_a_client_set_meanwhile_wins() {
    let (old, new) = (base(json!([string("a")])), base(json!([typed("a", "integer")])));
    let (mut doc, extra) = converted(&old, &new, json!({"a": "x"}));
    assert_eq!(extra, object(json!({"a": "x"})));
    doc.insert("a".into(), json!(5));
    let (same, rest) = convert(&doc, &extra, &new);
    assert_eq!(body(same.as_object()), json!({"a": 5}));
    assert_eq!(rest, extra, "what does not fit waits");
}

#[test]
fn values_that_clients_sent_before_there_was_a_schema_are_taken_up() {
    let more = json!([string("badge"), complex("desk", json!([string("floor")])), string("a")]);
    let new = thing(&json!([string("a"), complex("b", json!([string("x")]))]), &more);
    let doc = object(json!({"schemas": [THING], "id": "id1"}));
    for (extra, expected, rest) in [
        (json!({"A": "1"}), json!({"a": "1"}), json!({})),
        (json!({THING.to_uppercase() + ":a": "1"}), json!({"a": "1"}), json!({})),
        (json!({"b.X": "1"}), json!({"b": {"x": "1"}}), json!({})),
        (json!({"b": {"x": "1"}, "b.x": "2"}), json!({"b": {"x": "1"}}), json!({})),
        (json!({MORE: {"badge": "7"}}), json!({MORE: {"badge": "7"}}), json!({})),
        (
            json!({MORE.to_uppercase(): {"BADGE": "7", "hat": 1}}),
            json!({MORE: {"badge": "7"}}),
            json!({format!("{MORE}:hat"): 1}),
        ),
        (json!({format!("{MORE}:badge"): "7"}), json!({MORE: {"badge": "7"}}), json!({})),
        (
            json!({format!("{MORE}:desk.floor"): "7"}),
            json!({MORE: {"desk": {"floor": "7"}}}),
            json!({}),
        ),
        // Without the URI it is no attribute of the extension.
        (json!({"badge": "7"}), json!({}), json!({"badge": "7"})),
        (json!({MORE: 7}), json!({}), json!({MORE: 7})),
        (json!({"a": 7}), json!({}), json!({"a": 7})),
        (json!({"b[x eq 1]": 7, "ä b": 8}), json!({}), json!({"b[x eq 1]": 7, "ä b": 8})),
    ] {
        let (found, left) = convert(&doc, &object(extra.clone()), &new);
        assert_eq!((body(found.as_object()), left), (expected, object(rest)), "{extra}");
        let uris = found.as_object()["schemas"].as_array().unwrap().len();
        let extended = found.as_object().contains_key(MORE);
        assert_eq!(uris, 1 + usize::from(extended), "{extra}");
    }
}

#[test]
fn extension_goes_as_a_whole_and_comes_back() {
    let with = thing(&json!([string("a")]), &json!([string("badge")]));
    let without = base(json!([string("a")]));
    let sent = json!({"a": "1", MORE: {"badge": "7"}});
    let (doc, extra) = converted(&with, &without, sent.clone());
    assert_eq!(doc["schemas"], json!([THING]));
    assert_eq!(extra, object(json!({MORE: {"badge": "7"}})));
    let (back, rest) = convert(&doc, &extra, &with);
    assert_eq!((body(back.as_object()), rest), (sent, Object::new()));
}

#[test]
fn read_only_values_are_not_taken_up() {
    let sent = json!({"a": "1"});
    let new = json!([{"name": "a", "mutability": "readOnly"}]);
    moves(json!([string("a")]), new, sent.clone(), json!({}), sent);
}

#[test]
fn resource_that_lacks_what_is_required_stays_readable() {
    let new = json!([{"name": "a"}, {"name": "b", "required": true}]);
    moves(json!([string("a")]), new, json!({"a": "1"}), json!({"a": "1"}), json!({}));
}

#[test]
fn built_in_resources_stay_as_they_are() {
    let registry = Registry::builtin();
    let sent = json!({
        "userName": "Ada", "externalId": "E", "active": false, "title": "",
        "emails": [{"value": "a@x", "type": "work", "primary": true}],
        urn::ENTERPRISE_USER: {"manager": {"value": "m"}, "employeeNumber": "7"},
    });
    let stored = document(sent, registry.user());
    let extra = object(json!({"shoeSize": 38, "emails[type eq \"x\"]": 1}));
    let (same, rest) = convert(stored.as_object(), &extra, registry.user());
    assert_eq!(same.to_json(), stored.to_json());
    assert_eq!(rest, extra);
}

/// Decisions drawn one after the other; when they run out, the first one for ever.
struct Choices(std::vec::IntoIter<u8>);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % n
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn attributes(&mut self, names: &[&str], depth: usize) -> Value {
        let mut made = Vec::new();
        for name in names {
            if self.below(3) == 0 && !(made.is_empty() && *name == names[names.len() - 1]) {
                continue;
            }
            let types = ["string", "integer", "decimal", "boolean", "dateTime", "complex"];
            let data_type = self.one(&types[..6 - depth]);
            let mut attribute = json!({
                "name": name, "type": data_type, "multiValued": self.below(2) == 1,
            });
            if data_type == "complex" {
                attribute["subAttributes"] = self.attributes(&["value", "type", "x"], 1);
            }
            made.push(attribute);
        }
        made.into()
    }

    fn value(&mut self, attribute: &Value) -> Value {
        if attribute["multiValued"] == true {
            let n = 1 + self.below(3);
            return (0..n).map(|_| self.single(attribute)).collect();
        }
        self.single(attribute)
    }

    fn single(&mut self, attribute: &Value) -> Value {
        match attribute["type"].as_str().unwrap() {
            "string" => json!(self.one(&["a", "b", "2021-06-25T19:07:33Z"])),
            "integer" => json!(self.below(3)),
            "decimal" => self.one(&[json!(1.5), json!(2)]),
            "boolean" => json!(self.below(2) == 1),
            "dateTime" => json!(self.one(&["2021-06-25T19:07:33Z", "1999-01-01T00:00:00Z"])),
            _ => self.members(&attribute["subAttributes"]),
        }
    }

    fn members(&mut self, attributes: &Value) -> Value {
        let mut members = Object::new();
        for attribute in attributes.as_array().unwrap() {
            if self.below(4) > 0 {
                let name = attribute["name"].as_str().unwrap().to_owned();
                members.insert(name, self.value(attribute));
            }
        }
        members.into()
    }

    fn thing(&mut self) -> (ResourceType, Value, Value) {
        let attributes = self.attributes(&["a", "b", "c"], 0);
        let more = if self.below(3) == 0 { json!([]) } else { self.attributes(&["a", "d"], 0) };
        (thing(&attributes, &more), attributes, more)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever a type becomes, nothing is lost on the way there and back, and converting again
    /// changes nothing: a change that was interrupted is simply begun anew.
    #[test]
    fn there_and_back_is_the_same(choices in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut choices = Choices(choices.into_iter());
        let (old, attributes, more) = choices.thing();
        let (new, ..) = choices.thing();
        let mut sent = choices.members(&attributes);
        if more.as_array().is_some_and(|more| !more.is_empty()) {
            sent[MORE] = choices.members(&more);
        }
        let stored = document(sent, &old);

        let (same, none) = convert(stored.as_object(), &Object::new(), &old);
        prop_assert_eq!((same.to_json(), none), (stored.to_json(), Object::new()));

        let (there, extra) = convert(stored.as_object(), &Object::new(), &new);
        let (again, still) = convert(there.as_object(), &extra, &new);
        prop_assert_eq!((again.to_json(), &still), (there.to_json(), &extra));

        let (back, rest) = convert(there.as_object(), &extra, &old);
        prop_assert_eq!((back.to_json(), rest), (stored.to_json(), Object::new()));
    }
}
