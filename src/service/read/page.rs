//! Pages of the read API: where one starts, in which order, and which cursors lead on.

use serde::Serialize;
use serde_json::Value;

use crate::service::error::AdminError;
use crate::store::{IdRange, StoreError, Walk};

/// Default and greatest length of a page.
const LIMITS: (i64, i64) = (10, 100);

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first, with the cursors the other way round: `before` leads to older rows.
    Normal,
    /// Newest first.
    Desc,
    /// Oldest first.
    Asc,
}

impl Order {
    fn parse(text: &str) -> Result<Self, AdminError> {
        match text {
            "normal" => Ok(Self::Normal),
            "desc" => Ok(Self::Desc),
            "asc" => Ok(Self::Asc),
            other => {
                let message = format!("it is \"{other}\"; allowed are normal, desc and asc.");
                Err(AdminError::invalid("order", message))
            }
        }
    }
}

/// Which way the wanted rows lie, as seen from the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// In the order in which they are shown.
    Onwards,
    /// Against it: they are shown the other way round than they are read.
    Back,
}

/// Which page of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub order: Order,
    /// Rows that are wanted, at most.
    pub limit: i64,
    cursor: Option<(Side, String)>,
}

/// What a query string says about the page; empty texts count as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageWords<'q> {
    pub limit: Option<&'q str>,
    pub order: Option<&'q str>,
    pub before: Option<&'q str>,
    pub after: Option<&'q str>,
}

impl PageRequest {
    /// Reads the parameters of a list whose order is `default` when none is named.
    pub fn parse(words: PageWords<'_>, default: Order) -> Result<Self, AdminError> {
        let given = |text: Option<&'_ str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        let limit = match given(words.limit) {
            None => LIMITS.0,
            Some(text) => {
                let number = text.parse().ok().filter(|n| (1..=LIMITS.1).contains(n));
                number.ok_or_else(|| {
                    let message = format!("it is \"{text}\"; allowed is 1 to {}.", LIMITS.1);
                    AdminError::invalid("limit", message)
                })?
            }
        };
        let order = given(words.order).map_or(Ok(default), |text| Order::parse(&text))?;
        let (onwards, back) = match order {
            Order::Desc | Order::Asc => (given(words.after), given(words.before)),
            Order::Normal => (given(words.before), given(words.after)),
        };
        let cursor = match (onwards, back) {
            (Some(_), Some(_)) => {
                let message = "send \"before\" or \"after\", not both.";
                return Err(AdminError::invalid("after", message));
            }
            (Some(id), None) => Some((Side::Onwards, id)),
            (None, Some(id)) => Some((Side::Back, id)),
            (None, None) => None,
        };
        Ok(Self { order, limit, cursor })
    }

    /// The id that the page lies beyond.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_ref().map(|(_, id)| id.as_str())
    }

    /// True when the rows are read in rising order.
    pub fn rises(&self) -> bool {
        let back = matches!(self.cursor, Some((Side::Back, _)));
        (self.order == Order::Asc) != back
    }

    /// The stretch to read: one row more than is wanted tells whether there is another page. A cursor
    /// that is no id of the list's objects is refused.
    pub(in crate::service) fn range(&self, prefix: &str) -> Result<IdRange, AdminError> {
        let is_id = |id: &str| {
            let rest = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
            rest.is_some_and(|rest| !rest.is_empty())
        };
        if let Some((side, id)) = self.cursor.as_ref().filter(|(_, id)| !is_id(id)) {
            let is_after = (*side == Side::Onwards) != (self.order == Order::Normal);
            let message =
                format!("\"{}\" is no id of this list: those begin with {prefix}_.", shown(id));
            return Err(AdminError::invalid(if is_after { "after" } else { "before" }, message));
        }
        let walk = if self.rises() { Walk::Up } else { Walk::Down };
        Ok(IdRange { walk, beyond: self.cursor().map(str::to_owned), limit: self.limit + 1 })
    }

    /// Makes the page of rows that were read with one row more than wanted.
    pub fn page<T>(&self, rows: Vec<T>, id: impl Fn(&T) -> &str) -> Page<T> {
        self.page_cut(rows, false, id)
    }

    /// The same for rows that may have been cut before they were as many as wanted: then there is
    /// another page, however few they are.
    pub(super) fn page_cut<T>(
        &self,
        mut rows: Vec<T>,
        is_cut: bool,
        id: impl Fn(&T) -> &str,
    ) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = is_cut || rows.len() > limit;
        rows.truncate(limit);
        let back = matches!(self.cursor, Some((Side::Back, _)));
        if back {
            rows.reverse();
        }
        // What lies on the other side of the cursor was seen by whoever has the cursor.
        let (earlier, later) = if back { (more, true) } else { (self.cursor.is_some(), more) };
        let first = rows.first().filter(|_| earlier).map(|row| id(row).to_owned());
        let last = rows.last().filter(|_| later).map(|row| id(row).to_owned());
        let (before, after) = match self.order {
            Order::Desc | Order::Asc => (first, last),
            Order::Normal => (last, first),
        };
        Page { object: "list", data: rows, list_metadata: Metadata { before, after } }
    }
}

/// How many rows are read at a time where not all of them are wanted.
const CHUNK: i64 = 500;

/// Reads on until the range has as many rows as it asks for, or none are left.
pub(in crate::service) fn collect<T>(
    range: &IdRange,
    mut read: impl FnMut(&IdRange) -> Result<Vec<T>, StoreError>,
    mut wanted: impl FnMut(&T) -> bool,
    id: impl Fn(&T) -> &str,
) -> Result<Vec<T>, StoreError> {
    let limit = usize::try_from(range.limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut next = range.clone();
    loop {
        let rows = read(&next)?;
        let last = rows.last().map(|row| id(row).to_owned());
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= next.limit;
        found.extend(rows.into_iter().filter(&mut wanted).take(limit - found.len()));
        if found.len() >= limit || !is_full {
            return Ok(found);
        }
        next = IdRange { beyond: last, limit: CHUNK, ..next };
    }
}

/// What a client sent, cut and without control characters, to be shown in a sentence.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// A list as the SDKs read it.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T = Value> {
    object: &'static str,
    pub data: Vec<T>,
    pub list_metadata: Metadata,
}

/// Cursors to the neighbouring pages; null where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    pub before: Option<String>,
    pub after: Option<String>,
}

impl<T> Page<T> {
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page {
            object: self.object,
            data: self.data.into_iter().map(show).collect(),
            list_metadata: self.list_metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten rows, read as a store reads them.
    fn read(request: &PageRequest) -> Page<String> {
        let range = request.range("x").expect("a range");
        let mut ids: Vec<String> = (0..10).map(|n| format!("x_{n}")).collect();
        match range.walk {
            Walk::Up => ids.retain(|id| range.beyond.as_ref().is_none_or(|beyond| id > beyond)),
            Walk::Down => {
                ids.retain(|id| range.beyond.as_ref().is_none_or(|beyond| id < beyond));
                ids.reverse();
            }
        }
        ids.truncate(usize::try_from(range.limit).expect("a length"));
        request.page(ids, |id| id)
    }

    fn words<'q>(order: &'q str, before: Option<&'q str>, after: Option<&'q str>) -> PageWords<'q> {
        PageWords { limit: Some("4"), order: Some(order), before, after }
    }

    #[test]
    fn cursors_lead_through_the_list_and_back() {
        let rows = [
            ("desc", None, None, "9876", None, Some("6")),
            ("desc", None, Some("6"), "5432", Some("5"), Some("2")),
            ("desc", None, Some("2"), "10", Some("1"), None),
            ("desc", Some("5"), None, "9876", None, Some("6")),
            ("desc", Some("1"), None, "5432", Some("5"), Some("2")),
            ("asc", None, None, "0123", None, Some("3")),
            ("asc", None, Some("7"), "89", Some("8"), None),
            ("asc", Some("4"), None, "0123", None, Some("3")),
            ("normal", None, None, "9876", Some("6"), None),
            ("normal", Some("6"), None, "5432", Some("2"), Some("5")),
            ("normal", Some("2"), None, "10", None, Some("1")),
            ("normal", None, Some("1"), "5432", Some("2"), Some("5")),
            ("normal", None, Some("5"), "9876", Some("6"), None),
        ];
        for (order, before, after, data, to_before, to_after) in rows {
            let id = |digit: Option<&str>| digit.map(|digit| format!("x_{digit}"));
            let (before, after) = (id(before), id(after));
            let words = words(order, before.as_deref(), after.as_deref());
            let request = PageRequest::parse(words, Order::Desc).expect("a request");
            let page = read(&request);
            let digits: String = page.data.iter().filter_map(|id| id.chars().last()).collect();
            assert_eq!(digits, data, "{words:?}");
            let expected = Metadata { before: id(to_before), after: id(to_after) };
            assert_eq!(page.list_metadata, expected, "{words:?}");
        }
    }

    #[test]
    fn what_no_page_can_have_is_named() {
        let parse = |words| PageRequest::parse(words, Order::Asc);
        for (words, field) in [
            (PageWords { limit: Some("0"), ..Default::default() }, "limit"),
            (PageWords { limit: Some("101"), ..Default::default() }, "limit"),
            (PageWords { limit: Some("ten"), ..Default::default() }, "limit"),
            (PageWords { order: Some("up"), ..Default::default() }, "order"),
            (words("asc", Some("x_1"), Some("x_2")), "after"),
        ] {
            let error = parse(words).expect_err("refused");
            assert_eq!((error.status, error.errors[0].0.as_str()), (422, field));
        }
        let request = parse(words("normal", Some("y_1"), None)).expect("a request");
        assert_eq!(request.range("x").expect_err("refused").errors[0].0, "before");
        let empty = PageWords { limit: Some(""), order: Some(""), ..Default::default() };
        let request = parse(empty).expect("a request");
        assert_eq!((request.limit, request.order), (10, Order::Asc));
    }

    #[test]
    fn an_empty_page_leads_nowhere() {
        let request = PageRequest::parse(words("desc", None, Some("x_0")), Order::Desc);
        let page = request.expect("a request").page(Vec::<String>::new(), |id| id);
        assert_eq!(page.list_metadata, Metadata::default());
    }
}
