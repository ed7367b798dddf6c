//! Paging by index (RFC 7644 §3.4.2.4).

use serde_json::{Value, json};

use super::query::most_results;
use super::{Check, Finding, Row};
use crate::answer::{Answer, ensure};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "P1",
        "SHALL",
        "RFC 7644 §3.4.2.4",
        "rfc_p1_start_index",
        "`startIndex` is 1-based, default 1; <1 counts as 1",
        p1,
    ),
    Row::new(
        "P2",
        "MUST NOT",
        "RFC 7644 §3.4.2.4",
        "rfc_p2_never_more_than_count",
        "Never more than `count` results",
        p2,
    ),
    Row::new(
        "P3",
        "SHALL",
        "RFC 7644 §3.4.2.4",
        "rfc_p3_count_zero_and_below",
        "Negative `count` counts as 0; `count=0` gives no resources but the right totalResults",
        p3,
    ),
    Row::new(
        "P4",
        "SHALL",
        "RFC 7644 §3.4.2.4",
        "rfc_p4_total_results_on_every_page",
        "`totalResults` is the whole match count on every page",
        p4,
    ),
    Row::new(
        "P5",
        "—",
        "RFC 7644 §3.4.2.4",
        "rfc_p5_beyond_the_end_and_not_a_number",
        "startIndex beyond the end: 200 and an empty page; non-numeric values: 400 invalidValue",
        p5,
    ),
    Row::new(
        "P6",
        "MUST",
        "RFC 7643 §5",
        "rfc_p6_max_results_bounds_the_page",
        "`filter.maxResults` bounds the page when no count is given",
        p6,
    ),
];

/// The same page by GET of the endpoint, sorted and filtered, and by POST.
fn pages(s: &Subject, parameters: &[(&str, i64)]) -> Result<Vec<Answer>, Finding> {
    let texts: Vec<_> = parameters.iter().map(|(name, n)| (*name, n.to_string())).collect();
    let query: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let and = |more: &[(&'static str, &'static str)]| [more, &query[..]].concat();
    let search: Value = parameters.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect();
    [
        s.scim.query("/Users", &query)?,
        s.scim.query("/Users", &and(&[("sortBy", "userName")]))?,
        s.scim.query("/Users", &and(&[("filter", "userName pr")]))?,
        s.scim.query("/Users", &and(&[("filter", "not (emails.value co \"nothing\")")]))?,
        s.scim.query("", &and(&[("filter", "meta.resourceType eq \"User\"")]))?,
        s.scim.search("/Users", &search)?,
    ]
    .into_iter()
    .map(|answer| answer.expect(200))
    .collect()
}

fn p1(s: &Subject) -> Check {
    let ids = s.scim.create_users(5)?;
    let from = |n: usize| ids.iter().skip(n).map(String::as_str).collect::<Vec<_>>();
    for (parameters, first, skipped) in [
        (&[][..], 1, 0),
        (&[("startIndex", 1)], 1, 0),
        (&[("startIndex", 0)], 1, 0),
        (&[("startIndex", -5)], 1, 0),
        (&[("startIndex", 2)], 2, 1),
        (&[("startIndex", 5)], 5, 4),
    ] {
        for page in pages(s, parameters)? {
            page.expect_at("/startIndex", &json!(first))?;
            page.expect_set(&from(skipped))?;
        }
    }
    Ok(())
}

fn p2(s: &Subject) -> Check {
    s.scim.create_users(7)?;
    for count in 1..=9 {
        for start in [1, 4, 7] {
            let left = 7 - start + 1;
            for page in pages(s, &[("startIndex", start), ("count", count)])? {
                let found = i64::try_from(page.resources()?.len()).unwrap_or(i64::MAX);
                page.expect_that(found <= count, "that is more than count")?;
                page.expect_that(found == left.min(count), "the page is not full")?;
            }
        }
    }
    Ok(())
}

fn p3(s: &Subject) -> Check {
    s.scim.create_users(3)?;
    for parameters in [
        &[("count", 0)][..],
        &[("count", -1)],
        &[("count", -1_000_000)],
        &[("count", 0), ("startIndex", 2)],
    ] {
        for page in pages(s, parameters)? {
            page.expect_at("/totalResults", &json!(3))?;
            page.expect_at("/itemsPerPage", &json!(0))?;
            page.expect_ids(&[])?;
        }
    }
    let filter = "userName ne \"user00002@example.com\"";
    let counted = s.scim.query("/Users", &[("count", "0"), ("filter", filter)])?.expect(200)?;
    counted.expect_at("/totalResults", &json!(2))?;
    Ok(())
}

/// Every page says how many there are, and together the pages are the whole list, in an order that
/// what comes and goes in between does not disturb.
fn p4(s: &Subject) -> Check {
    let ids = s.scim.create_users(10)?;
    for start in [1, 4, 7, 10, 13] {
        for page in pages(s, &[("startIndex", start), ("count", 3)])? {
            page.expect_at("/totalResults", &json!(10))?;
        }
    }
    let walk = || {
        let mut walked: Vec<Vec<String>> = Vec::new();
        for start in [1, 4, 7, 10] {
            for (n, page) in pages(s, &[("startIndex", start), ("count", 3)])?.iter().enumerate() {
                match walked.get_mut(n) {
                    Some(ids) => ids.extend(page.ids()?),
                    None => walked.push(page.ids()?),
                }
            }
        }
        Ok::<_, Finding>(walked)
    };
    let first = walk()?;
    for walked in &first {
        let mut sorted = walked.clone();
        sorted.sort_unstable();
        let mut expected = ids.clone();
        expected.sort_unstable();
        ensure(sorted == expected, || format!("page by page the list is {walked:?}"))?;
    }
    // A newcomer does not change the order of the others.
    let newcomer = s.scim.create_user("user99999@example.com")?;
    s.scim.apply(&newcomer.path, &json!([{"op": "add", "path": "title", "value": "x"}]))?;
    let one = ids.first().map(String::as_str).unwrap_or_default();
    let title = json!([{"op": "add", "path": "title", "value": "x"}]);
    s.scim.apply(&format!("/Users/{one}"), &title)?;
    let second = walk()?;
    for (before, after) in first.iter().zip(&second) {
        let after: Vec<_> = after.iter().filter(|id| **id != newcomer.id).collect();
        let same = after.iter().zip(before).all(|(now, then)| *now == then);
        ensure(same, || format!("the order was {before:?}, is {after:?}"))?;
    }
    let filtered = [("filter", "userName sw \"user0000\""), ("count", "2")];
    let filtered = s.scim.query("/Users", &filtered)?.expect(200)?;
    filtered.expect_at("/totalResults", &json!(9))?;
    Ok(())
}

fn p5(s: &Subject) -> Check {
    s.scim.create_users(3)?;
    for start in [4, 5, 1_000_000, i64::from(i32::MAX), i64::MAX] {
        for page in pages(s, &[("startIndex", start), ("count", 2)])? {
            page.expect_at("/totalResults", &json!(3))?;
            page.expect_at("/itemsPerPage", &json!(0))?;
            page.expect_ids(&[])?;
        }
    }
    for name in ["startIndex", "count"] {
        for value in ["x", "1.5", "1e1", "0x1", "1 2", "one", "-", "true"] {
            let answer = s.scim.query("/Users", &[(name, value)])?;
            answer.expect_error(400, Some("invalidValue"))?;
            let answer = s.scim.search("/Users", &json!({name: value}))?;
            answer.expect_bad_request(&["invalidValue", "invalidSyntax"])?;
        }
    }
    Ok(())
}

fn p6(s: &Subject) -> Check {
    let most = most_results(s)?;
    let total = most + 1;
    s.scim.create_users(total)?;
    let names = ("attributes", "userName");
    let count = (total + 10).to_string();
    for parameters in [
        &[names][..],
        &[names, ("sortBy", "userName")],
        &[names, ("filter", "userName pr")],
        // A count beyond the maximum counts as the maximum.
        &[names, ("count", &count)],
    ] {
        let page = s.scim.query("/Users", parameters)?.expect(200)?;
        let found = page.resources()?.len();
        page.expect_that(found <= most, "that is more than filter.maxResults")?;
        page.expect_that(found > 0, "there are resources to show")?;
        page.expect_at("/itemsPerPage", &json!(found))?;
        page.expect_at("/totalResults", &json!(total))?;
    }
    let full = s.scim.query("/Users", &[names, ("count", &count)])?.expect(200)?;
    full.expect_at("/itemsPerPage", &json!(most))?;
    Ok(())
}
