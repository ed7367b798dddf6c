//! Queries: their parameters, from a query string or from a SearchRequest (RFC 7644 §3.4.2, §3.4.3),
//! with paging by index and by cursor (RFC 9865).

use std::borrow::Cow;

use serde_json::Value;

use super::message::{self, MissingSchemas};
use super::resource::validate::describe;
use super::{Object, ScimError, ScimType, urn};

/// Page size when a request names none, and the most that one answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    pub default: u32,
    pub max: u32,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { default: 100, max: 1_000 }
    }
}

/// What a negative `count` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegativeCount {
    /// 0 (RFC 7644 §3.4.2.4).
    Zero,
    /// The largest page.
    Max,
}

/// A query; names of attributes are not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    /// Names with commas between them.
    pub attributes: Option<String>,
    pub excluded_attributes: Option<String>,
    pub filter: Option<String>,
    pub sort_by: Option<String>,
    pub sort_order: SortOrder,
    pub window: Window,
}

/// Which part of the matches an answer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    Index(Page),
    /// Beyond a cursor; `None` asks for the first page (RFC 9865 §2).
    Cursor {
        cursor: Option<String>,
        count: u32,
    },
}

/// A page by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// 1-based.
    pub start_index: u64,
    pub count: u32,
}

/// What a parameter may be in a SearchRequest.
const PARAMETERS: [&str; 8] = [
    "attributes",
    "excludedAttributes",
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
];

impl SearchRequest {
    /// Reads parameters by their names in the spelling of the RFC.
    pub fn parse<'p>(
        get: impl Fn(&str) -> Option<Cow<'p, str>>,
        limits: PageLimits,
        negative: NegativeCount,
    ) -> Result<Self, ScimError> {
        let filled = |name: &str| get(name).filter(|text| !text.trim().is_empty());
        let owned = |name: &str| filled(name).map(Cow::into_owned);
        Ok(Self {
            attributes: owned("attributes"),
            excluded_attributes: owned("excludedAttributes"),
            filter: owned("filter"),
            sort_by: owned("sortBy"),
            sort_order: SortOrder::parse(filled("sortOrder").as_deref())?,
            window: match get("cursor") {
                None => Window::Index(Page::parse(
                    filled("startIndex").as_deref(),
                    filled("count").as_deref(),
                    limits,
                    negative,
                )?),
                Some(_) if filled("startIndex").is_some() => {
                    return Err(ScimError::invalid_value(
                        "The parameters \"startIndex\" and \"cursor\" exclude each other; send one \
                         of them.",
                    ));
                }
                Some(cursor) => Window::Cursor {
                    cursor: (!cursor.is_empty()).then(|| cursor.into_owned()),
                    count: cursor_count(filled("count").as_deref(), limits)?,
                },
            },
        })
    }

    /// Reads the body of a `/.search`. Members that the RFC does not know are passed over.
    pub fn from_body(
        body: &Object,
        limits: PageLimits,
        negative: NegativeCount,
        schemas: MissingSchemas,
    ) -> Result<Self, ScimError> {
        message::check(body, urn::SEARCH_REQUEST, schemas)?;
        let mut found: Vec<(&str, String)> = Vec::new();
        for (name, value) in body {
            let Some(known) = PARAMETERS.iter().find(|known| known.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            if let Some(text) = parameter(name, value)? {
                found.push((known, text));
            }
        }
        let get = |name: &str| {
            let found = found.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| Cow::Borrowed(text.as_str()))
        };
        Self::parse(get, limits, negative)
    }
}

/// A member of a SearchRequest as a query string would have it; `None` for null.
fn parameter(name: &str, value: &Value) -> Result<Option<String>, ScimError> {
    let is_list = name.to_ascii_lowercase().ends_with("attributes");
    let wrong = || {
        let allowed = if is_list { "a list of attribute names" } else { "text or a number" };
        ScimError::invalid_syntax(format!(
            "The member \"{name}\" of the search request must be {allowed}, but it is {}.",
            describe(value)
        ))
    };
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) if !is_list => Ok(Some(number.to_string())),
        Value::Array(names) if is_list => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            names.map(|names| Some(names.join(","))).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

impl Page {
    /// Reads `startIndex` and `count`: below 1 counts as 1, above the maximum as the maximum.
    pub fn parse(
        start_index: Option<&str>,
        count: Option<&str>,
        limits: PageLimits,
        negative: NegativeCount,
    ) -> Result<Self, ScimError> {
        let start_index = match integer("startIndex", start_index)? {
            Some(n) => u64::try_from(n.max(1)).unwrap_or(1),
            None => 1,
        };
        let count = match integer("count", count)? {
            Some(n) if n < 0 && negative == NegativeCount::Max => limits.max,
            Some(n) => u32::try_from(n.max(0)).unwrap_or(limits.max).min(limits.max),
            None => limits.default,
        };
        Ok(Self { start_index, count })
    }
}

/// RFC 9865 §2: a negative count is 0, one above the maximum is refused.
fn cursor_count(count: Option<&str>, limits: PageLimits) -> Result<u32, ScimError> {
    match integer("count", count)? {
        None => Ok(limits.default),
        Some(n) => match u32::try_from(n.max(0)) {
            Ok(n) if n <= limits.max => Ok(n),
            _ => Err(ScimError::bad_request(
                ScimType::InvalidCount,
                format!(
                    "The parameter \"count\" is {n}; with a cursor at most {} is allowed.",
                    limits.max
                ),
            )),
        },
    }
}

fn integer(name: &str, text: Option<&str>) -> Result<Option<i64>, ScimError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<i128>() {
        Ok(n) => {
            let clamped = n.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            Ok(i64::try_from(clamped).ok())
        }
        Err(_) => Err(ScimError::invalid_value(format!(
            "The parameter \"{name}\" must be a whole number, but it is \"{}\".",
            text.chars().take(40).collect::<String>()
        ))),
    }
}

/// `sortOrder` (RFC 7644 §3.4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    Ascending,
    Descending,
}

impl SortOrder {
    /// Ascending unless the request says otherwise.
    pub fn parse(text: Option<&str>) -> Result<Self, ScimError> {
        match text.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "ascending") => Ok(Self::Ascending),
            Some("descending") => Ok(Self::Descending),
            Some(other) => Err(ScimError::invalid_value(format!(
                "The parameter \"sortOrder\" must be \"ascending\" or \"descending\", but it is \"{}\".",
                other.chars().take(40).collect::<String>()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn page_reads_what_clients_send() {
        let read = |start, count, negative| {
            Page::parse(start, count, PageLimits::default(), negative)
                .map(|p| (p.start_index, p.count))
        };
        for (start, count, expected) in [
            (None, None, (1, 100)),
            (Some("0"), Some("-1"), (1, 0)),
            (Some("-5"), Some("0"), (1, 0)),
            (Some("7"), Some("99999999999999999999"), (7, 1_000)),
            (Some(""), Some(""), (1, 100)),
        ] {
            assert_eq!(read(start, count, NegativeCount::Zero), Ok(expected));
        }
        assert_eq!(read(None, Some("-1"), NegativeCount::Max), Ok((1, 1_000)));
        assert!(read(Some("x"), None, NegativeCount::Zero).is_err());
        assert!(read(None, Some("1.5"), NegativeCount::Zero).is_err());
    }

    fn search(body: Value) -> Result<SearchRequest, ScimError> {
        let Value::Object(mut body) = body else { panic!("an object") };
        body.insert("schemas".into(), json!([urn::SEARCH_REQUEST]));
        let limits = PageLimits::default();
        SearchRequest::from_body(&body, limits, NegativeCount::Max, MissingSchemas::Refuse)
    }

    #[test]
    fn cursor_windows() {
        for (body, cursor, count) in [
            (json!({"cursor": ""}), None, 100),
            (json!({"CURSOR": "abc", "count": 10}), Some("abc"), 10),
            (json!({"cursor": "", "count": -3}), None, 0),
            (json!({"cursor": "", "count": "1000"}), None, 1_000),
        ] {
            let expected = Window::Cursor { cursor: cursor.map(str::to_owned), count };
            assert_eq!(search(body).map(|search| search.window), Ok(expected));
        }
        let word = |body| search(body).expect_err("refused").scim_type;
        assert_eq!(word(json!({"cursor": "", "count": 1001})), Some(ScimType::InvalidCount));
        assert_eq!(word(json!({"cursor": "", "startIndex": 1})), Some(ScimType::InvalidValue));
    }

    #[test]
    fn search_body_is_a_query() {
        let found = search(json!({
            "attributes": ["userName", "name.givenName"],
            "filter": "active eq true",
            "sortBy": "userName",
            "sortOrder": "descending",
            "startIndex": 3,
            "count": 7,
            "domain": {"unknown": true}
        }));
        let expected = SearchRequest {
            attributes: Some("userName,name.givenName".into()),
            excluded_attributes: None,
            filter: Some("active eq true".into()),
            sort_by: Some("userName".into()),
            sort_order: SortOrder::Descending,
            window: Window::Index(Page { start_index: 3, count: 7 }),
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn search_body_of_another_kind_is_refused() {
        for body in [json!({"filter": true}), json!({"attributes": [1]}), json!({"count": [1]})] {
            assert_eq!(search(body).expect_err("refused").scim_type, Some(ScimType::InvalidSyntax));
        }
        let no_schemas = |missing| {
            let limits = PageLimits::default();
            SearchRequest::from_body(&Object::new(), limits, NegativeCount::Zero, missing)
        };
        assert!(no_schemas(MissingSchemas::Refuse).is_err());
        assert!(no_schemas(MissingSchemas::Accept).is_ok());
    }
}
