//! Calls of the management API, as commands make them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// What stands in a path or a query as it is: ids stay readable.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// A call of the management API.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), body: None }
    }

    /// `GET` with those parameters that have a value.
    pub(super) fn find(path: impl Into<String>, parameters: &[(&str, Option<String>)]) -> Self {
        let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let pairs = given.map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        Self::get(format!("{}{mark}{query}", path.into()))
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", path: path.into(), body: None }
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: "POST", path: path.into(), body: Some(body) }
    }

    pub(super) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: "PUT", path: path.into(), body: Some(body) }
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: "PATCH", path: path.into(), body: Some(body) }
    }
}

/// Which part of a list is wanted.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Page {
    /// 1 to 500
    #[arg(long)]
    limit: Option<i64>,
    /// Go on behind this id: list_metadata.after of the page before
    #[arg(long)]
    after: Option<String>,
}

impl Page {
    pub(super) fn parameters(self) -> [(&'static str, Option<String>); 2] {
        [("limit", self.limit.map(|limit| limit.to_string())), ("after", self.after)]
    }
}

/// A text as a part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A JSON object with those members that have a value.
pub(super) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}
