//! Looks at a source beside its runs: a test of the connection, and a check of files that were handed in.
//!
//! Each takes a thread, and its turn ([`crate::service::turns`]) lasts as long as the thread does. A thread
//! that nobody waits for any more is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::settings::ReadSettings;
use super::stage::{Progress, Stage};
use crate::pull::field::with_defaults;
use crate::pull::plan::Stored;
use crate::pull::term::Term;
use crate::pull::{Connector, SourceError, SourceKind, Surroundings};
use crate::service::context::Settings;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::sync::SyncRow;

/// Longest time that a look may take.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a look waits for a source that cannot be reached, in milliseconds: far below [`LONGEST`], so
/// that the reason is told.
const PATIENCE_MS: i64 = 5_000;

/// Tells a thread to end when nobody waits for it any more.
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Service {
    /// Whether the source can be reached: `{ok, users?, groups?, warnings, error?}`. Changes nothing.
    ///
    /// # Errors
    /// 409 `test_in_progress` while the directory is tested already, 503 `too_many_tests` while two
    /// others of its organization are, or too many of all.
    pub async fn source_test(&self, access: &ApiAccess, id: &str) -> Result<Value, ServiceError> {
        let (row, sync, kind) = self.source_of(access, id).await?;
        let probed = self.examine(&row, &sync, kind, |connector, _| connector.probe()).await?;
        Ok(match probed {
            Ok(probe) => json!({
                "ok": true,
                "users": probe.users,
                "groups": probe.groups,
                "warnings": probe.warnings,
            }),
            Err(error) => json!({
                "ok": false,
                "error": error.message(),
                "code": match error {
                    SourceError::Credentials(_) => "invalid_credentials",
                    _ => "failed",
                },
            }),
        })
    }

    /// What cannot be used of a source, as far as that is known before it is compared with what is stored:
    /// place (`line 3 of users`; empty for all of it) and sentence. For sources that are files.
    ///
    /// # Errors
    /// As [`Service::source_test`].
    pub async fn source_check(
        self: &Arc<Self>,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Vec<(String, String)>, ServiceError> {
        let (row, sync, kind) = self.source_of(access, id).await?;
        let (service, access) = (Arc::clone(self), self.source_access(&row).await?);
        let checked = self.examine(&row, &sync, kind, move |connector, term| {
            let (stored, progress) = (Arc::new(Stored::default()), Arc::new(Progress::default()));
            let mut stage = Stage::new(service, access, stored, None, false, (term, progress));
            connector.full(&mut stage)?;
            let faults = stage.finished().faults.into_iter();
            Ok(faults.map(|fault| (fault.place, fault.message)).collect())
        });
        let whole = |error: SourceError| vec![(String::new(), error.message().to_owned())];
        Ok(checked.await?.unwrap_or_else(whole))
    }

    /// Opens the source of a directory and does something with it, in a thread of its own.
    async fn examine<T: Send + 'static>(
        &self,
        row: &DirectoryRow,
        sync: &SyncRow,
        kind: &'static SourceKind,
        work: impl FnOnce(&mut dyn Connector, Term) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<Result<T, SourceError>, ServiceError> {
        let turn = self.syncs.tests.begin_of(&row.organization_id, &row.id)?;
        let config = self.syncs.open_config(row, sync).unwrap_or_default();
        let config = with_defaults(&config, kind.fields);
        let wants_groups = ReadSettings::of(&Settings::stored(&row.settings), kind)
            .map_or(true, |settings| settings.wants_groups());
        let end = EndOnDrop(Arc::default());
        let term = Term::begin(Arc::clone(&end.0), self.clock.clone(), LONGEST);
        let surroundings = Surroundings {
            outbound: self.syncs.outbound.clone(),
            clock: self.clock.clone(),
            request_timeout: self.syncs.request_timeout,
            first_retry_ms: self.syncs.first_retry_ms,
            patience_ms: PATIENCE_MS,
            files: self.source_files(row).await?,
            term: term.clone(),
            wants_groups,
            last: None,
        };
        let looked = tokio::task::spawn_blocking(move || {
            let _until_it_ends = turn;
            work((kind.open)(&config, surroundings)?.as_mut(), term)
        });
        Ok(match tokio::time::timeout(LONGEST, looked).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(_)) => Err(SourceError::failed("the test has stopped")),
            Err(_) => {
                let seconds = LONGEST.as_secs();
                let message = format!("the source did not answer within {seconds} seconds");
                Err(SourceError::failed(message))
            }
        })
    }
}
