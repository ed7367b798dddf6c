//! What has arrived in a directory that is pushed.

use std::collections::HashMap;
use std::sync::Arc;

use super::log::{Entry, LogQuery};
use super::session::Visit;
use crate::scim::key::instant_text;
use crate::service::administer::DirectoryView;
use crate::service::context::Settings;
use crate::service::{Service, ServiceError, on_behalf_of};
use crate::store::StoreError;
use crate::store::app_read::AppCounts;
use crate::store::directory::DirectoryRow;

/// Requests that are shown.
const SHOWN: i64 = 10;

/// What has arrived so far.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub active_users: i64,
    pub inactive_users: i64,
    pub groups: i64,
    pub last_request_at: Option<String>,
    /// The newest requests, newest first.
    pub recent: Vec<Entry>,
    /// The last one that was refused, as long as it is kept.
    pub refused: Option<Entry>,
    /// Days that requests are kept.
    pub kept_days: i64,
}

impl Service {
    pub async fn portal_status(
        self: &Arc<Self>,
        visit: &Visit,
        id: &str,
    ) -> Result<(DirectoryView, Arrived), ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, async {
            let arrived = self.arrived(&row).await?;
            Ok((self.directory_view(row).await?, arrived))
        })
        .await
    }

    async fn arrived(self: &Arc<Self>, row: &DirectoryRow) -> Result<Arrived, ServiceError> {
        let key = row.key;
        let counts: Result<HashMap<i64, AppCounts>, StoreError> =
            self.store.read("portal_status", move |tx| tx.app_counts(&[key])).await;
        let counts = counts?.remove(&key).unwrap_or_default();
        let recent = self.log(row, &LogQuery::default(), SHOWN).await?.entries;
        // When a token was used is written down once a minute only.
        let newest = recent.first().map(|entry| entry.at.clone());
        Ok(Arrived {
            active_users: counts.active,
            inactive_users: counts.inactive,
            groups: counts.groups,
            last_request_at: newest.or_else(|| row.last_request.map(instant_text)),
            refused: self.last_refusal(row).await?,
            recent,
            kept_days: Settings::stored(&row.settings).records.days,
        })
    }
}
