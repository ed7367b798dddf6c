//! The keys that sign: made when the first stream is, rotated by the operator.
//!
//! Which key signs follows from the rows and the time alone, so all processes use the same one.

use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::SigningKey;
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::signing_key::SigningKeyRow;

/// Seconds that a new key is published before it signs: a day. Receivers keep a key set for hours.
const PUBLISH: i64 = 24 * 60 * 60;

/// Seconds that the keys before are published beside it: 30 days, as tokens may be verified late.
const KEEP: i64 = 30 * 24 * 60 * 60;

/// Most of both.
const LONGEST: i64 = 365 * 24 * 60 * 60;

/// How long a process answers the key set that it has read, in milliseconds: everybody may ask for it.
const FRESH_MS: i64 = 5_000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// Seconds until the new key signs.
    #[serde(default)]
    pub publish: Option<i64>,
    /// Seconds that the keys before it stay published from then on.
    #[serde(default)]
    pub keep: Option<i64>,
}

/// A key that is published.
#[derive(Clone, Debug, Serialize)]
pub struct SigningKeyView {
    object: &'static str,
    id: String,
    /// `next`, `active` or `previous`.
    state: &'static str,
    signs_from: String,
    published_until: Option<String>,
    created_at: String,
}

/// The key that signs at that time.
fn active(rows: &[SigningKeyRow], now: i64) -> Option<&SigningKeyRow> {
    rows.iter().rev().find(|row| row.active_from <= now).or(rows.first())
}

fn views(rows: &[SigningKeyRow], now: i64) -> Vec<SigningKeyView> {
    let signs = active(rows, now).map(|row| row.id.as_str());
    rows.iter()
        .map(|row| SigningKeyView {
            object: "signing_key",
            id: row.id.clone(),
            state: match signs {
                Some(id) if id == row.id => "active",
                _ if row.active_from > now => "next",
                _ => "previous",
            },
            signs_from: instant_text(row.active_from),
            published_until: row.retire_at.map(instant_text),
            created_at: instant_text(row.created),
        })
        .collect()
}

/// Keys that reach only some organizations do not manage what signs for all.
fn refuse_limited(access: &ApiAccess) -> Result<(), AdminError> {
    match access.organization_ids {
        None => Ok(()),
        Some(_) => Err(AdminError::new(
            403,
            "forbidden",
            "This API key is limited to certain organizations and cannot manage signing keys.",
        )),
    }
}

impl Service {
    async fn signing_key_rows(&self) -> Result<Vec<SigningKeyRow>, ServiceError> {
        let now = self.clock.now_ms();
        let rows: Result<_, StoreError> =
            self.store.get("signing_keys", move |tx| tx.signing_keys(now)).await;
        Ok(rows?)
    }

    /// The key that signs now, opened.
    pub(super) fn signing_key(
        &self,
        rows: &[SigningKeyRow],
    ) -> Result<Arc<SigningKey>, ServiceError> {
        let lost = |message: &str| ServiceError::from(AdminError::new(500, "key_lost", message));
        let row = active(rows, self.clock.now_ms())
            .ok_or_else(|| lost("There is no key that could sign."))?;
        let mut last = self.streams.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = last.as_ref().filter(|key| key.kid() == row.id) {
            return Ok(Arc::clone(key));
        }
        let opened = self.streams.key_seal.open(row.id.as_bytes(), &row.private);
        let key = opened.and_then(|text| {
            SigningKey::parse(&row.id, std::str::from_utf8(&text).unwrap_or_default())
        });
        let key = key.map(Arc::new).ok_or_else(|| {
            lost("The key that signs was sealed with another secret key; rotate the signing keys.")
        })?;
        *last = Some(Arc::clone(&key));
        Ok(key)
    }

    /// A new key, which signs from then on.
    async fn new_signing_key(&self, active_from: i64) -> Result<SigningKeyRow, ServiceError> {
        let failed = || AdminError::new(500, "key_failed", "No signing key could be made.");
        let made = tokio::task::spawn_blocking(SigningKey::generate).await;
        let text = made.ok().flatten().ok_or_else(failed)?;
        let id = self.clock.id("key");
        let key = SigningKey::parse(&id, &text).ok_or_else(failed)?;
        Ok(SigningKeyRow {
            private: self.streams.key_seal.seal(id.as_bytes(), text.as_bytes()),
            public: key.jwk().to_string(),
            active_from,
            retire_at: None,
            created: self.clock.now_ms(),
            id,
        })
    }

    /// Makes the first key where there is none.
    pub(super) async fn ensure_signing_key(&self) -> Result<(), ServiceError> {
        if !self.signing_key_rows().await?.is_empty() {
            return Ok(());
        }
        let now = self.clock.now_ms();
        let row = self.new_signing_key(now).await?;
        let stored: Result<(), StoreError> = self
            .store
            .write("signing_key_first", move |tx| match tx.signing_keys(now)?.is_empty() {
                true => tx.signing_key_insert(&row),
                false => Ok(()),
            })
            .await;
        self.forget_published().await;
        Ok(stored?)
    }

    /// The key set that receivers verify with (RFC 7517 §5).
    pub async fn jwks(&self) -> Result<Value, ServiceError> {
        // Whoever comes meanwhile waits for what is read.
        let mut published = self.streams.published.lock().await;
        let now = self.clock.now_ms();
        if let Some((at, keys)) = published.as_ref()
            && (0..FRESH_MS).contains(&(now - at))
        {
            return Ok(keys.clone());
        }
        let read: Result<Vec<String>, StoreError> =
            self.store.get("signing_keys_public", move |tx| tx.signing_keys_public(now)).await;
        let keys: Vec<Value> =
            read?.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let keys = json!({"keys": keys});
        *published = Some((now, keys.clone()));
        Ok(keys)
    }

    /// What was read before a key was stored here is not published any more.
    async fn forget_published(&self) {
        *self.streams.published.lock().await = None;
    }

    pub async fn signing_key_list(
        &self,
        access: &ApiAccess,
    ) -> Result<Vec<SigningKeyView>, ServiceError> {
        refuse_limited(access)?;
        Ok(views(&self.signing_key_rows().await?, self.clock.now_ms()))
    }

    /// Makes a new key, which is published now and signs later; answers all keys.
    pub async fn signing_key_rotate(
        &self,
        access: &ApiAccess,
        rotation: KeyRotation,
    ) -> Result<Vec<SigningKeyView>, ServiceError> {
        refuse_limited(access)?;
        let publish = rotation.publish.unwrap_or(PUBLISH);
        let keep = rotation.keep.unwrap_or(KEEP);
        for (field, seconds) in [("publish", publish), ("keep", keep)] {
            if !(0..=LONGEST).contains(&seconds) {
                let message = format!("it is {seconds}; allowed is 0 to {LONGEST} seconds.");
                return Err(AdminError::invalid(field, message).into());
            }
        }
        let now = self.clock.now_ms();
        let row = self.new_signing_key(now + publish * 1_000).await?;
        let audit = self.audit(access, action::SIGNING_KEY_ROTATED);
        let rows: Vec<SigningKeyRow> = self
            .store
            .write("signing_key_rotate", move |tx| {
                let waits = tx.signing_keys(now)?.iter().any(|key| key.active_from > now);
                if waits && publish > 0 {
                    let message = "A new key is published already and does not sign yet; wait for \
                                   it, or rotate with \"publish\": 0, which puts another one in \
                                   its place at once.";
                    return Err(AdminError::new(409, "rotation_in_progress", message).into());
                }
                tx.signing_key_insert(&row)?;
                tx.signing_key_supersede(&row, row.active_from + keep * 1_000)?;
                let signs_from = json!({"signs_from": instant_text(row.active_from)});
                audit.write(tx, Target::of_server(&row.id, None), Value::Null, signs_from)?;
                Ok::<_, ServiceError>(tx.signing_keys(now)?)
            })
            .await?;
        self.forget_published().await;
        Ok(views(&rows, now))
    }

    /// Removes keys that are published no longer.
    pub async fn prune_signing_keys(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        let due: Result<bool, StoreError> =
            self.store.get("signing_key_prunable", move |tx| tx.signing_key_prunable(now)).await;
        if due? {
            let pruned: Result<(), StoreError> =
                self.store.write("signing_key_prune", move |tx| tx.signing_key_prune(now)).await;
            pruned?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_key_whose_time_has_come_signs() {
        let key = |id: &str, active_from| SigningKeyRow {
            id: id.to_owned(),
            private: String::new(),
            public: String::new(),
            active_from,
            retire_at: None,
            created: 0,
        };
        let rows = [key("a", 10), key("b", 20), key("c", 20)];
        let signs = |now| active(&rows, now).map(|row| row.id.as_str());
        assert_eq!(signs(19), Some("a"));
        assert_eq!(signs(20), Some("c"));
        // The clock of another process is a little behind.
        assert_eq!(signs(9), Some("a"));
        assert!(active(&[], 0).is_none());
        let states: Vec<&str> = views(&rows[..2], 15).iter().map(|view| view.state).collect();
        assert_eq!(states, ["active", "next"]);
    }
}
