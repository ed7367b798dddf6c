//! What a plan takes away, for the guard.

use std::collections::HashSet;

use super::{Known, Plan, Stored};
use crate::pull::Kind;
use crate::pull::guard::Toll;

/// Users and memberships that end, and what was there before.
pub(super) fn toll(plan: &Plan, stored: &Stored, gone: &HashSet<i64>) -> Toll {
    let mut users: HashSet<i64> =
        plan.updates.iter().filter(|u| u.deactivates()).map(|u| u.known.key).collect();
    let (mut memberships, mut role_groups) = (0, 0);
    let is_user = |key: &i64| stored.by_key(*key).is_some_and(|known| known.kind == Kind::Account);
    for removal in &plan.removals {
        let key = removal.known.key;
        if removal.known.kind == Kind::Account {
            users.insert(key);
            continue;
        }
        let ended = stored.members_of(key).iter().filter(|m| !gone.contains(m) && is_user(m));
        let ended: Vec<i64> = ended.copied().collect();
        memberships += ended.len();
        users.extend(ended);
        role_groups += usize::from(stored.role_groups.contains(&key));
    }
    for change in &plan.members {
        let left = change.remove.iter().filter(|known| known.kind == Kind::Account);
        let left: Vec<i64> = left.map(|known| known.key).collect();
        memberships += left.len();
        users.extend(left);
    }
    let is_active = |known: &&Known| known.active;
    let all = stored.members.values().flatten().filter(|member| is_user(member)).count();
    Toll {
        users: users.len(),
        memberships,
        role_groups,
        active_users: stored.of_kind(Kind::Account).filter(is_active).count(),
        all_memberships: all,
        emptied: false,
        groups_emptied: false,
    }
}
