//! The look for conditions that nothing but time brings about, and for those that are over.
//!
//! Every process looks. Each alarm is raised and resolved by one unit of its own, and the database lets
//! one of them through.

use super::found::{DAY_MS, ending, lacking, paused, silence, stopped};
use super::{Alarm, AlarmKind, replace, resolve};
use crate::service::brake::{self, BrakeMode};
use crate::service::policy::Policies;
use crate::service::{Service, ServiceError};
use crate::store::alarm::AlarmRow;
use crate::store::alarm_look::{EndingRow, FaultyRow, SilentRow, StoppedRow};
use crate::store::brake::Taken;
use crate::store::{StoreError, Tx};

/// A directory that was silent for less is not missed: 24 hours.
const SILENCE_MS: i64 = DAY_MS;

/// Days before the end of a token at which an alarm is raised.
const DAYS: [i64; 3] = [30, 7, 1];

/// Rows read at a time.
const ROWS: i64 = 200;

/// Users of a directory whose faults are looked at.
const FAULTY: i64 = 1_000;

impl Service {
    /// Raises what is to be raised by now, resolves what is over, and counts what stands.
    pub async fn watch_alarms(&self) -> Result<(), ServiceError> {
        self.watch_silence().await?;
        self.watch_credentials().await?;
        self.watch_brakes().await?;
        self.watch_endpoints().await?;
        self.watch_streams().await?;
        self.watch_attributes().await?;
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
                replace(tx, &mut ids.clone(), now, &alarm)
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

    async fn watch_credentials(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::TokenExpiring, move |tx, row| {
            Ok(!tx.is_ending(&row.subject, now + row.level * DAY_MS)?)
        })
        .await?;
        for days in DAYS.into_iter().rev() {
            loop {
                let found: Result<Vec<EndingRow>, StoreError> = self
                    .store
                    .get("ending_credentials", move |tx| {
                        tx.ending_credentials(now + days * DAY_MS, days, ROWS)
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

    /// Whatever has stopped an endpoint, its row says so; it is asked here and nowhere else.
    async fn watch_endpoints(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::EndpointPaused, |tx, row| Ok(!tx.is_stopped(&row.subject)?))
            .await?;
        loop {
            let found: Result<Vec<StoppedRow>, StoreError> =
                self.store.get("stopped_endpoints", move |tx| tx.stopped_endpoints(ROWS)).await;
            let found = found?;
            let more = found.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
            for row in found {
                self.raise_alarm(stopped(row), now).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The same of streams.
    async fn watch_streams(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::StreamPaused, |tx, row| {
            Ok(!tx.is_stream_failing(&row.subject)?)
        })
        .await?;
        loop {
            let found: Result<Vec<StoppedRow>, StoreError> =
                self.store.get("failing_streams", move |tx| tx.failing_streams(ROWS)).await;
            let found = found?;
            let more = found.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
            for row in found {
                self.raise_alarm(paused(row), now).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn watch_attributes(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        self.resolve_alarms(AlarmKind::AttributeMissing, |tx, row| {
            Ok(!tx.is_lacked(row.directory_key, &row.subject)?)
        })
        .await?;
        let mut after = 0;
        loop {
            let found: Result<Vec<FaultyRow>, StoreError> = self
                .store
                .get("faulty_directories", move |tx| tx.faulty_directories(after, ROWS))
                .await;
            let found = found?;
            let Some(last) = found.last() else { return Ok(()) };
            after = last.directory_key;
            for row in found {
                for alarm in self.lacking_in(row).await? {
                    self.raise_alarm(alarm, now).await?;
                }
            }
        }
    }

    /// Alarms about the users of a directory that do not stand yet.
    async fn lacking_in(&self, row: FaultyRow) -> Result<Vec<Alarm>, ServiceError> {
        let key = row.directory_key;
        let read: Result<_, StoreError> = self
            .store
            .read("faults_first", move |tx| {
                let standing = tx.alarm_subjects(key, AlarmKind::AttributeMissing.as_str())?;
                Ok((tx.faults_first(key, FAULTY)?, standing))
            })
            .await;
        let (faults, standing) = read?;
        let mut alarms = lacking(&row, &faults);
        alarms.retain(|alarm| !standing.contains(&alarm.subject));
        Ok(alarms)
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
