//! One request, sent as it was written: no redirects, no proxy, no status is an error.

use std::time::Duration;

use serde_json::Value;
use ureq::http;

const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    agent: ureq::Agent,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy may normalise the very paths that flows are about.
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
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
        if url.contains('#') {
            return Err(format!("`{url}` has a fragment, which HTTP does not send"));
        }
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = match body {
            Some(body) => request
                .body(body.to_string())
                .map_err(|error| error.to_string())
                .and_then(|request| self.agent.run(request).map_err(|error| error.to_string())),
            None => request
                .body(())
                .map_err(|error| error.to_string())
                .and_then(|request| self.agent.run(request).map_err(|error| error.to_string())),
        };
        let mut response = sent.map_err(|error| format!("not sent or not answered: {error}"))?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec().map_err(|error| error.to_string())?;
        Ok(Answer { status, body })
    }
}
