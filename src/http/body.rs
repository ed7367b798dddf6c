//! Request bodies and query strings.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;

use crate::scim::message::UniqueJson;
use crate::scim::{Object, ScimError};

/// Longest time that a client may take to send a body.
const DEADLINE: Duration = Duration::from_secs(60);

/// Reads the body up to `limit` bytes; 413 beyond it, 408 when it takes too long.
pub(super) async fn read(payload: web::Payload, limit: usize) -> Result<web::BytesMut, ScimError> {
    match tokio::time::timeout(DEADLINE, read_all(payload, limit)).await {
        Ok(body) => body,
        Err(_) => Err(ScimError::new(
            408,
            format!("The request body did not arrive within {} seconds.", DEADLINE.as_secs()),
        )),
    }
}

async fn read_all(mut payload: web::Payload, limit: usize) -> Result<web::BytesMut, ScimError> {
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            ScimError::invalid_syntax(format!("The request body could not be read: {error}."))
        })?;
        if body.len() + chunk.len() > limit {
            return Err(ScimError::new(
                413,
                format!(
                    "The request body is larger than {limit} bytes, which is the limit \
                     (maxPayloadSize)."
                ),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads a JSON object (RFC 7644 §3.8, §8.1): `application/scim+json` or `application/json`.
pub(super) async fn object(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<Object, ScimError> {
    parsed(&bytes(request, payload, limit).await?)
}

/// The bytes of a body that says that it is JSON.
pub(super) async fn bytes(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<web::BytesMut, ScimError> {
    check_media_type(request)?;
    read(payload, limit).await
}

/// The JSON object of a body.
pub(super) fn parsed(bytes: &[u8]) -> Result<Object, ScimError> {
    match serde_json::from_slice(bytes) {
        Ok(UniqueJson(serde_json::Value::Object(object))) => Ok(object),
        Ok(UniqueJson(other)) => Err(ScimError::invalid_syntax(format!(
            "The request body must be a JSON object, but it is {}.",
            crate::scim::resource::validate::describe(&other)
        ))),
        Err(error) => {
            Err(ScimError::invalid_syntax(format!("The request body is not JSON: {error}.")))
        }
    }
}

fn check_media_type(request: &HttpRequest) -> Result<(), ScimError> {
    let Some(header) = request.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let text = header.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let known = ["application/scim+json", "application/json"];
    if essence.is_empty() || known.iter().any(|media| media.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    Err(ScimError::new(
        415,
        format!(
            "The media type \"{}\" is not supported; send application/json or application/scim+json.",
            essence.chars().filter(|c| !c.is_control()).take(80).collect::<String>()
        ),
    ))
}

/// The parameters of a query string: names in any letter case, `+` and `%20` are spaces, empty
/// pieces are passed over, unknown names too.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, ScimError> {
        let pairs = query.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, ScimError>>()?))
    }

    /// The same of pairs that are decoded already.
    pub(super) fn of(pairs: Vec<(String, String)>) -> Result<Self, ScimError> {
        match pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            true => Err(ScimError::invalid_value(
                "The form contains the character U+0000, which is not allowed.",
            )),
            false => Ok(Self(pairs)),
        }
    }

    /// The first value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of that name, as it was sent.
    pub(super) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        let named = self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Every value of a list, however it is written: `name=a,b`, `name=a&name=b`, `name[]=a`.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let is_named = |known: &str| {
            let known = known.strip_suffix("[]").unwrap_or(known);
            known.eq_ignore_ascii_case(name)
        };
        let values = self.0.iter().filter(|(known, _)| is_named(known));
        let pieces = values.flat_map(|(_, value)| value.split(','));
        pieces.map(str::trim).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
    }
}

fn decode(text: &str) -> Result<String, ScimError> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        // No text in the database contains U+0000, and PostgreSQL takes none.
        Ok(decoded) if decoded.contains('\0') => Err(ScimError::invalid_value(
            "The query string contains the character U+0000, which is not allowed.",
        )),
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => {
            Err(ScimError::invalid_value("The query string is not UTF-8 after percent-decoding."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_reads_what_clients_send() {
        for (query, name, value) in [
            ("filter=userName+eq+%22a%2Bb%22&", "filter", Some("userName eq \"a+b\"")),
            ("startindex=0", "startIndex", Some("0")),
            ("aadOptscim062020&count=1", "count", Some("1")),
            ("aadOptscim062020&count=1", "aadOptscim062020", Some("")),
            ("", "filter", None),
            ("filter=", "filter", Some("")),
        ] {
            let query = Query::parse(query).expect("readable");
            assert_eq!(query.get(name), value);
        }
        for query in ["x=a,b", "x=a&x=b", "x[]=a&x[]=b", "x%5B%5D=a&y=c&x=%20b,", "X=a%2Cb"] {
            assert_eq!(Query::parse(query).expect("readable").list("x"), ["a", "b"], "{query}");
        }
        assert!(Query::parse("filter=%FF").is_err());
        assert!(Query::parse("filter=%00").is_err());
    }
}
