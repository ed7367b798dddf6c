use std::cell::Cell;

use proptest::prelude::*;
use serde_json::json;

use super::super::attributes::{AttributeMap, AttributeRule, Fault};
use super::*;

thread_local! {
    /// The machine has no thread for whoever asks from this one.
    pub static NO_THREADS: Cell<bool> = const { Cell::new(false) };
}

fn ada() -> Object {
    let raw = json!({
        "userName": "ada@example.com",
        "active": true,
        "title": "Engineer",
        "score": 1.5,
        "name": {"givenName": "Ada", "familyName": "Lane"},
        "emails": [
            {"value": "ada@example.com", "type": "work", "primary": true},
            {"value": "ada@example.org", "type": "home"},
        ],
        "nothing": null,
        (urn::ENTERPRISE_USER): {"department": "R&D", "manager": {"value": "m1"}},
        (format!("{}:badge", urn::ENTERPRISE_USER)): 7,
    });
    raw.as_object().expect("an object").clone()
}

fn evaluated(source: &str, raw: &Object) -> Outcome {
    let expression = compiled(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    on_large_stack(|| Input::new(raw).evaluate(&expression)).expect("it is evaluated")
}

fn compiled(source: &str) -> Result<Expression, String> {
    on_large_stack(|| Expression::compile(source)).expect("it is looked at")
}

#[test]
fn expressions_have_values() {
    for (source, expected) in [
        ("raw.title", json!("Engineer")),
        ("raw.title.lowerAscii()", json!("engineer")),
        ("raw.name.givenName + ' ' + raw.name.familyName", json!("Ada Lane")),
        (
            "raw[\"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\"].department",
            json!("R&D"),
        ),
        ("enterprise.department == 'R&D'", json!(true)),
        ("enterprise.badge", json!(7)),
        ("enterprise.manager.value", json!("m1")),
        ("raw.userName.split('@')[1]", json!("example.com")),
        ("raw.userName.replace('@example.com', '')", json!("ada")),
        ("raw.userName.substring(0, raw.userName.indexOf('@'))", json!("ada")),
        ("raw.emails.map(e, e.value)", json!(["ada@example.com", "ada@example.org"])),
        ("raw.emails.filter(e, e.type == 'home')[0].value", json!("ada@example.org")),
        ("raw.emails.exists(e, e.value.endsWith('.org'))", json!(true)),
        ("raw.emails.all(e, has(e.primary))", json!(false)),
        ("raw.emails.map(e, e.value).join(';')", json!("ada@example.com;ada@example.org")),
        ("size(raw.emails) > 1 && raw.active ? 'many' : 'one'", json!("many")),
        ("raw.score * 2.0", json!(3.0)),
        ("{'t': raw.title, 'a': [1, raw.active]}", json!({"a": [1, true], "t": "Engineer"})),
        // A walk over a map is in the order of its keys.
        ("raw.name.map(part, part)", json!(["familyName", "givenName"])),
        ("has(raw.nowhere) ? raw.nowhere : 'none'", json!("none")),
    ] {
        assert_eq!(evaluated(source, &ada()), Outcome::Value(expected), "{source}");
    }
}

#[test]
fn what_a_user_lacks_is_absent() {
    for source in [
        "raw.nowhere",
        "raw.name.middleName",
        "raw.nothing",
        "raw.emails[9].value",
        "raw.emails.filter(e, e.type == 'other')[0].value",
        "enterprise.costCenter",
        "null",
    ] {
        assert_eq!(evaluated(source, &ada()), Outcome::Absent, "{source}");
    }
    assert_eq!(evaluated("enterprise.department", &Object::new()), Outcome::Absent);
}

#[test]
fn failures_are_explained_without_the_values() {
    for (source, expected) in [
        ("raw.title + 1", "\"+\" does not take string, int"),
        ("int(raw.title)", "\"int\" cannot use what it is given"),
        ("1 / (size(raw.emails) - 2)", "it divides by zero"),
        ("9223372036854775807 + size(raw.emails)", "a number becomes too large"),
        ("1.0 / 0.0", "its value is no finite number, which JSON does not have"),
        ("b'abc'", "its value is of the type bytes, which JSON does not have"),
        ("{1: 2}", "its value is a map with other keys than texts, which JSON does not have"),
    ] {
        assert_eq!(evaluated(source, &ada()), Outcome::Failed(expected.to_owned()), "{source}");
    }
    let mut raw = ada();
    raw.insert("title".to_owned(), "secret".repeat(2_000).into());
    for source in ["raw.title", "raw.title + raw.active", "raw.title < raw.emails", "raw.title[0]"]
    {
        let Outcome::Failed(message) = evaluated(source, &raw) else {
            panic!("{source} has a value")
        };
        assert!(!message.contains("secret") && !message.is_empty(), "{source}: {message}");
    }
}

#[test]
fn faults_are_told_when_an_expression_is_saved() {
    let long = "a".repeat(MAX_BYTES + 1);
    let deep = format!("{}raw.title{}", "(".repeat(200), ")".repeat(200));
    let many = vec!["1"; 600].join("+");
    let walks = "raw.a.exists(a, raw.b.exists(b, raw.c.exists(c, a == b && b == c)))";
    for (source, expected) in [
        ("", "it is empty"),
        (" ", "it is empty"),
        (long.as_str(), "it has 2049 bytes; at most 2048 are allowed"),
        ("raw.", "it is not CEL: "),
        ("raw.title ==", "it is not CEL: "),
        ("'open", "it is not CEL: "),
        (
            "user.title",
            "it uses \"user\", which is not there; it may use \"raw\" and \"enterprise\"",
        ),
        ("raw.emails.map(e, f)", "it uses \"f\""),
        ("raw.emails.exists(e, true) && e", "it uses \"e\""),
        ("@result", "it is not CEL: "),
        ("string", "it uses \"string\""),
        ("raw.title.matches('(a+)+$')", "it calls \"matches\", which is no function here"),
        ("now()", "it calls \"now\""),
        ("'%s'.format([raw])", "it calls \"format\""),
        ("raw.a.b.c()", "it calls \"c\""),
        ("raw.title.replace(raw.a, raw.b)", "\"replace\" takes texts of at most 32 characters"),
        ("raw.title.indexOf(raw.userName)", "\"indexOf\" takes texts"),
        ("raw.emails.join(raw.title)", "\"join\" takes texts"),
        ("Message{a: 1}", "it makes a message"),
        (deep.as_str(), "it "),
        (many.as_str(), "it"),
        (walks, "walks over lists are nested more than 2 deep"),
        ("raw.?title", "it is not CEL: "),
    ] {
        let error = compiled(source).err().unwrap_or_else(|| panic!("{source} is accepted"));
        assert!(error.starts_with(expected), "{source}: {error}");
    }
}

/// Expressions that grow or walk as far as they can end soon, and say so.
#[test]
fn cost_is_bounded() {
    let mut raw = ada();
    let letters = "a".repeat(60_000);
    raw.insert("long".to_owned(), letters.clone().into());
    raw.insert("also".to_owned(), letters.into());
    raw.insert("list".to_owned(), vec!["element"; 5_000].into());
    let doubled = (0..7).fold("raw.long".to_owned(), |inner, n| {
        format!("[{inner}].map(x{n}, x{n} + x{n} + x{n})[0]")
    });
    let grown = (0..6).fold("raw.long".to_owned(), |inner, _| {
        format!("{inner}.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')")
    });
    for source in [
        doubled.as_str(),
        grown.as_str(),
        "raw.list.map(a, raw.list.map(b, a + b))",
        "raw.list.exists(a, raw.list.exists(b, a == b + 'x'))",
        "raw.list.exists(a, raw.list.exists(b, a == b + 'x')) || true",
        "raw.list.map(a, raw)",
        "raw.list.filter(a, raw == raw)",
        "raw.list.map(a, a in raw.list)",
        "raw.list.map(a, raw.long.contains(raw.also))",
        "[raw, raw, raw, raw, raw, raw, raw, raw, raw, raw, raw, raw, raw, raw, raw] == []",
    ] {
        let outcome = evaluated(source, &raw);
        let expected = Outcome::Failed("it takes too many steps for this user".to_owned());
        assert_eq!(outcome, expected, "{source}");
    }
}

/// Functions that make much of little end before they have made it.
#[test]
fn what_is_made_is_bounded() {
    let mut raw = ada();
    raw.insert("blanks".to_owned(), " ".repeat(1_000_000).into());
    raw.insert("list".to_owned(), vec![""; 60_000].into());
    for source in [
        "raw.blanks.split(' ')[0]",
        "size(raw.blanks.split(''))",
        "size(raw.blanks.replace('', '01234567890123456789012345678901'))",
        "size(raw.blanks.replace(' ', '  '))",
        "size(raw.list.join('01234567890123456789012345678901'))",
    ] {
        let outcome = evaluated(source, &raw);
        let expected = Outcome::Failed("it takes too many steps for this user".to_owned());
        assert_eq!(outcome, expected, "{source}");
    }
    // What is large is not copied to find that out: it costs nothing, and all the others have their turn.
    let map = AttributeMap::checked(
        (0..100)
            .map(|n| {
                let source = if n == 99 { "raw.title" } else { "raw" };
                let rule = AttributeRule { expression: Some(source.to_owned()), required: false };
                (format!("a{n:02}"), rule)
            })
            .collect(),
    );
    let made = map.unwrap_or_else(|e| panic!("{e:?}")).attributes_of(&raw).expect("a thread");
    assert_eq!(Value::Object(made.values), json!({"a99": "Engineer"}));
    let large = Fault::Failed { message: "its value is larger than 8192 bytes".to_owned() };
    assert_eq!((made.faults.len(), &made.faults["a00"]), (99, &large));
    assert!(made.units < 1_000, "{} units", made.units);
}

/// A machine without a thread for an evaluation says nothing about the user, and the next try is as good
/// as the first.
#[test]
fn without_a_thread_nothing_has_failed() {
    let deep =
        (0..8).fold("raw.title".to_owned(), |inner, n| format!("[{inner}].map(x{n}, x{n})[0]"));
    let rule = AttributeRule { expression: Some(deep), required: true };
    let text = json!({"title": rule}).to_string();
    let map = AttributeMap::stored(Some(&text)).expect("a map");
    let in_vain = || {
        NO_THREADS.set(true);
        let made = map.attributes_of(&ada());
        NO_THREADS.set(false);
        made.expect_err("there is no thread");
    };
    in_vain();
    let made = map.attributes_of(&ada()).expect("a thread");
    assert_eq!(Value::Object(made.values), json!({"title": "Engineer"}));
    // Now it is read, and wants a large stack for the evaluation.
    in_vain();
}

/// What one expression used up the next one does not have.
#[test]
fn all_expressions_of_a_user_share_a_budget() {
    let mut raw = ada();
    raw.insert("list".to_owned(), vec!["element"; 2_000].into());
    let walk = Expression::compile("size(raw.list.map(a, a))").expect("an expression");
    let mut input = Input::new(&raw);
    let values =
        (0..60).map(|_| input.evaluate(&walk)).filter(|o| *o == Outcome::Value(json!(2_000)));
    let done = values.count();
    assert!((5..60).contains(&done), "{done} of 60 had a value");
}

/// The deepest expression that is accepted, of the sort that takes most of the stack.
#[test]
fn deepest_expression_has_its_stack() {
    let nested = |depth: usize| {
        (0..depth).fold("raw.title".to_owned(), |inner, n| format!("[{inner}].map(x{n}, x{n})[0]"))
    };
    let deepest = (1..20).rev().find_map(|depth| compiled(&nested(depth)).ok());
    let deepest = deepest.expect("one of them is accepted");
    assert!(deepest.depth() > INLINE_DEPTH);
    let raw = ada();
    let value = on_large_stack(|| Input::new(&raw).evaluate(&deepest));
    assert_eq!(value, Ok(Outcome::Value(json!("Engineer"))));
}

#[test]
fn same_text_has_the_same_value_every_time() {
    let source = "raw.name.map(k, k).map(k, {k: k})";
    let first = evaluated(source, &ada());
    for _ in 0..20 {
        assert_eq!(evaluated(source, &ada()), first);
    }
}

/// Texts that look like expressions.
fn source() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("raw"),
        Just(".title"),
        Just(".emails"),
        Just("enterprise"),
        Just("["),
        Just("]"),
        Just("("),
        Just(")"),
        Just("{"),
        Just("}"),
        Just("'a'"),
        Just("\"b"),
        Just("1"),
        Just("1.5"),
        Just("+"),
        Just("-"),
        Just("*"),
        Just("/"),
        Just("%"),
        Just("=="),
        Just("<"),
        Just("&&"),
        Just("||"),
        Just("!"),
        Just("?"),
        Just(":"),
        Just(","),
        Just(" in "),
        Just(".map(x, x)"),
        Just(".exists(x, x == 1)"),
        Just(".filter("),
        Just("has("),
        Just("size("),
        Just("x"),
        Just(".split('a')"),
        Just("null"),
        Just("true"),
        Just("@cost"),
        Just("`a`"),
        Just("\\"),
        Just("b'\\xff'"),
        Just("é"),
        Just("0x"),
        Just("1e999"),
        Just("--"),
        Just(".0"),
        Just("0u"),
    ];
    prop_oneof![
        prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat()),
        "\\PC{0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Nothing that somebody saves makes the process end, and nothing that was saved makes a user fail.
    #[test]
    fn no_text_panics(source in source()) {
        if compiled(&source).is_ok() {
            let raw = ada();
            let first = evaluated(&source, &raw);
            prop_assert_eq!(evaluated(&source, &raw), first);
        }
    }
}
