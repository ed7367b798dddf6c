//! Lists of the Directory API, page by page, and what its refusals mean.

use serde_json::Value;
use url::Url;

use super::google_entry::text;
use crate::pull::SourceError;
use crate::pull::client::{Refusal, Trail, Verdict};
use crate::pull::oauth::Authorized;
use crate::scim::Object;

/// The reasons of a 403 that later is none.
const BUSY: [&str; 3] = ["userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded"];

/// A 403 is a refusal, or says that there were too many requests.
fn judge(refusal: &Refusal<'_>) -> Option<Verdict> {
    let is_busy = refusal.status == 403
        && (BUSY.contains(&refusal.text("/error/errors/0/reason"))
            || refusal.text("/error/status") == "RESOURCE_EXHAUSTED");
    is_busy.then(|| Verdict::Busy { pause_ms: refusal.retry_after_ms() })
}

/// The API with somebody who may read it.
pub(super) struct Api {
    client: Authorized,
    /// What stands before `/admin/directory/v1`.
    base: Url,
}

/// A list of the API.
pub(super) struct List<'l> {
    pub(super) path: &'l [&'l str],
    pub(super) query: Vec<(&'l str, String)>,
    /// `kind` of an answer, which tells an empty list from something else.
    pub(super) kind: &'l str,
    /// The member that holds the objects; it is left out when there are none.
    pub(super) member: &'l str,
}

impl Api {
    pub(super) fn new(client: Authorized, base: Url) -> Self {
        Self { client: client.judged_by(judge), base }
    }

    fn address(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["admin", "directory", "v1"]).extend(path);
        }
        let given = query.iter().filter(|(_, value)| !value.is_empty());
        let given: Vec<_> = given.collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given.iter().map(|(name, value)| (name, value)));
        }
        url
    }

    /// A user with everything that lists have of it, by id or address.
    pub(super) fn user(&mut self, key: &str) -> Result<Object, SourceError> {
        let full = [("projection", "full".to_owned())];
        Ok(self.client.get(&self.address(&["users", key], &full))?.object)
    }

    /// A group; `None` where Google says that there is no such group.
    pub(super) fn group(&mut self, id: &str) -> Result<Option<Object>, SourceError> {
        match self.client.get(&self.address(&["groups", id], &[])) {
            Ok(page) => Ok(Some(page.object)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many a list has, as far as its first page says it.
    pub(super) fn count(&mut self, list: &List<'_>) -> Result<Option<u64>, SourceError> {
        let page = self.client.get(&self.address(list.path, &list.query))?.object;
        let (objects, next) = page_of(page, list)?;
        Ok(next.is_none().then_some(objects.len()).and_then(|count| u64::try_from(count).ok()))
    }

    /// Every object of a list, page by page.
    pub(super) fn list(
        &mut self,
        list: &List<'_>,
        take: &mut dyn FnMut(Object) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut trail = Trail::default();
        let mut query = list.query.clone();
        loop {
            let page = self.client.get(&self.address(list.path, &query))?.object;
            let (objects, next) = page_of(page, list)?;
            let read = objects.len();
            objects.into_iter().try_for_each(&mut *take)?;
            let Some(token) = next else { return Ok(()) };
            trail.step(&token, read)?;
            // A token belongs to a request with the same parameters.
            query.truncate(list.query.len());
            query.push(("pageToken", token));
        }
    }
}

/// The objects of a page, and the token of the next one.
fn page_of(
    mut page: Object,
    list: &List<'_>,
) -> Result<(Vec<Object>, Option<String>), SourceError> {
    let List { kind, member, .. } = list;
    let odd = || SourceError::failed(format!("Google answers with something that is no {kind}"));
    if text(&page, "kind") != *kind {
        return Err(odd());
    }
    let next = Some(text(&page, "nextPageToken").to_owned()).filter(|token| !token.is_empty());
    let objects = match page.shift_remove(*member) {
        None => Vec::new(),
        Some(Value::Array(objects)) => objects,
        Some(_) => return Err(odd()),
    };
    let object = |value| match value {
        Value::Object(object) => Ok(object),
        _ => Err(odd()),
    };
    Ok((objects.into_iter().map(object).collect::<Result<_, _>>()?, next))
}

pub(super) fn is_not_found(error: &SourceError) -> bool {
    error.message().starts_with("the source answers 404")
}

/// A 403 that is no rate limit.
pub(super) fn is_forbidden(error: &SourceError) -> bool {
    matches!(error, SourceError::Credentials(_))
        && error.message().starts_with("the source answers 403")
}
