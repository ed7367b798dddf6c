//! What a server answered, and the sentences about it that checks are made of.

use serde_json::{Value, json};

use crate::http;
use crate::matching::{brief, cut, differences, pointer};
use crate::rows::{Check, Finding};
use crate::scim::ERROR;

/// An answer. `json` is null when the body is none or no JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and path, for the report.
    pub request: String,
    pub status: u16,
    /// In the order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub json: Value,
}

/// A statement that must be true.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Finding::Failed(otherwise())) }
}

impl Answer {
    pub(crate) fn new(request: String, answer: http::Answer) -> Self {
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Self { request, status: answer.status, headers: answer.headers, text, json }
    }

    /// A failure that shows the request and the answer with it.
    pub fn failed(&self, what: &str) -> Finding {
        Finding::Failed(format!("{}: {what}; {}: {}", self.request, self.status, cut(&self.text)))
    }

    /// A statement about this answer that must be true.
    pub fn expect_that(&self, holds: bool, what: &str) -> Result<&Self, Finding> {
        if holds { Ok(self) } else { Err(self.failed(what)) }
    }

    pub fn expect(self, status: u16) -> Result<Self, Finding> {
        self.expect_status(&[status])
    }

    /// Any of these codes.
    pub fn expect_status(self, statuses: &[u16]) -> Result<Self, Finding> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let wanted: Vec<_> = statuses.iter().map(u16::to_string).collect();
        Err(self.failed(&format!("expected {}", wanted.join(" or "))))
    }

    /// A SCIM error with this code and word: the URI, `status` as a string, a `detail` for people,
    /// and the media type.
    pub fn expect_error(self, status: u16, scim_type: Option<&str>) -> Result<Self, Finding> {
        let answer = self.expect(status)?;
        answer.expect_at("/schemas", &json!([ERROR]))?;
        answer.expect_at("/status", &json!(status.to_string()))?;
        match scim_type {
            Some(word) => answer.expect_at("/scimType", &json!(word))?,
            None => answer.expect_absent("/scimType")?,
        };
        let detail = answer.text_at("/detail")?.trim();
        answer.expect_that(!detail.is_empty(), "the detail is empty")?;
        answer.expect_scim_json()?;
        Ok(answer)
    }

    /// The media type `application/scim+json` (RFC 7644 §8.1), with or without parameters.
    pub fn expect_scim_json(&self) -> Result<&Self, Finding> {
        let found = self.expect_header("content-type")?;
        let essence = found.split(';').next().unwrap_or_default().trim();
        self.expect_that(
            essence.eq_ignore_ascii_case("application/scim+json"),
            &format!("Content-Type is `{found}`"),
        )
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    pub fn expect_header(&self, name: &str) -> Result<&str, Finding> {
        self.header(name).ok_or_else(|| self.failed(&format!("there is no `{name}` header")))
    }

    /// What the JSON pointer leads to.
    pub fn at(&self, place: &str) -> Result<&Value, Finding> {
        pointer(&self.json, place).ok_or_else(|| self.failed(&format!("`{place}` is absent")))
    }

    pub fn text_at(&self, place: &str) -> Result<&str, Finding> {
        let found = self.at(place)?;
        found
            .as_str()
            .ok_or_else(|| self.failed(&format!("`{place}` is {}, no text", brief(found))))
    }

    pub fn array_at(&self, place: &str) -> Result<&[Value], Finding> {
        let found = self.at(place)?;
        let items = found.as_array().map(Vec::as_slice);
        items.ok_or_else(|| self.failed(&format!("`{place}` is {}, no array", brief(found))))
    }

    /// Equal in type and value.
    pub fn expect_at(&self, place: &str, expected: &Value) -> Result<&Self, Finding> {
        let found = self.at(place)?;
        self.expect_that(
            found == expected,
            &format!("`{place}` is {}, expected {}", brief(found), brief(expected)),
        )
    }

    /// The pointer leads nowhere, or to `null` or `[]`, which are the same state (RFC 7643 §2.5).
    pub fn expect_unassigned(&self, place: &str) -> Result<&Self, Finding> {
        match pointer(&self.json, place) {
            None | Some(Value::Null) => Ok(self),
            Some(Value::Array(items)) if items.is_empty() => Ok(self),
            Some(found) => Err(self.failed(&format!("`{place}` is {}", brief(found)))),
        }
    }

    /// The pointer leads nowhere.
    pub fn expect_absent(&self, place: &str) -> Result<&Self, Finding> {
        match pointer(&self.json, place) {
            None => Ok(self),
            Some(found) => {
                Err(self.failed(&format!("`{place}` must be absent, is {}", brief(found))))
            }
        }
    }

    /// The body contains this document: see [`differences`].
    pub fn expect_contains(&self, expected: &Value) -> Result<&Self, Finding> {
        let differences = differences(expected, &self.json);
        self.expect_that(differences.is_empty(), &differences.join(", "))
    }

    /// The text stands nowhere in the answer, headers included.
    pub fn expect_nowhere(&self, secret: &str) -> Result<&Self, Finding> {
        let hidden = !self.text.contains(secret)
            && self.headers.iter().all(|(_, value)| !value.contains(secret));
        self.expect_that(hidden, &format!("`{secret}` is in the answer"))
    }

    pub fn id(&self) -> Result<&str, Finding> {
        self.text_at("/id")
    }

    pub fn etag(&self) -> Result<&str, Finding> {
        self.expect_header("etag")
    }

    /// `totalResults` of a list.
    pub fn total(&self) -> Result<u64, Finding> {
        let total = self.at("/totalResults")?;
        total.as_u64().ok_or_else(|| self.failed("`totalResults` is no number"))
    }

    /// The resources of a list; none when the member is absent.
    pub fn resources(&self) -> Result<&[Value], Finding> {
        match self.json.get("Resources") {
            None => Ok(&[]),
            Some(_) => self.array_at("/Resources"),
        }
    }

    /// The ids of a list, in its order.
    pub fn ids(&self) -> Result<Vec<String>, Finding> {
        self.texts("/id")
    }

    /// What the pointer leads to in each resource of a list, in its order.
    pub fn texts(&self, place: &str) -> Result<Vec<String>, Finding> {
        let mut texts = Vec::new();
        for resource in self.resources()? {
            let found = pointer(resource, place).and_then(Value::as_str);
            let missing = || self.failed(&format!("a resource has no text at `{place}`"));
            texts.push(found.ok_or_else(missing)?.to_owned());
        }
        Ok(texts)
    }

    /// A list of exactly these resources, in this order.
    pub fn expect_ids(&self, expected: &[&str]) -> Result<&Self, Finding> {
        self.expect_order("/id", expected)
    }

    /// A list of exactly these resources, in any order.
    pub fn expect_set(&self, expected: &[&str]) -> Result<&Self, Finding> {
        self.expect_found("/id", expected)
    }

    /// The object there has exactly these members, in any order.
    pub fn expect_members(&self, place: &str, expected: &[&str]) -> Result<&Self, Finding> {
        let found = self.at(place)?;
        let members = found.as_object().map(|members| members.keys().map(String::as_str));
        let mut members: Vec<_> = members.into_iter().flatten().collect();
        members.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        self.expect_that(
            found.is_object() && members == expected,
            &format!("`{place}` has the members {members:?}, expected {expected:?}"),
        )
    }

    /// Both answers show the same document.
    pub fn expect_same(&self, other: &Value) -> Result<&Self, Finding> {
        self.expect_that(self.json == *other, &format!("expected {}", brief(other)))
    }

    /// The resources of a list have these texts there, in this order.
    pub fn expect_order(&self, place: &str, expected: &[&str]) -> Result<&Self, Finding> {
        let found = self.texts(place)?;
        self.expect_that(found == expected, &format!("found {found:?}, expected {expected:?}"))
    }

    /// The resources of a list have these texts there, in any order.
    pub fn expect_found(&self, place: &str, expected: &[&str]) -> Result<&Self, Finding> {
        let mut found = self.texts(place)?;
        found.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        self.expect_that(found == expected, &format!("found {found:?}, expected {expected:?}"))
    }

    /// A SCIM error 400 with any of these words, where more than one fits.
    pub fn expect_bad_request(self, words: &[&str]) -> Result<Self, Finding> {
        let word = self.text_at("/scimType").ok().filter(|found| words.contains(found));
        let word = word.map(str::to_owned);
        if self.status == 400 && word.is_none() {
            return Err(self.failed(&format!("scimType must be {}", words.join(" or "))));
        }
        self.expect_error(400, word.as_deref())
    }
}
