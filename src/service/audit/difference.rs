//! What an audit row keeps of how things were before and after: what differs, without secrets, bounded.

use serde_json::{Value, json};

/// Members that say when something was last touched: they differ always and tell nothing.
const TOUCHED: [&str; 3] = ["updated_at", "last_used_at", "last_request_at"];

/// Largest value of one member, and largest object, in bytes of JSON.
const LARGEST: (usize, usize) = (8 * 1024, 32 * 1024);

/// Leaves in both what differs. Where there is nothing on one side, the other one stays whole.
pub(super) fn reduce(before: &mut Value, after: &mut Value) {
    if before.is_object() && after.is_object() {
        differing(before, after);
    }
    for side in [before, after] {
        clean(side);
        bound(side);
    }
}

fn differing(before: &mut Value, after: &mut Value) {
    let (Some(old), Some(new)) = (before.as_object_mut(), after.as_object_mut()) else { return };
    let names: Vec<String> = old.keys().filter(|name| new.contains_key(*name)).cloned().collect();
    for name in names {
        let (Some(left), Some(right)) = (old.get_mut(&name), new.get_mut(&name)) else { continue };
        if left == right {
            old.shift_remove(&name);
            new.shift_remove(&name);
        } else {
            differing(left, right);
        }
    }
}

/// Takes secrets out, wherever they stand. Views have none but where they are made; this is the second
/// door.
fn clean(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !TOUCHED.contains(&name.as_str()));
            for (name, member) in members {
                match is_secret(name) && member.is_string() {
                    true => *member = json!("********"),
                    false => clean(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(clean),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    name.ends_with("secret") || name.ends_with("password") || ["hash", "token"].contains(&name)
}

/// Puts the number of bytes in the place of what is too large.
fn bound(value: &mut Value) {
    let bytes = |value: &Value| value.to_string().len();
    if let Some(members) = value.as_object_mut() {
        for member in members.values_mut() {
            let size = bytes(member);
            if size > LARGEST.0 {
                *member = json!({"bytes": size});
            }
        }
    }
    let size = bytes(value);
    if size > LARGEST.1 {
        *value = json!({"bytes": size});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_stays() {
        let mut before = json!({
            "name": "Sales", "updated_at": "1",
            "settings": {"brake": {"mode": "off"}, "delete": "keep"},
        });
        let mut after = json!({
            "name": "Sales", "updated_at": "2",
            "settings": {"brake": {"mode": "hold"}, "delete": "keep", "filter": "true"},
        });
        reduce(&mut before, &mut after);
        assert_eq!(before, json!({"settings": {"brake": {"mode": "off"}}}));
        assert_eq!(after, json!({"settings": {"brake": {"mode": "hold"}, "filter": "true"}}));
    }

    #[test]
    fn what_is_made_stays_whole_without_its_secret() {
        let mut before = Value::Null;
        let mut after = json!({"id": "a", "secret": "sk_1", "deep": [{"bind_password": "x"}]});
        reduce(&mut before, &mut after);
        assert_eq!(before, Value::Null);
        let masked =
            json!({"id": "a", "secret": "********", "deep": [{"bind_password": "********"}]});
        assert_eq!(after, masked);
    }

    #[test]
    fn what_is_large_leaves_its_size() {
        let (mut before, mut after) = (json!({"a": "x".repeat(9_000), "b": 1}), Value::Null);
        reduce(&mut before, &mut after);
        assert_eq!(before, json!({"a": {"bytes": 9_002}, "b": 1}));
        let many: serde_json::Map<String, Value> =
            (0..9).map(|n| (n.to_string(), json!("x".repeat(5_000)))).collect();
        let mut before = Value::Object(many);
        reduce(&mut before, &mut after);
        // Nine members of 5,000 letters: {"0":"…",…}.
        assert_eq!(before["bytes"], 9 * (4 + 5_002) + 8 + 2);
    }
}
