//! One connection of one client. Counts what is sent, and looks at every answer for what must never
//! be there: a 5xx, another directory's marker, a password.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Tenant;
use super::manner::{Manner, PASSWORD};
use crate::answer::Answer;
use crate::http::Client;

/// How often a request is sent again that the server wants later.
const PATIENCE: usize = 100;

/// Length of a marker: `mark`, seven hexadecimal digits, `kram`.
const MARKER: usize = 15;

/// What went over the wire.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) statuses: BTreeMap<u16, usize>,
    pub(super) times: Vec<Duration>,
    /// Every id of a resource that an answer showed.
    pub(super) seen: BTreeSet<String>,
}

impl Tally {
    pub(super) fn absorb(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.times.extend(other.times);
        self.seen.extend(other.seen);
    }

    pub(super) fn requests(&self) -> usize {
        self.statuses.values().sum()
    }
}

pub(super) struct Wire {
    client: Arc<Client>,
    pub(super) manner: &'static Manner,
    base_url: String,
    token: String,
    marker: String,
    pub(super) tally: Tally,
}

impl Wire {
    pub(super) fn new(tenant: &Tenant) -> Self {
        Self {
            client: super::http_client(),
            manner: tenant.manner,
            base_url: tenant.directory.base_url.clone(),
            token: tenant.directory.token.clone(),
            marker: tenant.marker.clone(),
            tally: Tally::default(),
        }
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.send("GET", path, None, None)
    }

    /// A request that changes something, ended as the client ends its paths.
    pub(super) fn write(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let path = format!("{path}{}", self.manner.tail);
        self.send(method, &path, None, body)
    }

    /// Sends; again after `Retry-After` when the server answers 429.
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        if_match: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let mut headers = vec![
            ("Authorization".to_owned(), format!("Bearer {}", self.token)),
            ("Accept".to_owned(), "application/scim+json".to_owned()),
        ];
        let agent = self.manner.user_agent.map(|agent| ("User-Agent", agent));
        let media_type = body.map(|_| ("Content-Type", self.manner.media_type));
        let more = [agent, media_type, if_match.map(|tag| ("If-Match", tag))];
        headers.extend(more.into_iter().flatten().map(|(n, v)| (n.to_owned(), v.to_owned())));
        let url = format!("{}{path}", self.base_url);
        for _ in 0..PATIENCE {
            let began = Instant::now();
            let answer = self.client.send(method, &url, &headers, body);
            let request = format!("{method} {path}");
            let answer = answer.map_err(|error| format!("{request}: {error}"))?;
            let answer = Answer::new(request, answer);
            self.tally.times.push(began.elapsed());
            *self.tally.statuses.entry(answer.status).or_default() += 1;
            if answer.status != 429 {
                return self.looked_at(answer);
            }
            let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
            let missing = || answer.failed("429 without Retry-After in seconds").to_string();
            thread::sleep(Duration::from_secs(seconds.ok_or_else(missing)?));
        }
        Err(format!("{method} {path}: refused with 429 {PATIENCE} times"))
    }

    fn looked_at(&mut self, answer: Answer) -> Result<Answer, String> {
        let wrong = |what: &str| Err(answer.failed(what).to_string());
        if answer.status >= 500 {
            return wrong("a failure of the server");
        }
        if answer.text.contains(PASSWORD) {
            return wrong("the answer shows a password");
        }
        if let Some(foreign) = foreign_marker(&answer.text, &self.marker) {
            return wrong(&format!("the answer shows {foreign}, of another directory"));
        }
        let listed = answer.json.get("Resources").and_then(Value::as_array).into_iter().flatten();
        for resource in listed.chain([&answer.json]) {
            let id = resource.get("id").and_then(Value::as_str);
            self.tally.seen.extend(id.map(str::to_owned));
        }
        Ok(answer)
    }
}

/// A marker in the text that is not this one.
fn foreign_marker<'a>(text: &'a str, own: &str) -> Option<&'a str> {
    text.match_indices("mark").find_map(|(at, _)| {
        let found = text.get(at..at + MARKER)?;
        let digits = found.strip_prefix("mark")?.strip_suffix("kram")?;
        let is_marker = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_marker && found != own).then_some(found)
    })
}

/// The answer when its status is one of these.
pub(super) fn expect(answer: Answer, statuses: &[u16]) -> Result<Answer, String> {
    answer.expect_status(statuses).map_err(|finding| finding.to_string())
}

/// The number in `meta.version`: `W/"3"`, or `W/"3-60b1c2d8332a"` with a digest of the groups.
pub(super) fn version(resource: &Value) -> Option<u64> {
    let tag = resource.pointer("/meta/version")?.as_str()?;
    tag.strip_prefix("W/\"")?.trim_end_matches('"').split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn markers_of_others_are_found() {
        let own = "mark00ff001kram";
        assert_eq!(foreign_marker("a mark00ff001kram b remark mark", own), None);
        let mixed = "mark00ff001kram mark00ff002kram";
        assert_eq!(foreign_marker(mixed, own), Some("mark00ff002kram"));
    }

    #[test]
    fn versions_are_numbers() {
        for (tag, number) in [("W/\"3\"", Some(3)), ("W/\"12-ab\"", Some(12)), ("x", None)] {
            assert_eq!(version(&json!({"meta": {"version": tag}})), number, "{tag}");
        }
    }
}
