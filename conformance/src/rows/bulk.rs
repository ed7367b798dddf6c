//! Bulk operations (RFC 7644 §3.7).

mod limits;
mod references;
mod request;

use serde_json::{Value, json};

use super::{Finding, Row};
use crate::answer::Answer;
use crate::scim::{BULK_RESPONSE, ERROR, user};
use crate::subject::Subject;

/// The rows of this file's parts, in order.
pub(super) const PARTS: &[&[Row]] = &[request::ROWS, references::ROWS, limits::ROWS];

/// The creation of the smallest user; the `bulkId` is its name.
fn create_user(name: &str) -> Value {
    create("/Users", name, &user(name))
}

fn create(path: &str, bulk_id: &str, data: &Value) -> Value {
    json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": data})
}

/// Runs a bulk request that has to be processed: 200 and one result per operation that was.
fn process(s: &Subject, operations: &Value) -> Result<Answer, Finding> {
    process_with(s, &json!({}), operations)
}

fn process_with(s: &Subject, members: &Value, operations: &Value) -> Result<Answer, Finding> {
    let answer = s.scim.bulk(members, operations)?.expect(200)?;
    answer.expect_scim_json()?;
    answer.expect_at("/schemas", &json!([BULK_RESPONSE]))?;
    answer.array_at("/Operations")?;
    Ok(answer)
}

/// The statuses of the results, in order.
fn expect_statuses(answer: &Answer, expected: &[&str]) -> Result<(), Finding> {
    let results = answer.array_at("/Operations")?;
    let found: Vec<_> = results
        .iter()
        .map(|result| result.get("status").and_then(Value::as_str).unwrap_or("none"))
        .collect();
    answer
        .expect_that(found == expected, &format!("the statuses are {found:?}, not {expected:?}"))
        .map(drop)
}

/// The result of that operation is a failure with this code and, where one is named, this word.
fn expect_failure(
    answer: &Answer,
    number: usize,
    status: u16,
    word: Option<&str>,
) -> Result<(), Finding> {
    let place = format!("/Operations/{number}");
    answer.expect_at(&format!("{place}/status"), &json!(status.to_string()))?;
    let response = format!("{place}/response");
    answer.expect_at(&format!("{response}/schemas"), &json!([ERROR]))?;
    answer.expect_at(&format!("{response}/status"), &json!(status.to_string()))?;
    let detail = answer.text_at(&format!("{response}/detail"))?;
    answer.expect_that(!detail.is_empty(), "the detail is empty")?;
    if let Some(word) = word {
        answer.expect_at(&format!("{response}/scimType"), &json!(word))?;
    }
    Ok(())
}

/// The path, below the base URL, of what the result of that operation is about.
fn path_of(s: &Subject, answer: &Answer, number: usize) -> Result<String, Finding> {
    let location = answer.text_at(&format!("/Operations/{number}/location"))?;
    let path = location.strip_prefix(s.scim.base_url());
    let foreign = || answer.failed(&format!("{location} is not below {}", s.scim.base_url()));
    path.map(str::to_owned).ok_or_else(foreign)
}

fn id_of(s: &Subject, answer: &Answer, number: usize) -> Result<String, Finding> {
    let path = path_of(s, answer, number)?;
    Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
}
