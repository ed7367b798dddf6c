//! Bulk (RFC 7644 §3.7): many operations in one request, which may refer to each other.
//!
//! [`parse`] reads the request, [`plan`] says in which order its operations run,
//! [`Operation::resolve`] puts ids in the place of `bulkId:` references, [`response`] writes the
//! answer. Whoever runs a step makes the ids of its POSTs first: then every reference inside the
//! step has its id, also in a circle of references and when an operation refers to itself.
//!
//! A fault of the whole request is an error of [`parse`]. A fault of one operation stands in its
//! [`Entry`], because the others must still run.

#[cfg(test)]
mod laws;
mod parse;
mod plan;
mod references;

use serde_json::{Value, json};

pub use parse::{BulkRequest, Entry, Method, Operation, parse};
pub use plan::{Plan, plan};
pub use references::Reference;

use crate::scim::{Object, ScimError, urn};

/// What became of one operation (RFC 7644 §3.7.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// As [`Entry::method`]: empty when the request has none.
    pub method: String,
    pub bulk_id: Option<String>,
    /// The URL of the resource, of failed operations too; a failed POST has none.
    pub location: Option<String>,
    /// The entity tag after the operation.
    pub version: Option<String>,
    /// The HTTP status of an operation that was done, or why it was not.
    pub status: Result<u16, ScimError>,
}

impl Outcome {
    /// The element of `Operations` in the answer. A `response` is there only for an error, and a
    /// `location` never for a failed POST.
    pub fn to_value(&self) -> Value {
        let (status, error) = match &self.status {
            Ok(status) => (*status, None),
            Err(error) => (error.status, Some(error.body())),
        };
        let failed_post = error.is_some() && self.method == Method::Post.as_str();
        let text = |text: &String| Value::from(text.as_str());
        let members = [
            ("location", self.location.as_ref().filter(|_| !failed_post).map(text)),
            ("method", Some(&self.method).filter(|method| !method.is_empty()).map(text)),
            ("bulkId", self.bulk_id.as_ref().map(text)),
            ("version", self.version.as_ref().map(text)),
            ("status", Some(status.to_string().into())),
            ("response", error),
        ];
        let present = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
        members.into_iter().filter_map(present).collect::<Object>().into()
    }
}

/// The body of the answer; its status is 200 however many operations failed.
pub fn response<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Value {
    let operations: Vec<Value> = outcomes.into_iter().map(Outcome::to_value).collect();
    json!({"schemas": [urn::BULK_RESPONSE], "Operations": operations})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(method: &str, status: Result<u16, ScimError>) -> Outcome {
        let location = Some("https://example.com/scim/v2/Users/1".into());
        Outcome { method: method.into(), bulk_id: None, location, version: None, status }
    }

    #[test]
    fn answers_have_what_their_operation_came_to() {
        let created = Outcome {
            bulk_id: Some("qwerty".into()),
            version: Some("W/\"1\"".into()),
            ..outcome("POST", Ok(201))
        };
        let refused = Outcome {
            bulk_id: Some("qwerty".into()),
            ..outcome("POST", Err(ScimError::uniqueness("The userName is taken.")))
        };
        let url = "https://example.com/scim/v2/Users/1";
        let error = "urn:ietf:params:scim:api:messages:2.0:Error";
        let table = [
            (
                created,
                json!({
                    "location": url, "method": "POST", "bulkId": "qwerty", "version": "W/\"1\"",
                    "status": "201"
                }),
            ),
            (
                outcome("DELETE", Ok(204)),
                json!({"location": url, "method": "DELETE", "status": "204"}),
            ),
            (
                refused,
                json!({
                    "method": "POST", "bulkId": "qwerty", "status": "409",
                    "response": {
                        "schemas": [error], "status": "409", "scimType": "uniqueness",
                        "detail": "The userName is taken."
                    }
                }),
            ),
            (
                outcome("PUT", Err(ScimError::not_found("The user"))),
                json!({
                    "location": url, "method": "PUT", "status": "404",
                    "response": {
                        "schemas": [error], "status": "404", "detail": "The user was not found."
                    }
                }),
            ),
            (
                Outcome { location: None, ..outcome("", Err(ScimError::invalid_syntax("No."))) },
                json!({
                    "status": "400",
                    "response": {
                        "schemas": [error], "status": "400", "scimType": "invalidSyntax",
                        "detail": "No."
                    }
                }),
            ),
        ];
        for (outcome, expected) in &table {
            assert_eq!(outcome.to_value(), *expected);
        }
        let all = response(table.iter().map(|(outcome, _)| outcome));
        assert_eq!(all["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]));
        let expected: Vec<Value> = table.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(all["Operations"], Value::from(expected));
        assert_eq!(all.as_object().unwrap().len(), 2);
    }
}
