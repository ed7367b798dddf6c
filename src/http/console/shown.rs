//! What the management API answers, as templates read it: pages show nothing else.

use serde_json::Value;

/// A value of an answer. Paths are names with dots between, the empty one is the value itself; what is not
/// there is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'v>(pub(super) &'v Value);

impl<'v> Shown<'v> {
    pub(super) fn at(self, path: &str) -> Self {
        let step = |value: &'v Value, name: &str| value.get(name).unwrap_or(&Value::Null);
        Self(path.split('.').filter(|name| !name.is_empty()).fold(self.0, step))
    }

    /// A text; empty for everything else.
    pub(super) fn text(self, path: &str) -> &'v str {
        self.at(path).0.as_str().unwrap_or_default()
    }

    pub(super) fn number(self, path: &str) -> i64 {
        self.at(path).0.as_i64().unwrap_or_default()
    }

    /// True where the value is `true`.
    pub(super) fn is(self, path: &str) -> bool {
        self.at(path).0 == &Value::Bool(true)
    }

    /// Whether there is something: not null, no empty text, list or object.
    pub(super) fn has(self, path: &str) -> bool {
        match self.at(path).0 {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(elements) => !elements.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        }
    }

    pub(super) fn list(self, path: &str) -> impl Iterator<Item = Self> {
        self.at(path).0.as_array().into_iter().flatten().map(Shown)
    }

    pub(super) fn members(self, path: &str) -> impl Iterator<Item = (&'v String, Self)> {
        let members = self.at(path).0.as_object().into_iter().flatten();
        members.map(|(name, value)| (name, Shown(value)))
    }

    /// A text as it is, anything else as JSON on one line.
    pub(super) fn plain(self, path: &str) -> String {
        match self.at(path).0 {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// JSON on several lines; a text as it is.
    pub(super) fn pretty(self, path: &str) -> String {
        match self.at(path).0 {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_is_empty() {
        let value = json!({"a": {"b": "c", "n": 7, "list": [1], "none": []}, "yes": true});
        let shown = Shown(&value);
        assert_eq!((shown.text("a.b"), shown.number("a.n"), shown.is("yes")), ("c", 7, true));
        assert_eq!((shown.text("a.x.y"), shown.number("a.b"), shown.is("a")), ("", 0, false));
        assert!(shown.has("a.list") && !shown.has("a.none") && !shown.has("x"));
        assert_eq!(shown.list("a.list").count(), 1);
        assert_eq!((shown.plain("a.b"), shown.plain("a.list")), ("c".into(), "[1]".into()));
        assert_eq!(shown.pretty("a.list"), "[\n  1\n]");
    }
}
