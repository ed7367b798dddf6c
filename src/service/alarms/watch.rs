//! The look for conditions that nothing but time brings about, and for those that are over.
//!
//! Every process looks. Each alarm is raised and resolved by one unit of its own, and the database lets
//! one of them through.

use serde_json::json;

use super::{Alarm, AlarmKind, Place, raise, resolve, resolve_other};
use crate::scim::key::instant_text;
use crate::service::brake::{self, BrakeMode};
use crate::service::policy::Policies;
use crate::service::{Service, ServiceError};
use crate::store::alarm::{AlarmRow, EndingRow, SilentRow};
use crate::store::brake::Taken;
use crate::store::{StoreError, Tx};

const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A directory that was silent for less is not missed: 24 hours.
const SILENCE_MS: i64 = DAY_MS;

/// Days before the end of a token at which an alarm is raised.
const DAYS: [i64; 3] = [30, 7, 1];

/// Rows read at a time.
const ROWS: i64 = 200;

impl Service {
    /// Raises what is to be raised by now, resolves what is over, and counts what stands.
    pub async fn watch_alarms(&self) -> Result<(), ServiceError> {
        self.watch_silence().await?;
        self.watch_tokens().await?;
        self.watch_brakes().await?;
        self.prune_alarms().await?;
        self.measure_alarms().await
    }

    async fn raise_alarm(&self, alarm: Alarm, now: i64) -> Result<(), ServiceError> {
        let ids = self.clock.ids();
        let key = alarm.place.directory_key;
        self.store
            .write("alarm_raise", move |tx| {
                // A directory that has gone meanwhile has nothing to be missed for.
                if !is_there(tx, key)? {
                    return Ok(());
                }
                let about = (key, alarm.kind, alarm.subject.as_str());
                let mut ids = ids.clone();
                resolve_other(tx, &mut ids, now, about, Some(alarm.level))?;
                raise(tx, &mut ids, now, &alarm)
            })
            .await
            .map_err(|error: StoreError| error.into())
    }

    /// Resolves those of a kind of which `is_over` says so.
    async fn resolve_alarms(
        &self,
        kind: AlarmKind,
        is_over: impl Fn(&mut Tx<'_>, &AlarmRow) -> Result<bool, StoreError>
        + Copy
        + Send
        + Sync
        + 'static,
    ) -> Result<(), ServiceError> {
        let (now, mut after) = (self.clock.now_ms(), String::new());
        loop {
            let from = after.clone();
            let found: Result<_, StoreError> = self
                .store
                .read("alarm_look", move |tx| {
                    let rows = tx.alarm_standing(kind.as_str(), &from, ROWS)?;
                    let last = rows.last().map(|row| row.id.clone());
                    let mut over = Vec::new();
                    for row in rows {
                        if is_over(tx, &row)? {
                            over.push(row);
                        }
                    }
                    Ok((over, last))
                })
                .await;
            let (over, last) = found?;
            for row in over {
                let ids = self.clock.ids();
                let resolved: Result<(), StoreError> = self
                    .store
                    .write("alarm_resolve", move |tx| {
                        if !is_there(tx, row.directory_key)? || !is_over(tx, &row)? {
                            return Ok(());
                        }
                        let about = (row.directory_key, kind, row.subject.as_str());
                        resolve(tx, &mut ids.clone(), now, about)
                    })
                    .await;
                resolved?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn watch_silence(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::DirectorySilent, |tx, row| {
            // Heard of since, or no longer asked for.
            Ok(!tx.is_silent_since(row.directory_key, row.raised)?)
        })
        .await?;
        loop {
            let found: Result<Vec<SilentRow>, StoreError> = self
                .store
                .get("silent", move |tx| tx.silent_directories(now - SILENCE_MS, now, ROWS))
                .await;
            let found = found?;
            let more = found.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
            for row in found {
                self.raise_alarm(silence(row, now), now).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn watch_tokens(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::TokenExpiring, move |tx, row| {
            Ok(!tx.is_ending_token(&row.subject, now + row.level * DAY_MS)?)
        })
        .await?;
        for days in DAYS.into_iter().rev() {
            loop {
                let found: Result<Vec<EndingRow>, StoreError> = self
                    .store
                    .get("ending_tokens", move |tx| {
                        tx.ending_tokens(now + days * DAY_MS, days, ROWS)
                    })
                    .await;
                let found = found?;
                let more = found.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
                for row in found {
                    self.raise_alarm(ending(row, days), now).await?;
                }
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A brake that holds nothing has an alarm until the hour is over.
    async fn watch_brakes(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::Brake, move |tx, row| {
            let Some(directory) = tx.directory_by_key(row.directory_key)? else { return Ok(true) };
            if tx.brake_get(row.directory_key)?.is_some() {
                return Ok(false);
            }
            let settings = Policies::stored(&directory.settings).brake;
            let is_off = settings.mode == BrakeMode::Off;
            Ok(is_off
                || brake::excess(tx, row.directory_key, &settings.limits, Taken::default(), now)?
                    .is_none())
        })
        .await
    }

    async fn prune_alarms(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        let until = now - self.event_log.kept_for().as_ms();
        let (_, from) = brake::window(now);
        let pruned: Result<(), StoreError> = self
            .store
            .write("alarm_prune", move |tx| {
                tx.alarm_prune(until)?;
                tx.brake_count_prune(from)?;
                Ok(())
            })
            .await;
        Ok(pruned?)
    }

    async fn measure_alarms(&self) -> Result<(), ServiceError> {
        let counts: Result<_, StoreError> = self
            .store
            .read("alarm_counts", |tx| Ok((tx.alarm_counts()?, tx.brake_directories()?.len())))
            .await;
        let (counts, holding) = counts?;
        self.alarm_metrics.set(&counts, holding);
        Ok(())
    }
}

/// Takes the directory that an alarm belongs to; false when it is gone.
fn is_there(tx: &mut Tx<'_>, key: i64) -> Result<bool, StoreError> {
    match key {
        0 => Ok(true),
        key => Ok(tx.directory_share(key)?.is_some_and(|shared| shared.state != "deleting")),
    }
}

fn silence(row: SilentRow, now: i64) -> Alarm {
    let hours = (now - row.last_request) / HOUR_MS;
    let longest = row.longest_silence / HOUR_MS;
    Alarm {
        message: format!(
            "The identity provider has sent nothing for {hours} hours; before, it was never silent for \
             more than {longest} hours. Look whether its provisioning still runs."
        ),
        detail: json!({
            "last_request_at": instant_text(row.last_request),
            "longest_silence_seconds": row.longest_silence / 1_000,
        }),
        place: Place {
            directory_key: row.directory_key,
            directory_id: Some(row.directory_id.clone()),
            organization_id: Some(row.organization_id),
        },
        kind: AlarmKind::DirectorySilent,
        subject: row.directory_id,
        level: 0,
    }
}

fn ending(row: EndingRow, days: i64) -> Alarm {
    let unit = if days == 1 { "day" } else { "days" };
    Alarm {
        message: format!(
            "The directory token that ends in {} expires at {}, in less than {days} {unit}, and there is \
             no other one that lives longer. Rotate it and give the new one to the identity provider.",
            row.suffix,
            instant_text(row.expires)
        ),
        detail: json!({
            "token_suffix": row.suffix,
            "expires_at": instant_text(row.expires),
            "days": days,
        }),
        place: Place {
            directory_key: row.directory_key,
            directory_id: Some(row.directory_id),
            organization_id: Some(row.organization_id),
        },
        kind: AlarmKind::TokenExpiring,
        subject: row.id,
        level: days,
    }
}
