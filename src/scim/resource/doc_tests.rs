//! What a PUT leaves alone.

use serde_json::{Value, json};

use super::{changed_immutable, keep_unseen};
use crate::scim::resource::fixture::{RACK, device, object};

/// The stored document of a device with a value everywhere.
fn stored() -> Value {
    json!({
        "name": "d", "serial": "s", "note": "n", "pin": "1",
        "shelf": {"row": "r", "place": "p", "seal": "x"},
        "ports": [
            {"value": "a", "type": "t", "speed": 1, "code": "c1"},
            {"value": "a", "speed": 2, "code": "c2"},
            {"type": "u", "code": "c3"},
        ],
        "vault": {"door": "o", "code": "c"},
        "origin": {"site": "s", "line": "l"},
        RACK: {"unit": 1, "owner": "o"},
    })
}

#[test]
fn unseen_and_immutable_values_stay_when_they_are_left_out() {
    let kept = json!({
        "serial": "s", "note": "n", "pin": "1", "origin": {"site": "s", "line": "l"},
        RACK: {"owner": "o"},
    });
    let ports = |elements: Value| json!({"ports": elements});
    for (sent, expected) in [
        (json!({}), json!({})),
        (json!({"note": "m", "pin": "2"}), json!({"note": "m", "pin": "2"})),
        (json!({"shelf": {"row": "q"}}), json!({"shelf": {"row": "q", "seal": "x"}})),
        (json!({"vault": {"door": "q"}}), json!({"vault": {"door": "q", "code": "c"}})),
        (json!({"vault": {"code": "d"}}), json!({"vault": {"code": "d"}})),
        // An element is known by value and type, or by all that was shown of it.
        (
            ports(json!([{"value": "a", "type": "t", "primary": true}])),
            ports(json!([
                {"value": "a", "type": "t", "primary": true, "speed": 1, "code": "c1"}
            ])),
        ),
        (
            ports(json!([{"value": "a", "speed": 9}, {"type": "u"}, {"value": "b", "type": "u"}])),
            ports(json!([
                {"value": "a", "speed": 9, "code": "c2"},
                {"type": "u", "code": "c3"},
                {"value": "b", "type": "u"},
            ])),
        ),
        (json!({RACK: {"unit": 2}}), json!({RACK: {"unit": 2, "owner": "o"}})),
    ] {
        let mut new = object(sent.clone());
        keep_unseen(&mut new, &object(stored()), &device());
        let mut all = object(kept.clone());
        all.extend(object(expected));
        assert_eq!(Value::Object(new), Value::Object(all), "{sent}");
    }
}

#[test]
fn complex_value_that_no_answer_shows_stays() {
    let old = object(json!({
        "name": "d", "vault": {"code": "c"}, "ports": [{"code": "1"}, {"speed": 2}],
    }));
    let mut new = object(json!({"name": "e"}));
    keep_unseen(&mut new, &old, &device());
    let expected = json!({
        "name": "e", "vault": {"code": "c"}, "ports": [{"code": "1"}, {"speed": 2}],
    });
    assert_eq!(Value::Object(new), expected);
}

#[test]
fn immutable_values_that_change_are_found() {
    let owner = format!("{RACK}:owner");
    for (sent, path) in [
        (json!({}), None),
        (json!({"serial": "s", "shelf": {"seal": "x"}, RACK: {"owner": "o"}}), None),
        (json!({"serial": "t"}), Some("serial")),
        (json!({"origin": {"line": "l", "site": "s"}}), None),
        (json!({"origin": {"line": "l"}}), Some("origin")),
        (json!({"shelf": {"row": "q", "seal": "y"}}), Some("shelf.seal")),
        (json!({"shelf": {"row": "q"}}), None),
        (json!({RACK: {"owner": "p"}}), Some(owner.as_str())),
        (json!({RACK: {"unit": 2}}), None),
        (json!({"ports": [{"value": "z"}], "name": "e"}), None),
    ] {
        let found = changed_immutable(&object(stored()), &object(sent.clone()), &device());
        assert_eq!(found.as_deref(), path, "{sent}");
    }
    let fresh = object(json!({"name": "d"}));
    assert_eq!(changed_immutable(&fresh, &object(stored()), &device()), None);
}
