//! What a unit is about to take away is counted, and stopped from being told when it is too much.
//!
//! Counted is what an identity provider asks for: users who are deactivated or deleted, memberships that
//! end without them. What follows from a changed policy was shown before; it is not counted, but its
//! events wait like all others. A directory that takes nothing away pays nothing, one whose brake is off
//! pays nothing ever.

use serde_json::json;

use super::settings::{BrakeMode, Limits};
use crate::service::alarms::{self, Alarm, AlarmKind, Place};
use crate::service::record::Recorder;
use crate::store::brake::{Brake, Taken};
use crate::store::brake_note::{Lost, Membership};
use crate::store::resource::{AppState, ResourceRow};
use crate::store::{StoreError, Tx};

const MINUTE_MS: i64 = 60_000;

/// How many minutes count.
pub(super) const WINDOW_MINUTES: i64 = 60;

/// The minute of a time, and the first one that counts then.
pub(in crate::service) fn window(now: i64) -> (i64, i64) {
    let minute = now.div_euclid(MINUTE_MS);
    (minute, minute - WINDOW_MINUTES + 1)
}

/// What was taken away within the window, if it is too much. `there` is what of it is still there: the unit
/// is about to take it.
pub(in crate::service) fn excess(
    tx: &mut Tx<'_>,
    directory_key: i64,
    limits: &Limits,
    there: Taken,
    now: i64,
) -> Result<Option<Taken>, StoreError> {
    let (_, from) = window(now);
    let (taken, active) = tx.brake_taken(directory_key, from)?;
    if limits.pass_users(taken, active.saturating_sub(there.users)) {
        return Ok(Some(taken));
    }
    let left = match limits.memberships_to_count(taken) {
        Some(most) => {
            let most = most.saturating_add(there.memberships);
            Some(tx.brake_memberships(directory_key, most)?.saturating_sub(there.memberships))
        }
        None => None,
    };
    Ok(limits.pass_memberships(taken, left).then_some(taken))
}

impl Recorder<'_> {
    /// A user may become inactive, or active.
    pub(in crate::service) fn switches(
        &mut self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        active: bool,
    ) -> Result<(), StoreError> {
        match (row.active, active) {
            (true, false) => self.deactivates(tx, row),
            (false, true) => self.note_given(tx, Lost::Inactive, row.key),
            _ => Ok(()),
        }
    }

    /// The filter keeps a user from the app who was active for it. That follows from what the identity
    /// provider has sent, so it counts; the user is there, so there is nothing to put back.
    pub(in crate::service) fn excludes(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.takes_away(tx, Taken { users: 1, ..Taken::default() }, Taken::default())
    }

    /// A user who was active will not be any more.
    fn deactivates(&mut self, tx: &mut Tx<'_>, row: &ResourceRow) -> Result<(), StoreError> {
        let users = i64::from(row.app_state == AppState::Active);
        let taken = Taken { users, ..Taken::default() };
        self.takes_away(tx, taken, taken)?;
        self.note_loss(tx, Lost::Inactive, row.key)
    }

    /// Counts what the unit takes away, of which `there` is still there. From here on events wait if it
    /// is too much.
    pub(in crate::service) fn takes_away(
        &mut self,
        tx: &mut Tx<'_>,
        taken: Taken,
        there: Taken,
    ) -> Result<(), StoreError> {
        let (key, brake) = (self.directory.key, self.in_force.policies.brake);
        if taken == Taken::default() || !self.counts() {
            return Ok(());
        }
        let releasing = match tx.holds(key) {
            true => matches!(tx.brake_get(key)?, Some((Brake::Releasing, _))),
            false => false,
        };
        if tx.holds(key) && !releasing {
            return Ok(());
        }
        tx.brake_count_add(key, window(self.now).0, taken)?;
        if releasing {
            // Looked at before it is told.
            return Ok(());
        }
        let Some(taken) = excess(tx, key, &brake.limits, there, self.now)? else { return Ok(()) };
        if brake.mode == BrakeMode::Hold {
            // Every other unit ends before or begins after, so none of them tells of a later change
            // first.
            tx.directory_alone()?;
            tx.brake_set(key, Some(Brake::Holding), Some(self.now))?;
            tracing::warn!(
                directory = self.directory.id,
                "the brake holds the events of a directory"
            );
        }
        let holds = brake.mode == BrakeMode::Hold;
        let alarm = self.alarm(taken, holds);
        match holds {
            // That is news, also where an alarm stands for what was told.
            true => alarms::replace(tx, &mut self.ids, self.now, &alarm),
            false => alarms::raise(tx, &mut self.ids, self.now, &alarm),
        }
    }

    /// What came behind a release is too much again: it waits until somebody decides anew.
    pub(super) fn holds_again(&mut self, tx: &mut Tx<'_>, taken: Taken) -> Result<(), StoreError> {
        tx.brake_set(self.directory.key, Some(Brake::Holding), Some(self.now))?;
        tracing::warn!(directory = self.directory.id, "the brake holds a directory again");
        self.alarms_anew(tx, taken, true)
    }

    /// The alarm that stands is about what was decided on; this one is about the rest.
    pub(super) fn alarms_anew(
        &mut self,
        tx: &mut Tx<'_>,
        taken: Taken,
        holds: bool,
    ) -> Result<(), StoreError> {
        let about = (self.directory.key, AlarmKind::Brake, self.directory.id.as_str());
        alarms::resolve(tx, &mut self.ids, self.now, about)?;
        let alarm = self.alarm(taken, holds);
        alarms::raise(tx, &mut self.ids, self.now, &alarm)
    }

    fn alarm(&self, taken: Taken, holds: bool) -> Alarm {
        let brake = &self.in_force.policies.brake;
        let done = match holds {
            true => "Its events wait until they are released or undone.",
            false => "Its events were told.",
        };
        Alarm {
            place: Place::of(self.directory),
            kind: AlarmKind::Brake,
            subject: self.directory.id.clone(),
            level: i64::from(holds),
            message: format!(
                "Within an hour the identity provider has deactivated or deleted {} users and ended \
                 {} memberships, which is more than the limits of the directory. {done}",
                taken.users, taken.memberships
            ),
            detail: json!({
                "mode": brake.mode,
                "users": taken.users,
                "memberships": taken.memberships,
                "role_groups": taken.role_groups,
                "limits": brake.limits,
            }),
        }
    }

    /// Whether what is taken away may be counted. A directory that is read has a guard, which looks at a
    /// run before it is applied; what somebody has approved is not held again.
    pub(in crate::service) fn counts(&self) -> bool {
        !self.directory.is_read && self.in_force.policies.brake.mode != BrakeMode::Off
    }

    /// Whether a group gives its members a role, so that its end weighs more.
    pub(in crate::service) fn gives_role(&self, group: &ResourceRow) -> bool {
        let map = self.directory.mapping.group_roles();
        map.is_some_and(|map| map.groups().contains(&group.id))
    }

    /// Notes a resource that is about to lose something, while events wait.
    pub(in crate::service) fn note_loss(
        &self,
        tx: &mut Tx<'_>,
        lost: Lost,
        key: i64,
    ) -> Result<(), StoreError> {
        match tx.holds(self.directory.key) {
            true => tx.brake_note(self.directory.key, lost, key),
            false => Ok(()),
        }
    }

    /// Marks what a resource has got while events wait: an undo gives it to nobody who has lost it again.
    fn note_given(&self, tx: &mut Tx<'_>, given: Lost, key: i64) -> Result<(), StoreError> {
        match tx.holds(self.directory.key) {
            true => tx.brake_note_given(self.directory.key, given, key),
            false => Ok(()),
        }
    }

    /// Marks a new resource, as above.
    pub(in crate::service) fn note_new(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
    ) -> Result<(), StoreError> {
        self.note_given(tx, Lost::Deleted, row.key)?;
        match row.resource_type.as_str() {
            "User" => self.note_given(tx, Lost::Inactive, row.key),
            _ => Ok(()),
        }
    }

    /// Notes memberships that end or have come, while events wait.
    pub(in crate::service) fn note_members(
        &self,
        tx: &mut Tx<'_>,
        group_key: i64,
        member_keys: &[i64],
        noted: Membership,
    ) -> Result<(), StoreError> {
        let key = self.directory.key;
        match tx.holds(key) && !member_keys.is_empty() {
            true => tx.brake_note_members(key, group_key, member_keys, noted),
            false => Ok(()),
        }
    }
}
