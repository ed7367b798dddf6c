//! Which client was seen at which directory: remembered per process, written down now and then outside
//! the request, shown beside what the directory was made for. Nothing is switched because of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::authenticate::Access;
use super::context::Kind;
use super::{Service, ServiceError};
use crate::profile::detect::{self, Confidence, Detection};
use crate::scim::key::instant_text;
use crate::store::StoreError;
use crate::store::client::ClientRow;
use crate::store::directory::DirectoryRow;

/// How often the last sight of a client is written down, in milliseconds.
const WRITE_EVERY_MS: i64 = 10 * 60_000;

/// How soon another client is written down: two that share a directory write no more than that.
const CHANGE_EVERY_MS: i64 = 60_000;

/// Directories that a process remembers; beyond it starts anew.
const REMEMBERED: usize = 100_000;

/// What a process has seen.
#[derive(Default)]
pub(super) struct Sightings {
    by_directory: Mutex<HashMap<i64, Sighting>>,
}

struct Sighting {
    provider: &'static str,
    confidence: Confidence,
    evidence: Vec<&'static str>,
    first_seen: i64,
    last_seen: i64,
    written: i64,
}

impl Sighting {
    fn row(&self, directory_key: i64) -> ClientRow {
        ClientRow {
            directory_key,
            provider: self.provider.to_owned(),
            evidence: json!(self.evidence).to_string(),
            confidence: self.confidence.number(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }
}

/// What follows from a sight.
#[derive(Debug, Default, PartialEq, Eq)]
struct Noted {
    /// True when this client was not the one that was last known.
    is_new: bool,
    write: Option<ClientRow>,
}

impl Sightings {
    /// Takes a sight in, unless a surer one of another client is known.
    fn note(&self, directory_key: i64, found: &Detection, now: i64) -> Noted {
        let mut seen = self.by_directory.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED && !seen.contains_key(&directory_key) {
            seen.clear();
        }
        let is_known = |known: &Sighting| known.provider == found.provider;
        let written = match seen.get(&directory_key) {
            Some(known) if !is_known(known) && known.confidence > found.confidence => {
                return Noted::default();
            }
            known => known.map(|known| known.written),
        };
        let is_new = !seen.get(&directory_key).is_some_and(is_known);
        let sighting = seen.entry(directory_key).or_insert_with(|| Sighting::of(found, now));
        if is_new {
            *sighting = Sighting::of(found, now);
        }
        let surer = found.confidence > sighting.confidence;
        if surer {
            sighting.confidence = found.confidence;
        }
        for evidence in &found.evidence {
            if !sighting.evidence.contains(evidence) {
                sighting.evidence.push(evidence);
            }
        }
        sighting.last_seen = now;
        let wait = if is_new || surer { CHANGE_EVERY_MS } else { WRITE_EVERY_MS };
        let due = written.is_none_or(|written| (now - written).abs() >= wait);
        sighting.written = if due { now } else { written.unwrap_or(now) };
        Noted { is_new, write: due.then(|| sighting.row(directory_key)) }
    }

    fn get(&self, directory_key: i64) -> Option<ClientRow> {
        let seen = self.by_directory.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&directory_key).map(|sighting| sighting.row(directory_key))
    }
}

impl Sighting {
    fn of(found: &Detection, now: i64) -> Self {
        Self {
            provider: found.provider,
            confidence: found.confidence,
            evidence: found.evidence.clone(),
            first_seen: now,
            last_seen: now,
            written: now,
        }
    }
}

/// The client of a directory, as the management API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ClientView {
    /// The provider that the directory was made for.
    pub expected: String,
    /// The provider whose client was seen; null when nothing gave one away.
    pub detected: Option<String>,
    pub confidence: Option<&'static str>,
    pub evidence: Vec<Value>,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    /// Null when none was seen.
    pub matches: Option<bool>,
}

impl ClientView {
    /// Before anything was seen.
    pub(super) fn nobody(kind: &str) -> Self {
        Self {
            expected: Kind::parse(kind).map_or(kind, |kind| kind.provider).to_owned(),
            detected: None,
            confidence: None,
            evidence: Vec::new(),
            first_seen: None,
            last_seen: None,
            matches: None,
        }
    }

    fn of(kind: &str, row: ClientRow) -> Self {
        let nobody = Self::nobody(kind);
        Self {
            matches: Some(detect::matches(&nobody.expected, &row.provider)),
            confidence: Some(Confidence::from_number(row.confidence).as_str()),
            evidence: serde_json::from_str(&row.evidence).unwrap_or_default(),
            first_seen: Some(instant_text(row.first_seen)),
            last_seen: Some(instant_text(row.last_seen)),
            detected: Some(row.provider),
            ..nobody
        }
    }
}

impl Service {
    /// Notes which client talks. False when it is not the one that the directory was made for; that is
    /// said in the log when it is seen first.
    pub fn client_seen(&self, access: &Access, found: &Detection) -> bool {
        let (directory, now) = (&access.directory, self.clock.now_ms());
        let noted = self.sightings.note(directory.key, found, now);
        let fits = detect::matches(directory.provider, found.provider);
        if noted.is_new && !fits {
            tracing::warn!(
                directory = directory.id,
                expected = directory.provider,
                detected = found.provider,
                confidence = found.confidence.as_str(),
                evidence = ?found.evidence,
                "another client than the one that the directory was made for"
            );
        }
        if let Some(row) = noted.write {
            let store = self.store.clone();
            tokio::spawn(async move {
                let written: Result<(), StoreError> =
                    store.write("client_seen", move |tx| tx.client_seen(&row)).await;
                written.unwrap_or_else(|error| tracing::debug!(%error, "a client is not noted"));
            });
        }
        fits
    }

    /// The clients of those directories, in their order: what is stored, or what this process has seen
    /// since.
    pub(super) async fn clients(
        &self,
        rows: &[DirectoryRow],
    ) -> Result<Vec<ClientView>, ServiceError> {
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        let stored: Result<Vec<ClientRow>, StoreError> =
            self.store.get("client_list", move |tx| tx.client_list(&keys)).await;
        let mut stored: HashMap<i64, ClientRow> =
            stored?.into_iter().map(|row| (row.directory_key, row)).collect();
        let views = rows.iter().map(|row| {
            let client = newest(stored.remove(&row.key), self.sightings.get(row.key));
            client.map_or_else(|| ClientView::nobody(&row.kind), |c| ClientView::of(&row.kind, c))
        });
        Ok(views.collect())
    }
}

/// The later of two sights, by the rule of [`Sightings::note`].
fn newest(stored: Option<ClientRow>, seen: Option<ClientRow>) -> Option<ClientRow> {
    let (Some(stored), Some(seen)) = (stored.clone(), seen.clone()) else { return stored.or(seen) };
    if stored.provider == seen.provider {
        let surer = if stored.confidence > seen.confidence { &stored } else { &seen };
        return Some(ClientRow {
            first_seen: stored.first_seen.min(seen.first_seen),
            last_seen: stored.last_seen.max(seen.last_seen),
            ..surer.clone()
        });
    }
    let stands = stored.confidence > seen.confidence
        || (stored.confidence == seen.confidence && stored.last_seen > seen.last_seen);
    Some(if stands { stored } else { seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(provider: &'static str, confidence: Confidence, evidence: &'static str) -> Detection {
        Detection { provider, confidence, evidence: vec![evidence] }
    }

    #[test]
    fn sights_are_kept_by_how_sure_they_are_and_written_seldom() {
        use Confidence::{Certain, Likely, Weak};
        let seen = Sightings::default();
        let minute = 60_000;
        for (at, provider, confidence, new, written, known) in [
            (0, "okta", Weak, true, true, "okta"),
            (1, "okta", Weak, false, false, "okta"),
            // Surer, but only just written.
            (2, "okta", Likely, false, false, "okta"),
            (3, "entra", Weak, false, false, "okta"),
            (minute, "entra", Likely, true, true, "entra"),
            (minute + 1, "okta", Certain, true, false, "okta"),
            (minute + 2, "entra", Likely, false, false, "okta"),
            (10 * minute, "okta", Certain, false, false, "okta"),
            (11 * minute, "okta", Weak, false, true, "okta"),
        ] {
            let noted = seen.note(1, &found(provider, confidence, "a sign"), at);
            assert_eq!((noted.is_new, noted.write.is_some()), (new, written), "at {at}");
            assert_eq!(seen.get(1).expect("seen").provider, known, "at {at}");
        }
        let row = seen.get(1).expect("seen");
        assert_eq!((row.confidence, row.first_seen), (3, minute + 1));
        assert_eq!(row.last_seen, 11 * minute);
        assert_eq!(seen.get(2), None);
    }

    #[test]
    fn evidence_grows_without_repeating() {
        let seen = Sightings::default();
        for sign in ["a", "b", "a"] {
            seen.note(1, &found("okta", Confidence::Weak, sign), 0);
        }
        assert_eq!(seen.get(1).expect("seen").evidence, r#"["a","b"]"#);
    }
}
