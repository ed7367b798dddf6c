//! What runs of a directory have taken away within the last hour, for the guard: a source that loses a little
//! with each run is held as well. It is counted by the minute, in the table in which the brake counts for
//! directories that are pushed. What a run takes that is killed in the midst is not counted.

use std::collections::HashSet;

use super::apply::Apply;
use super::drive::Job;
use crate::pull::Kind;
use crate::pull::guard::{Earlier, Guard};
use crate::pull::plan::Known;
use crate::service::brake::window;
use crate::service::{Service, ServiceError};
use crate::store::brake::Taken;
use crate::store::{StoreError, Tx};

impl Service {
    /// What runs of the last hour have taken away.
    pub(super) async fn taken_lately(&self, directory_key: i64) -> Result<Earlier, ServiceError> {
        let (_, from) = window(self.clock.now_ms());
        let taken: Result<_, StoreError> =
            self.store.read("sync_taken", move |tx| tx.brake_taken(directory_key, from)).await;
        let (taken, _) = taken?;
        let number = |count: i64| usize::try_from(count).unwrap_or(0);
        Ok(Earlier {
            users: number(taken.users),
            memberships: number(taken.memberships),
            role_groups: number(taken.role_groups),
        })
    }
}

impl Apply<'_> {
    /// Counts what has gone with a user or a group; `gone` are the keys of all who go.
    pub(super) fn count_end(&mut self, known: &Known, gone: &HashSet<i64>) {
        let taken = &mut self.applied.taken;
        if known.kind == Kind::Account {
            taken.users += i64::from(known.active);
            return;
        }
        taken.memberships += number(self.stored.staying_users(known.key, gone).count());
        taken.role_groups += i64::from(self.stored.role_groups.contains(&known.key));
    }

    /// Counts who has left a group.
    pub(super) fn count_left(&mut self, left: &[&Known]) {
        let users = left.iter().filter(|known| known.kind == Kind::Account).count();
        self.applied.taken.memberships += number(users);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the end of a run means for what counts.
#[derive(Clone, Copy)]
pub(super) enum Counting {
    Add(Taken),
    /// Somebody has decided, or nobody guards: what was taken until now counts no more.
    Forget,
    /// Nothing was taken.
    Stay,
}

impl Counting {
    pub(super) fn of(job: &Job, taken: Taken) -> Self {
        let is_let = job.run.held.is_some() || job.settings.guard == Guard::Off;
        match (job.run.dry_run, is_let) {
            (true, _) => Self::Stay,
            (false, true) => Self::Forget,
            (false, false) if taken == Taken::default() => Self::Stay,
            (false, false) => Self::Add(taken),
        }
    }

    /// In the unit that ends the run.
    pub(super) fn keep(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        match self {
            Self::Add(taken) => tx.brake_count_add(directory_key, window(now).0, taken),
            Self::Forget => tx.brake_count_clear(directory_key),
            Self::Stay => Ok(()),
        }
    }
}
