//! An HTTP client that keeps what tests look at: status, headers, body.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

/// Sends requests to one base URL with one bearer secret.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    pub base: String,
    pub bearer: Option<String>,
    media_type: &'static str,
}

fn agent(deadline: Option<Duration>) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        // Where an answer leads is looked at.
        .max_redirects(0)
        // The server under test signs its own certificate.
        .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
        .timeout_global(deadline)
        .build()
        .into()
}

/// An answer. `body` is null when there is none.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    /// Every `Set-Cookie`.
    pub cookies: Vec<String>,
    pub text: String,
    pub body: Value,
}

impl Client {
    pub fn new(base: &str, bearer: &str, media_type: &'static str) -> Self {
        let (base, bearer) = (base.to_owned(), Some(bearer.to_owned()));
        Self { agent: agent(None), base, bearer, media_type }
    }

    /// The same client, with connections of its own, that gives a request up after that time.
    #[allow(dead_code, reason = "where the server may hang: tests/resilience")]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { agent: agent(Some(deadline)), ..self.clone() }
    }

    /// The same client with another secret, or none.
    pub fn with_bearer(&self, bearer: Option<&str>) -> Self {
        Self { bearer: bearer.map(str::to_owned), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], Some(body.to_string()))
    }

    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[], Some(body.to_string()))
    }

    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, &[], Some(body.to_string()))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    /// A list filtered by `filter`, percent-encoded here.
    pub fn filter(&self, path: &str, filter: &str) -> Answer {
        self.get(&format!("{path}?filter={}", encode(filter)))
    }

    /// A POST to a server that may be gone.
    pub fn try_post(&self, path: &str, body: Value) -> Option<Answer> {
        self.try_send("POST", path, &[], Some(body.to_string()))
    }

    /// A GET from a server that may be gone.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_send("GET", path, &[], None)
    }

    /// Any request; a header given here replaces the usual one.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        self.try_send(method, path, headers, body).expect("the server answers")
    }

    /// Any request to a server that may be gone, or go before it has answered.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Option<Answer> {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if let (Some(bearer), false) = (&self.bearer, given("authorization")) {
            request = request.header("Authorization", format!("Bearer {bearer}"));
        }
        if body.is_some() && !given("content-type") {
            request = request.header("Content-Type", self.media_type);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Some(body) => self.agent.run(request.body(body).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut response = response.ok()?;
        let mut headers = HashMap::new();
        for (name, value) in response.headers() {
            let value = value.to_str().unwrap_or("");
            // Of several lines the first, which is the one that simple clients read.
            headers.entry(name.to_string()).or_insert_with(|| value.to_owned());
        }
        let cookies = response.headers().get_all("set-cookie").iter();
        let cookies = cookies.filter_map(|line| Some(line.to_str().ok()?.to_owned())).collect();
        let status = response.status().as_u16();
        let text =
            response.body_mut().with_config().limit(256 * 1024 * 1024).read_to_string().ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Answer { status, headers, cookies, text, body })
    }
}

impl Answer {
    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails the test unless this is a SCIM error with that status and word, and gives its detail.
    #[track_caller]
    pub fn expect_scim_error(self, status: u16, scim_type: Option<&str>) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(
            self.body["schemas"],
            serde_json::json!(["urn:ietf:params:scim:api:messages:2.0:Error"]),
            "{}",
            self.text
        );
        assert_eq!(self.body["status"], status.to_string(), "{}", self.text);
        assert_eq!(self.body["scimType"].as_str(), scim_type, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/scim+json"));
        let detail = self.body["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.is_empty());
        detail
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    #[track_caller]
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text)).to_owned()
    }

    #[track_caller]
    pub fn total(&self) -> u64 {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body["totalResults"].as_u64().expect("a number")
    }

    /// The ids of a list, in its order.
    pub fn ids(&self) -> Vec<String> {
        let resources = self.body["Resources"].as_array().expect("a list");
        resources.iter().filter_map(|r| r["id"].as_str()).map(str::to_owned).collect()
    }
}

/// Percent-encodes everything that is not unreserved.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
