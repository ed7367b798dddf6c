//! What has become of deliveries: the log of attempts, parked events, and the test of an endpoint.

use std::sync::Arc;

use super::attempt::{Envelope, Target};
use super::view::{DeliveryView, ParkedPage};
use crate::scim::key::instant_text;
use crate::service::administer::{ListPage, ListParameters};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::webhook::{AttemptRow, EndpointRow, ParkedRow};

/// How long attempts are kept, in milliseconds: seven days.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Which attempts a list shows.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    pub event_id: Option<String>,
    /// `delivered` or `failed`.
    pub outcome: Option<String>,
    pub list: ListParameters,
}

impl Service {
    fn delivery_view(&self, endpoint_id: &str, row: AttemptRow) -> DeliveryView {
        let detail = self.attempt_detail(endpoint_id, &row);
        DeliveryView {
            id: row.id,
            event_id: row.event_id,
            event: row.event,
            replay_id: row.replay_id,
            attempt: row.attempt,
            at: instant_text(row.at),
            duration_ms: row.duration_ms,
            status: row.status,
            outcome: row.outcome,
            error: detail.error,
            answer: detail.answer,
        }
    }

    /// The attempts that are kept of an endpoint, newest first.
    pub async fn webhook_deliveries(
        &self,
        access: &ApiAccess,
        id: &str,
        query: DeliveryQuery,
    ) -> Result<ListPage<DeliveryView>, ServiceError> {
        let outcome = query.outcome.filter(|outcome| !outcome.is_empty());
        if outcome.as_ref().is_some_and(|word| !["delivered", "failed"].contains(&word.as_str())) {
            let message = "allowed are \"delivered\" and \"failed\".";
            return Err(AdminError::invalid("outcome", message).into());
        }
        let range = query.list.range()?;
        let endpoint = self.webhook_row(access, id).await?.id;
        let (wanted, reading, event_id) = (endpoint.clone(), range.clone(), query.event_id);
        let rows: Result<Vec<AttemptRow>, StoreError> = self
            .store
            .get("webhook_attempts", move |tx| {
                tx.webhook_attempts(&wanted, event_id.as_deref(), outcome.as_deref(), &reading)
            })
            .await;
        let views =
            rows?.into_iter().map(|row| self.delivery_view(&endpoint, row)).collect::<Vec<_>>();
        Ok(ListPage::of(&range, views, |view| &view.id))
    }

    /// The events that an endpoint has refused until it was passed over them, oldest first, behind a
    /// position.
    pub async fn webhook_parked(
        &self,
        access: &ApiAccess,
        id: &str,
        after: i64,
        limit: i64,
    ) -> Result<ParkedPage, ServiceError> {
        let endpoint = self.webhook_row(access, id).await?.id;
        let rows: Result<Vec<ParkedRow>, StoreError> = self
            .store
            .get("webhook_parked", move |tx| tx.webhook_parked(&endpoint, after, limit + 1))
            .await;
        let mut rows = rows?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next = rows.last().map_or(after, |row| row.position);
        Ok(ParkedPage { data: rows.into_iter().map(Into::into).collect(), next, more })
    }

    /// Sends an event that is in no log, whatever state the endpoint has, and answers what came of it. It
    /// runs to its end whether or not somebody waits for it: a receiver may take its time, and who goes
    /// away and comes again must not have two.
    pub async fn webhook_test(
        self: &Arc<Self>,
        access: &ApiAccess,
        id: &str,
    ) -> Result<DeliveryView, ServiceError> {
        let row = self.webhook_row(access, id).await?;
        let turn = self.webhooks.tests.begin(&row.id)?;
        let service = Arc::clone(self);
        let test = tokio::spawn(async move {
            let _until_it_ends = turn;
            service.test_endpoint(row).await
        });
        test.await.unwrap_or_else(|_| {
            Err(AdminError::new(500, "internal_error", "The test was not finished.").into())
        })
    }

    async fn test_endpoint(&self, row: EndpointRow) -> Result<DeliveryView, ServiceError> {
        let now = self.clock.now_ms();
        let secrets = self.webhooks.secrets(&row, now)?;
        let target = Target { endpoint_id: row.id.clone(), url: row.url, secrets };
        let session = self.webhooks.outbound.session(self.webhooks.timeout);
        let event = Envelope::test(self.clock.id("event"), &target.endpoint_id, now);
        let attempt = self.webhook_send(&target, &session, &event, None).await;
        let kept = self.attempt_row(&target.endpoint_id, &event, 1, None, &attempt);
        let (endpoint_id, stored) = (target.endpoint_id.clone(), kept.clone());
        let noted: Result<(), StoreError> = self
            .store
            .write("webhook_tested", move |tx| {
                // It may have been deleted meanwhile.
                if tx.webhook_lock(&endpoint_id)?.is_some() {
                    tx.webhook_attempt_insert(&endpoint_id, &stored)?;
                    tx.webhook_trim(&endpoint_id)?;
                }
                Ok(())
            })
            .await;
        noted?;
        Ok(self.delivery_view(&target.endpoint_id, kept))
    }

    /// Forgets attempts that are old, parked events that have left the log, and secrets whose overlap is
    /// over.
    pub async fn prune_webhooks(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        let until = now - KEPT_MS;
        let due: Result<bool, StoreError> = self
            .store
            .read("webhook_prunable", move |tx| {
                let pruned = tx.log_pruned()?;
                tx.webhook_prunable(until, pruned, now)
            })
            .await;
        if !due? {
            return Ok(());
        }
        let pruned: Result<usize, StoreError> = self
            .store
            .write("webhook_prune", move |tx| {
                let pruned = tx.log_pruned()?;
                tx.webhook_end_secrets(now)?;
                tx.webhook_prune(until, pruned)
            })
            .await;
        pruned?;
        Ok(())
    }
}
