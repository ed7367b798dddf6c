//! Calls to a service of AWS: signed with Signature Version 4, judged by the code of the error and not by
//! the status. Throttling is a 400 there.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::clock::Clock;
use crate::outbound::Fetched;
use crate::pull::client::{Client, Judgement, Refusal, Request};
use crate::pull::{SourceError, Surroundings};

/// An access key.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    /// Of temporary keys.
    pub(super) session_token: Option<String>,
}

/// A service at its address.
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    /// As signatures name it.
    service: &'static str,
    region: String,
    clock: Clock,
}

impl Endpoint {
    pub(super) fn new(
        url: Url,
        service: &'static str,
        region: String,
        secrets: Vec<String>,
        surroundings: Surroundings,
    ) -> Self {
        let clock = surroundings.clock.clone();
        Self {
            client: Client::new(&url, Vec::new(), secrets, surroundings),
            url,
            service,
            region,
            clock,
        }
    }

    /// The answer to a request, which is signed anew for each try.
    pub(super) fn call(
        &mut self,
        keys: &Keys,
        headers: &[(&str, &str)],
        body: &str,
        judge: &dyn Fn(&Fetched) -> Judgement,
    ) -> Result<Fetched, SourceError> {
        let Self { client, url, service, region, clock } = self;
        let mut make = || {
            let mut all = signature(url, headers, body, keys, (region, service), clock)?;
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            all.extend(headers.iter().map(owned));
            Ok(Request { headers: all, body: Some(body.as_bytes().to_vec()), ..Request::get(url) })
        };
        client.send_made(&mut make, judge)
    }
}

/// The headers that sign a request.
fn signature(
    url: &Url,
    headers: &[(&str, &str)],
    body: &str,
    keys: &Keys,
    (region, service): (&str, &str),
    clock: &Clock,
) -> Result<Vec<(String, String)>, SourceError> {
    let unsigned = |_| SourceError::failed("the request cannot be signed with this access key");
    let Keys { access_key_id, secret_access_key, session_token } = keys.clone();
    let credentials =
        Credentials::new(access_key_id, secret_access_key, session_token, None, "rollbook");
    let identity = credentials.into();
    let now = Duration::from_millis(u64::try_from(clock.now_ms()).unwrap_or(0));
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(UNIX_EPOCH + now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| SourceError::failed("the request cannot be signed"))?
        .into();
    let body = SignableBody::Bytes(body.as_bytes());
    let request = SignableRequest::new("POST", url.as_str(), headers.iter().copied(), body)
        .map_err(unsigned)?;
    let (signed, _) = sign(request, &parameters).map_err(unsigned)?.into_parts();
    let (signed, _) = signed.into_parts();
    Ok(signed.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect())
}

/// An error of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AwsError {
    status: u16,
    /// `ThrottlingException`, without the namespace before it. Empty when the body is none of AWS.
    pub(super) code: String,
    message: String,
    retry_after_s: Option<i64>,
    resource_type: String,
    /// Set where a key that encrypts the store cannot be used.
    reason: String,
}

#[derive(Deserialize)]
struct XmlAnswer {
    #[serde(rename = "Error")]
    error: Option<XmlError>,
    #[serde(rename = "Errors")]
    errors: Option<XmlErrors>,
}

#[derive(Deserialize)]
struct XmlErrors {
    #[serde(rename = "Error")]
    error: XmlError,
}

#[derive(Deserialize)]
struct XmlError {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

/// Codes of a service that is busy, besides all of status 429 and 5xx.
const BUSY: [&str; 13] = [
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Codes of credentials that are refused, besides all of status 401 and 403.
const REFUSED: [&str; 16] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
    "UnrecognizedClientException",
];

/// Codes of temporary keys that have ended, of the services and of STS.
const ENDED: [&str; 2] = ["ExpiredTokenException", "ExpiredToken"];

/// What says that the clocks differ: no key is wrong then.
const SKEWED: [&str; 4] =
    ["Signature expired", "Signature not yet current", "RequestExpired", "RequestTimeTooSkewed"];

impl AwsError {
    /// The error of an answer; JSON of the services, XML of STS.
    pub(super) fn of(fetched: &Fetched) -> Self {
        let status = fetched.status;
        if let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&fetched.body) {
            let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
            let message =
                if text("message").is_empty() { text("Message") } else { text("message") };
            return Self {
                status,
                code: code_of(text("__type")),
                message: message.to_owned(),
                retry_after_s: body.get("RetryAfterSeconds").and_then(Value::as_i64),
                resource_type: text("ResourceType").to_owned(),
                reason: text("Reason").to_owned(),
            };
        }
        let body = String::from_utf8_lossy(&fetched.body);
        let error = quick_xml::de::from_str::<XmlAnswer>(&body).ok();
        let error = error.and_then(|xml| xml.error.or(xml.errors.map(|errors| errors.error)));
        match error {
            Some(XmlError { code, message }) => {
                Self { status, code: code_of(&code), message, ..Self::default() }
            }
            None => Self { status, ..Self::default() },
        }
    }

    /// In the words of AWS. The first line is all that people need: what follows it in the refusal of a
    /// signature is the request with its session token.
    fn words(&self) -> String {
        let line = self.message.lines().next().unwrap_or_default();
        let parts = [self.code.as_str(), line].into_iter().filter(|part| !part.is_empty());
        let said = parts.collect::<Vec<&str>>().join(": ");
        match said.is_empty() {
            true => format!("the source answers {}", self.status),
            false => format!("the source answers {}: {said}", self.status),
        }
    }

    /// `retry_after_ms` is what a header asks for.
    fn judgement(&self, retry_after_ms: Option<i64>) -> Judgement {
        let is_one_of = |codes: &[&str]| codes.contains(&self.code.as_str());
        let is_skewed = SKEWED.iter().any(|sign| self.code == *sign || self.message.contains(sign));
        if is_skewed {
            let words = self.words();
            return Judgement::Failed(format!("the clock of this machine is wrong: {words}"));
        }
        match self.status {
            _ if is_one_of(&REFUSED) => Judgement::Credentials(self.words()),
            429 | 500 | 502..=599 => self.busy(retry_after_ms),
            _ if is_one_of(&BUSY) => self.busy(retry_after_ms),
            401 | 403 => Judgement::Credentials(self.words()),
            _ => Judgement::Failed(self.words()),
        }
    }

    fn busy(&self, retry_after_ms: Option<i64>) -> Judgement {
        let seconds = self.retry_after_s.filter(|seconds| *seconds >= 0);
        let pause_ms = seconds.map(|seconds| seconds.saturating_mul(1_000)).or(retry_after_ms);
        Judgement::Busy { words: self.words(), pause_ms }
    }

    /// Whether the group that was asked about is gone. A key that cannot be found says "not found", too.
    pub(super) fn is_lost_group(&self) -> bool {
        self.code == "ResourceNotFoundException"
            && self.resource_type == "GROUP"
            && self.reason.is_empty()
    }
}

/// The judgement about an answer of any service.
pub(super) fn judged(fetched: &Fetched) -> Judgement {
    match fetched.status {
        200 => Judgement::Answer,
        status => {
            let refusal = Refusal { status, headers: &fetched.headers, body: &Value::Null };
            AwsError::of(fetched).judgement(refusal.retry_after_ms())
        }
    }
}

/// Whether the temporary keys that have signed have ended.
pub(super) fn has_ended(fetched: &Fetched) -> bool {
    fetched.status != 200 && ENDED.contains(&AwsError::of(fetched).code.as_str())
}

/// `com.amazonaws.identitystore#ThrottlingException:http://…` is `ThrottlingException`.
fn code_of(text: &str) -> String {
    let name = text.rsplit('#').next().unwrap_or(text);
    name.split(':').next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(status: u16, body: &str) -> Fetched {
        Fetched { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn errors_are_told_apart_by_their_code() {
        let busy = |words: &str, pause_ms| Judgement::Busy { words: words.to_owned(), pause_ms };
        let refused = |words: &str| Judgement::Credentials(words.to_owned());
        let failed = |words: &str| Judgement::Failed(words.to_owned());
        for (status, body, expected) in [
            (200, "{}", Judgement::Answer),
            (
                400,
                r#"{"__type":"ThrottlingException","Message":"Rate exceeded","RetryAfterSeconds":3}"#,
                busy("the source answers 400: ThrottlingException: Rate exceeded", Some(3_000)),
            ),
            (
                400,
                r#"{"__type":"com.amazonaws.identitystore#ThrottlingException:http://x/","RetryAfterSeconds":-1}"#,
                busy("the source answers 400: ThrottlingException", None),
            ),
            (503, "<html>", busy("the source answers 503", None)),
            (
                400,
                r#"{"__type":"UnrecognizedClientException","message":"The security token is invalid."}"#,
                refused(
                    "the source answers 400: UnrecognizedClientException: The security token is invalid.",
                ),
            ),
            (
                403,
                r#"{"__type":"InvalidSignatureException","message":"No match.\n\nThe Canonical String:\nx-amz-security-token:T"}"#,
                refused("the source answers 403: InvalidSignatureException: No match."),
            ),
            (
                403,
                r#"{"__type":"InvalidSignatureException","message":"Signature expired: a is earlier than b"}"#,
                failed(
                    "the clock of this machine is wrong: the source answers 403: \
                     InvalidSignatureException: Signature expired: a is earlier than b",
                ),
            ),
            (403, "", refused("the source answers 403")),
            (
                403,
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>AccessDenied</Code><Message>a &amp; b</Message></Error><RequestId>1</RequestId></ErrorResponse>",
                refused("the source answers 403: AccessDenied: a & b"),
            ),
            (
                400,
                r#"{"__type":"ValidationException","Message":"1 validation error"}"#,
                failed("the source answers 400: ValidationException: 1 validation error"),
            ),
            (301, "", failed("the source answers 301")),
        ] {
            assert_eq!(judged(&fetched(status, body)), expected, "{body}");
        }
    }

    #[test]
    fn retry_after_is_heeded_in_the_body_and_in_both_forms_of_the_header() {
        let pause_ms = |headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let fetched = Fetched { headers: headers.collect(), ..fetched(429, body) };
            let Judgement::Busy { pause_ms, .. } = judged(&fetched) else { panic!("busy") };
            pause_ms
        };
        let seconds = ("retry-after", "7");
        let time = ("retry-after", "Sat, 21 Nov 2026 20:00:09 GMT");
        let date = ("date", "Sat, 21 Nov 2026 20:00:00 GMT");
        assert_eq!(pause_ms(&[seconds], ""), Some(7_000));
        assert_eq!(pause_ms(&[date, time], "{}"), Some(9_000));
        assert_eq!(pause_ms(&[seconds], r#"{"RetryAfterSeconds":3}"#), Some(3_000));
        assert_eq!(pause_ms(&[], ""), None);
    }

    #[test]
    fn only_a_group_that_is_not_found_is_gone() {
        for (body, is_lost) in [
            (r#"{"__type":"ResourceNotFoundException","ResourceType":"GROUP"}"#, true),
            (r#"{"__type":"ResourceNotFoundException","ResourceType":"IDENTITY_STORE"}"#, false),
            (
                r#"{"__type":"ResourceNotFoundException","ResourceType":"GROUP","Reason":"KMS_KEY_NOT_FOUND"}"#,
                false,
            ),
            (r#"{"__type":"ResourceNotFoundException"}"#, false),
            (r#"{"__type":"AccessDeniedException","ResourceType":"GROUP"}"#, false),
        ] {
            assert_eq!(AwsError::of(&fetched(400, body)).is_lost_group(), is_lost, "{body}");
        }
    }
}
