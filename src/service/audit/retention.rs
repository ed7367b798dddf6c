//! What is old goes, and of deleted organizations what tells more than that something was done.

use crate::clock::Clock;
use crate::service::policy::Span;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;

/// How long rows are kept when the operator does not say.
pub const RETENTION: Span = Span::days(400);

/// Rows touched in one unit.
const ROWS: i64 = 1_000;

impl Service {
    /// Removes rows that are older than the retention, and names and values of organizations that are gone,
    /// in bounded units.
    pub async fn prune_audit(&self) -> Result<(), ServiceError> {
        let until = self.clock.now_ms().saturating_sub(self.audit_retention.as_ms());
        let floor = Clock::floor("audit", until);
        loop {
            let before = floor.clone();
            let pruned: Result<usize, StoreError> =
                self.store.write("audit_prune", move |tx| tx.audit_prune(&before, ROWS)).await;
            if pruned? == 0 {
                break;
            }
        }
        while let Some(organization) = self.audit_forgotten().await? {
            let mut after = String::new();
            loop {
                let organization = organization.clone();
                let part: Result<Option<String>, StoreError> = self
                    .store
                    .write("audit_forget", move |tx| tx.audit_forget(&organization, &after, ROWS))
                    .await;
                match part? {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        Ok(())
    }

    async fn audit_forgotten(&self) -> Result<Option<String>, ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let next: Result<Option<String>, StoreError> =
            self.store.get("audit_forget_next", |tx| tx.audit_forget_next()).await;
        Ok(next?)
    }
}
