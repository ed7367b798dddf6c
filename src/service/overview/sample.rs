//! Adds up what was counted, and looks the rest up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::count::Counts;
use super::{HOUR, KEPT, MINUTE, beginning};
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::sample::CLAIM;

impl Service {
    /// Adds what this process has counted, and looks up what this minute has not been looked up for.
    pub async fn sample(self: &Arc<Self>) -> Result<(), ServiceError> {
        self.add_counts().await?;
        let now = self.clock.now_ms();
        let (minute, hour) = (beginning(MINUTE, now), beginning(HOUR, now));
        let newest: Result<Option<i64>, StoreError> =
            self.store.get("sample_newest", |tx| tx.sample_newest(MINUTE, CLAIM)).await;
        if newest? == Some(minute) {
            return Ok(());
        }
        // Whoever has claimed the minute does the rest; when it dies there, the minute is missing.
        let claimed: Result<(bool, bool), StoreError> = self
            .store
            .write("sample_claim", move |tx| {
                let is_new_hour = tx.sample_claim(HOUR, hour)?;
                Ok((tx.sample_claim(MINUTE, minute)?, is_new_hour))
            })
            .await;
        let (is_mine, is_new_hour) = claimed?;
        if is_mine {
            let values = self.look_up().await?;
            let written: Result<(), StoreError> = self
                .store
                .write("sample_put", move |tx| {
                    for (series, value) in &values {
                        tx.sample_put(MINUTE, series, minute, *value)?;
                        tx.sample_put(HOUR, series, hour, *value)?;
                    }
                    Ok(())
                })
                .await;
            written?;
        }
        if is_new_hour {
            self.prune_samples(now).await?;
        }
        Ok(())
    }

    async fn add_counts(&self) -> Result<(), ServiceError> {
        let counts = self.samples.take();
        if counts.is_empty() {
            return Ok(());
        }
        let rows = rows(&counts);
        let added: Result<(), StoreError> = self
            .store
            .write("sample_add", move |tx| {
                for ((span, series, at), count) in &rows {
                    tx.sample_add(*span, series, *at, *count)?;
                }
                Ok(())
            })
            .await;
        Ok(added.inspect_err(|_| self.samples.put_back(counts))?)
    }

    /// Users, directories, alarms, and how far the slowest endpoint is behind.
    async fn look_up(&self) -> Result<Vec<(String, i64)>, ServiceError> {
        let found: Result<Vec<(String, i64)>, StoreError> = self
            .store
            .scan("sample_look", |tx| {
                let users = tx.app_totals()?;
                let (end, places) = (tx.log_position()?, tx.webhook_places()?);
                let enabled = places.iter().filter(|place| place.state == "enabled");
                let behind = enabled.map(|place| end.saturating_sub(place.position).max(0)).max();
                let alarms: i64 = tx.alarm_counts()?.iter().map(|(_, count)| count).sum();
                let mut values = vec![
                    ("users.active".to_owned(), users.active),
                    ("users.inactive".to_owned(), users.inactive),
                    ("groups".to_owned(), users.groups),
                    ("webhooks.behind".to_owned(), behind.unwrap_or(0)),
                    ("alarms".to_owned(), alarms),
                ];
                let states = tx.directory_states()?.into_iter();
                values.extend(states.map(|(state, n)| (format!("directories.{state}"), n)));
                Ok(values)
            })
            .await;
        Ok(found?)
    }

    async fn prune_samples(&self, now: i64) -> Result<(), ServiceError> {
        let pruned: Result<(), StoreError> = self
            .store
            .write("sample_prune", move |tx| {
                for (span, kept) in KEPT {
                    tx.sample_prune(span, now - kept)?;
                }
                Ok(())
            })
            .await;
        Ok(pruned?)
    }
}

/// What is to be added, in the one order in which every process takes the rows: so none waits for another
/// crosswise.
fn rows(counts: &Counts) -> BTreeMap<(i64, String, i64), i64> {
    let mut rows = BTreeMap::new();
    for ((minute, series), count) in counts {
        for span in [MINUTE, HOUR] {
            *rows.entry((span, series.name(), beginning(span, *minute))).or_default() += count;
        }
    }
    rows
}
