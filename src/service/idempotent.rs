//! POST requests that a client may send again without doing anything twice (`Idempotency-Key`).
//!
//! The key belongs to the API key and lives for 24 hours. The first request takes it, with a lease;
//! every unit that it writes notes in the same transaction that it has done something. An answer of
//! success is kept, sealed, because it may hold a secret; after a refusal the key is free again, as
//! nothing was done. A process that stops in between leaves a key that is free if nothing was done, and
//! one that says that the answer is lost if something was: never does a request run twice.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::AdminError;
use super::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::idempotent::{Claim, IdempotentRow};

pub use crate::store::under_claim;

/// How long an answer is kept, in milliseconds: 24 hours.
const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long a request is believed to run, in milliseconds. Longer than any statement may take.
const LEASE_MS: i64 = 2 * 60 * 1_000;

/// A request that runs for longer has probably stopped with its process, in milliseconds.
const USUAL_MS: i64 = 10_000;

/// How often a key is claimed that somebody else lets go of meanwhile.
const CLAIMS: usize = 3;

/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// Rows removed in one unit.
const ROWS: i64 = 1_000;

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// What a request with a key is to do.
#[derive(Debug)]
pub enum Turn {
    /// Run, and end with [`Service::idempotent_end`].
    Run(Claim),
    /// Answer that.
    Replay(Kept),
    /// The same request runs now: try again in so many seconds.
    Busy(u64),
}

/// What a key stands for: the same request has the same one.
pub fn fingerprint(method: &str, path_and_query: &str, body: &[u8]) -> String {
    let mut digest = Sha256::new();
    for part in [method.as_bytes(), path_and_query.as_bytes(), body] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Service {
    /// Takes the key for a request, or says what became of it.
    pub async fn idempotent_begin(
        &self,
        access: &ApiAccess,
        key: &str,
        fingerprint: String,
    ) -> Result<Turn, ServiceError> {
        if key.len() > MAX_KEY_BYTES || !key.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
            let message =
                format!("it must have at most {MAX_KEY_BYTES} printable ASCII characters.");
            return Err(AdminError::invalid("Idempotency-Key", message).into());
        }
        let now = self.clock.now_ms();
        let claim = Claim {
            api_key_id: access.key_id.clone(),
            key: key.to_owned(),
            runner: self.clock.id("run"),
        };
        let claiming = claim.clone();
        let wanted = fingerprint.clone();
        let row: Result<Option<IdempotentRow>, StoreError> = self
            .store
            .write("idempotent_begin", move |tx| {
                for _ in 0..CLAIMS {
                    match tx.idempotent_claim(&claiming, &wanted, now + LEASE_MS, now)? {
                        Some(row) if is_over(&row, now) => tx.idempotent_forget(&claiming)?,
                        Some(row) => return Ok(Some(row)),
                        // Whoever had the key let it go between the two statements.
                        None => {}
                    }
                }
                Ok(None)
            })
            .await;
        let Some(row) = row? else { return Ok(Turn::Busy(1)) };
        if row.runner == claim.runner {
            return Ok(Turn::Run(claim));
        }
        if row.fingerprint != fingerprint {
            let message = "another request was sent with this key; use a new key for each request.";
            return Err(AdminError::invalid("Idempotency-Key", message).into());
        }
        if let Some(kept) = row.answer.as_deref().and_then(|sealed| self.opened(&claim, sealed)) {
            return Ok(Turn::Replay(kept));
        }
        if row.lease > now && row.answer.is_none() {
            return Ok(Turn::Busy(retry_seconds(row.lease, now)));
        }
        let message = "This request was carried out, but its answer was lost when the server stopped; \
                       read what it made before sending another with a new Idempotency-Key.";
        Err(AdminError::new(409, "idempotent_answer_lost", message).into())
    }

    /// Keeps the answer of a success; after a refusal the key is free again.
    pub async fn idempotent_end(&self, claim: Claim, kept: Option<Kept>) {
        let answer = kept.map(|kept| {
            let text = serde_json::to_vec(&kept).unwrap_or_default();
            (i32::from(kept.status), self.answers.seal(&context(&claim), &text))
        });
        let ended: Result<(), StoreError> = self
            .store
            .write("idempotent_end", move |tx| match &answer {
                Some((status, answer)) => tx.idempotent_finish(&claim, *status, answer),
                None => tx.idempotent_release(&claim),
            })
            .await;
        if let Err(error) = ended {
            tracing::warn!(%error, "the answer of an idempotent request is not kept");
        }
    }

    /// Ends the leases of a process that had the database alone and has stopped: what it has not done is
    /// free to be run, and of what it has done it is said that the answer is lost.
    pub async fn release_idempotent(&self) -> Result<(), ServiceError> {
        self.store.write("idempotent_release", |tx| Ok(tx.idempotent_end_leases()?)).await
    }

    fn opened(&self, claim: &Claim, sealed: &str) -> Option<Kept> {
        serde_json::from_slice(&self.answers.open(&context(claim), sealed)?).ok()
    }

    /// Forgets keys whose time is over.
    pub async fn prune_idempotent(&self) -> Result<(), ServiceError> {
        let before = self.clock.now_ms() - KEPT_MS;
        loop {
            let pruned: Result<usize, StoreError> = self
                .store
                .write("idempotent_prune", move |tx| tx.idempotent_prune(before, ROWS))
                .await;
            if pruned? == 0 {
                return Ok(());
            }
        }
    }
}

/// Whether a key is free: its day is over, or its runner has stopped before it did anything.
fn is_over(row: &IdempotentRow, now: i64) -> bool {
    row.created + KEPT_MS <= now || (row.lease <= now && !row.committed && row.answer.is_none())
}

/// After how many seconds a request is worth another try that runs elsewhere: in a moment, as requests
/// are short, or when the lease of one that seems to have stopped is over.
fn retry_seconds(lease: i64, now: i64) -> u64 {
    let ran = now - (lease - LEASE_MS);
    match ran <= USUAL_MS {
        true => 1,
        false => (lease - now).max(1).unsigned_abs().div_ceil(1_000),
    }
}

/// What an answer is sealed for.
fn context(claim: &Claim) -> Vec<u8> {
    format!("{}\0{}", claim.api_key_id, claim.key).into_bytes()
}
