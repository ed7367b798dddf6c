//! The Okta API as lists: pages by `Link` headers, a share of the rate limit that is left to others, and
//! the events of the System Log.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::pull::client::{Answer, Client, Refusal, Request, Trail, Verdict};
use crate::pull::oauth::Authorized;
use crate::pull::{Kind, SourceError, Surroundings};
use crate::scim::Object;
use crate::scim::key::instant_text;

/// Rows asked for at a time; Okta gives no more users.
const PAGE: &str = "200";

/// Events asked for at a time.
const LOG_PAGE: &str = "1000";

/// So many whom a list has left out are asked for themselves; of more, the list is read again.
const MOST_ASKED: usize = 20;

/// Longest wait for the next window of a rate limit, in milliseconds: windows are a minute long.
const WINDOW_MS: i64 = 10 * 60 * 1_000;

/// How often a wait looks whether the read is to end, in milliseconds.
const LOOK_MS: i64 = 100;

/// What Okta is asked to leave out of users.
const LEAN: &str = "application/json; okta-response=omitCredentials,omitCredentialsLinks,omitTransitioningToStatus";

/// What Okta says of what is gone, and of members who come and go.
const LOG_FILTER: &str = "eventType eq \"user.lifecycle.delete.completed\" \
                          or eventType eq \"group.lifecycle.delete\" \
                          or eventType eq \"group.user_membership.add\" \
                          or eventType eq \"group.user_membership.remove\"";

/// Paths that have a rate limit of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    Users,
    Groups,
    Members,
    Log,
}

/// Who asks: the holder of an API token, or a service app.
pub(super) enum Http {
    Token(Box<Client>),
    Service(Box<Authorized>),
}

impl Http {
    fn send(&mut self, request: &Request<'_>) -> Result<Answer, SourceError> {
        match self {
            Self::Token(client) => client.send(request),
            Self::Service(client) => client.send(request).map_err(said_of_dpop),
        }
    }
}

pub(super) struct Api {
    http: Http,
    surroundings: Surroundings,
    base: Url,
    /// How much of each rate limit may be used, in percent.
    share: i64,
    /// How long a limit is to be left alone, in milliseconds.
    owed: HashMap<Limit, i64>,
    /// The clock of Okta when the read began, in milliseconds since 1970.
    pub(super) began: Option<i64>,
}

/// What the log tells beside the lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) gone: Vec<(Kind, String)>,
    /// Group and user; whether the last that happened is that the user left.
    pub(super) members: BTreeMap<(String, String), bool>,
}

impl Api {
    pub(super) fn new(http: Http, surroundings: Surroundings, base: Url, share: i64) -> Self {
        Self { http, surroundings, base, share, owed: HashMap::new(), began: None }
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.clear().extend(["api", "v1"]).extend(path);
        }
        let given = query.iter().filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().extend_pairs(given);
        url
    }

    /// An answer, once there is a share of the limit left.
    fn get(&mut self, limit: Limit, url: &Url) -> Result<Answer, SourceError> {
        self.wait(limit)?;
        self.ask(limit, url)
    }

    fn ask(&mut self, limit: Limit, url: &Url) -> Result<Answer, SourceError> {
        let answer = self.http.send(&Request::get(url).with_header("Content-Type", LEAN))?;
        if self.began.is_none() {
            self.began = answer.date;
        }
        let number = |name: &str| headers(&answer, name).next()?.parse::<i64>().ok();
        let said = [
            number("x-rate-limit-limit"),
            number("x-rate-limit-remaining"),
            number("x-rate-limit-reset"),
        ];
        if let ([Some(whole), Some(left), Some(reset)], Some(now)) = (said, answer.date)
            && let Some(pause) = pause(whole, left, self.share, reset, now)
        {
            self.owed.insert(limit, pause);
        }
        Ok(answer)
    }

    /// Waits until the next window of a limit, if its share is used up.
    fn wait(&mut self, limit: Limit) -> Result<(), SourceError> {
        let Some(pause) = self.owed.remove(&limit) else { return Ok(()) };
        for owed in self.owed.values_mut() {
            *owed = owed.saturating_sub(pause).max(0);
        }
        let mut left = pause;
        while left > 0 {
            self.surroundings.term.check()?;
            let step = left.min(LOOK_MS);
            std::thread::sleep(Duration::from_millis(u64::try_from(step).unwrap_or(0)));
            left -= step;
        }
        Ok(())
    }

    /// Rows of the first page of a list, and whether that is all of it. It is for tests of the connection:
    /// somebody looks at them, and they take a few requests only, so they wait for no share.
    pub(super) fn first(
        &mut self,
        limit: Limit,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(Vec<Object>, bool), SourceError> {
        let url = self.url(path, query);
        let answer = self.ask(limit, &url)?;
        let is_all = next_page(&answer, &url)?.is_none();
        Ok((rows(answer.body, path)?, is_all))
    }

    /// One object; `None` where there is no such thing.
    pub(super) fn one(
        &mut self,
        limit: Limit,
        path: &[&str],
    ) -> Result<Option<Object>, SourceError> {
        let url = self.url(path, &[]);
        match self.get(limit, &url) {
            Ok(answer) => answer.object().map(Some),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every row of a list, page by page; the ids of all.
    pub(super) fn list(
        &mut self,
        limit: Limit,
        path: &[&str],
        query: &[(&str, &str)],
        take: &mut dyn FnMut(&mut Self, Object) -> Result<(), SourceError>,
    ) -> Result<HashSet<String>, SourceError> {
        let query: Vec<(&str, &str)> = query.iter().copied().chain([("limit", PAGE)]).collect();
        let mut url = self.url(path, &query);
        let (mut trail, mut listed) = (Trail::default(), HashSet::new());
        loop {
            let answer = self.get(limit, &url)?;
            let next = next_page(&answer, &url)?;
            let rows = rows(answer.body, path)?;
            trail.step(url.as_str(), new(&rows, "id", &mut listed))?;
            for row in rows {
                take(self, row)?;
            }
            let Some(next) = next else { return Ok(listed) };
            url = next;
        }
    }

    /// Takes those of `missing` who are there although they were not listed: a list that changes while it is
    /// read may lose somebody between two pages. So nobody counts as missing who was not looked for again.
    pub(super) fn look_up(
        &mut self,
        limit: Limit,
        path: &str,
        (name, expression): (&str, &str),
        missing: &BTreeSet<String>,
        take: &mut dyn FnMut(Object) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        // Only the list says who is met by a search.
        if missing.len() > MOST_ASKED || (name == "search" && !missing.is_empty()) {
            let is_missing = |object: &Object| {
                object.get("id").and_then(Value::as_str).is_some_and(|id| missing.contains(id))
            };
            let again = self.list(limit, &[path], &[(name, expression)], &mut |_, object| {
                if is_missing(&object) { take(object) } else { Ok(()) }
            });
            return again.map(drop);
        }
        for id in missing {
            match self.one(limit, &[path, id]) {
                Ok(found) => found.map_or(Ok(()), &mut *take)?,
                // Who must not be seen any more is left out of lists as well.
                Err(error) if is_forbidden(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What has happened since, oldest first. A log that is followed always names a next page; the first
    /// page without events is its end (Okta System Log API, polling requests).
    pub(super) fn log(&mut self, since_ms: i64) -> Result<Told, SourceError> {
        let since = instant_text(since_ms);
        let query = [
            ("since", since.as_str()),
            ("filter", LOG_FILTER),
            ("sortOrder", "ASCENDING"),
            ("limit", LOG_PAGE),
        ];
        let mut url = self.url(&["logs"], &query);
        let mut told = Told::default();
        let (mut trail, mut seen) = (Trail::default(), HashSet::new());
        loop {
            let answer = self.get(Limit::Log, &url)?;
            let next = next_page(&answer, &url)?;
            let events = rows(answer.body, &["logs"])?;
            trail.step(url.as_str(), new(&events, "uuid", &mut seen))?;
            events.iter().for_each(|event| told.take(event));
            match next {
                Some(next) if !events.is_empty() => url = next,
                _ => return Ok(told),
            }
        }
    }
}

impl Told {
    fn take(&mut self, event: &Object) {
        let outcome = event.get("outcome").and_then(|outcome| outcome.get("result"));
        if outcome.is_some_and(|result| result != "SUCCESS") {
            return;
        }
        let targets = event.get("target").and_then(Value::as_array);
        let target = |wanted: &str| {
            let of_type = |target: &&Value| target.get("type").is_some_and(|t| t == wanted);
            let found = targets?.iter().find(of_type)?;
            found.get("id")?.as_str().map(str::to_owned)
        };
        let (user, group) = (|| target("User"), || target("UserGroup"));
        match event.get("eventType").and_then(Value::as_str).unwrap_or_default() {
            "user.lifecycle.delete.completed" => {
                self.gone.extend(user().map(|user| (Kind::Account, user)));
            }
            "group.lifecycle.delete" => {
                self.gone.extend(group().map(|group| (Kind::Group, group)));
            }
            name @ ("group.user_membership.add" | "group.user_membership.remove") => {
                if let (Some(group), Some(user)) = (group(), user()) {
                    self.members.insert((group, user), name.ends_with("remove"));
                }
            }
            _ => {}
        }
    }
}

/// The values of a header, which may stand there several times.
fn headers<'a>(answer: &'a Answer, name: &str) -> impl Iterator<Item = &'a str> {
    let named = answer.headers.iter().filter(move |(known, _)| known == name);
    named.map(|(_, value)| value.as_str())
}

/// What Okta means by a refusal. Too many requests of a minute are over when the window is; too many at the
/// same time come with a limit of 0 and a reset that says nothing. (Okta, rate limits.)
pub(super) fn judge(refusal: &Refusal<'_>) -> Option<Verdict> {
    if refusal.status != 429 {
        return None;
    }
    let is_concurrent = refusal.header("x-rate-limit-limit") == Some("0");
    let reset = || refusal.until_ms("x-rate-limit-reset").filter(|ms| !is_concurrent && *ms > 0);
    Some(Verdict::Busy { pause_ms: refusal.retry_after_ms().or_else(reset) })
}

/// New service apps have to prove that they hold the key of their token (RFC 9449) until that is turned off.
fn said_of_dpop(error: SourceError) -> SourceError {
    match error {
        SourceError::Credentials(said) if said.to_lowercase().contains("dpop") => {
            SourceError::Credentials(format!(
                "{said} Turn off \"Require Demonstrating Proof of Possession (DPoP) header in token \
                 requests\" in the general settings of the app."
            ))
        }
        other => other,
    }
}

/// Whether Okta says that there is no such thing.
pub(super) fn is_missing(error: &SourceError) -> bool {
    matches!(error, SourceError::Failed { .. })
        && error.message().starts_with("the source answers 404")
}

/// Whether Okta says that this, and only this, must not be read.
pub(super) fn is_forbidden(error: &SourceError) -> bool {
    matches!(error, SourceError::Credentials(_))
        && error.message().starts_with("the source answers 403")
}

/// A bare array of objects.
fn rows(value: Value, path: &[&str]) -> Result<Vec<Object>, SourceError> {
    let path = path.join("/");
    let Value::Array(rows) = value else {
        return Err(SourceError::failed(format!("the answer for {path} is no list")));
    };
    let objects = rows.into_iter().map(|row| match row {
        Value::Object(row) => Ok(row),
        _ => Err(SourceError::failed(format!("the list {path} holds something that is no object"))),
    });
    objects.collect()
}

/// How many rows were not there before. Of one without an id nobody can tell.
fn new(rows: &[Object], id: &str, seen: &mut HashSet<String>) -> usize {
    let ids = rows.iter().map(|row| row.get(id).and_then(Value::as_str));
    ids.filter(|id| id.is_none_or(|id| seen.insert(id.to_owned()))).count()
}

/// The link with `rel="next"`, in a header of its own or one among others (RFC 8288 §3).
fn next_page(answer: &Answer, url: &Url) -> Result<Option<Url>, SourceError> {
    let header = headers(answer, "link").find_map(next_link);
    let wrong = |_| SourceError::failed("the link to the next page is no URL");
    header.map(|link| url.join(link).map_err(wrong)).transpose()
}

/// The target of the link with `rel="next"` in a header.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, behind)) = rest.split_once('<') {
        let (target, behind) = behind.split_once('>')?;
        // Parameters reach to the next target; a comma may stand in a quoted value.
        let parameters = behind.split_once('<').map_or(behind, |(parameters, _)| parameters);
        let is_next = |parameter: &str| {
            let Some((name, value)) = parameter.split_once('=') else { return false };
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        };
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = behind;
    }
    None
}

/// How long a limit is to be left alone: until its window ends, once only the share of others is left.
/// `reset` are seconds since 1970 and `now` milliseconds, both by Okta's clock.
fn pause(whole: i64, left: i64, share: i64, reset: i64, now: i64) -> Option<i64> {
    let kept = whole.saturating_mul(100_i64.saturating_sub(share)) / 100;
    if whole <= 0 || left > kept {
        return None;
    }
    let pause = reset.saturating_mul(1_000).saturating_sub(now);
    Some(pause.clamp(0, WINDOW_MS)).filter(|pause| *pause > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn next_link_is_found_wherever_it_stands() {
        for (header, found) in [
            ("<https://a.example/x?after=1>; rel=\"next\"", Some("https://a.example/x?after=1")),
            ("<https://a.example/x>; rel=\"self\"", None),
            (
                "<https://a.example/x?a=1,2>; rel=\"self\", <https://a.example/x?after=2>; rel=\"next\"",
                Some("https://a.example/x?after=2"),
            ),
            (
                "<https://a.example/n>; title=\"a, b\"; REL=next, <https://a.example/s>; rel=self",
                Some("https://a.example/n"),
            ),
            ("<https://a.example/n>; rel=\"last next\"", Some("https://a.example/n")),
            ("<https://a.example/n>; rel=\"nextish\"", None),
            ("<https://a.example/n", None),
            ("rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_link(header), found, "{header}");
        }
    }

    #[test]
    fn share_of_others_is_waited_for_by_the_clock_of_okta() {
        let now = 1_795_291_200_000;
        let reset = 1_795_291_230;
        for ((whole, left, share), expected) in [
            ((600, 301, 50), None),
            ((600, 300, 50), Some(30_000)),
            ((600, 0, 50), Some(30_000)),
            ((600, 480, 20), Some(30_000)),
            ((600, 481, 20), None),
            ((600, 1, 100), None),
            ((600, 0, 100), Some(30_000)),
            // What answers a limit on requests at the same time says nothing about windows.
            ((0, 0, 50), None),
        ] {
            assert_eq!(pause(whole, left, share, reset, now), expected, "{whole} {left} {share}");
        }
        assert_eq!(pause(600, 1, 50, reset, now + 60_000), None, "the window is over");
        assert_eq!(pause(600, 1, 50, i64::MAX, now), Some(WINDOW_MS));
    }

    #[test]
    fn log_tells_who_is_gone_and_what_happened_last() {
        let event = |name: &str, targets: Value| {
            let event = json!({"eventType": name, "target": targets});
            event.as_object().cloned().expect("an object")
        };
        let (ada, staff) =
            (json!({"type": "User", "id": "u1"}), json!({"type": "UserGroup", "id": "g1"}));
        let mut failed =
            event("user.lifecycle.delete.completed", json!([{"type": "User", "id": "u4"}]));
        failed.insert("outcome".to_owned(), json!({"result": "FAILURE"}));
        let mut told = Told::default();
        for event in [
            event("user.lifecycle.delete.completed", json!([ada])),
            event("user.lifecycle.delete.initiated", json!([{"type": "User", "id": "u2"}])),
            failed,
            event("group.lifecycle.delete", json!([staff])),
            event("group.user_membership.remove", json!([ada, staff])),
            event("group.user_membership.add", json!([ada, staff])),
            event("group.user_membership.remove", json!([staff, {"type": "User", "id": "u3"}])),
            event("group.user_membership.remove", json!(null)),
        ] {
            told.take(&event);
        }
        let gone = [(Kind::Account, "u1".to_owned()), (Kind::Group, "g1".to_owned())];
        assert_eq!(told.gone, gone);
        let member = |user: &str| ("g1".to_owned(), user.to_owned());
        assert_eq!(told.members, BTreeMap::from([(member("u1"), false), (member("u3"), true)]));
    }
}
