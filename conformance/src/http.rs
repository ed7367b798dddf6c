//! One request, sent as it was written: no redirects, no proxy, no status is an error.

use std::time::Duration;

use serde_json::Value;
use ureq::config::AutoHeaderValue;
use ureq::http;
use ureq::tls::TlsConfig;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A list of every resource of a large directory still fits.
const LONGEST_BODY: u64 = 256 * 1024 * 1024;

/// Whether the certificate of an HTTPS server has to be one that the machine trusts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Verified,
    /// For a server whose certificate the run itself made.
    Anything,
}

pub(crate) struct Client {
    agent: ureq::Agent,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In the order of arrival, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::trusting(Trust::Verified)
    }

    /// A client that sends no header which a check did not ask for.
    pub(crate) fn bare(trust: Trust) -> Self {
        Self::build(trust, AutoHeaderValue::None)
    }

    pub(crate) fn trusting(trust: Trust) -> Self {
        Self::build(trust, AutoHeaderValue::Default)
    }

    fn build(trust: Trust, accept: AutoHeaderValue) -> Self {
        let tls = TlsConfig::builder().disable_verification(trust == Trust::Anything).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // Requests that no client should send are part of what is checked.
            .allow_non_standard_methods(true)
            // A proxy may normalise the very paths that flows are about.
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls)
            .accept(accept)
            .build();
        Self { agent: config.into() }
    }

    /// Sends the request to exactly this URL. An address that could not be sent unchanged is an
    /// error.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.send_bytes(method, url, headers, body)
    }

    /// [`send`](Self::send) with a body that need not be JSON.
    pub(crate) fn send_bytes(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, String> {
        if url.contains('#') {
            return Err(format!("`{url}` has a fragment, which HTTP does not send"));
        }
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = match body {
            Some(body) => request
                .body(body)
                .map_err(|error| error.to_string())
                .and_then(|request| self.agent.run(request).map_err(|error| error.to_string())),
            None => request
                .body(())
                .map_err(|error| error.to_string())
                .and_then(|request| self.agent.run(request).map_err(|error| error.to_string())),
        };
        let mut response = sent.map_err(|error| format!("not sent or not answered: {error}"))?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LONGEST_BODY).read_to_vec();
        Ok(Answer { status, headers, body: body.map_err(|error| error.to_string())? })
    }
}
