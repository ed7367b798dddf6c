//! What a plan takes away, for the guard.

use std::collections::{HashMap, HashSet};

use super::{Known, Plan, Stored};
use crate::pull::Kind;
use crate::pull::guard::Toll;

/// Users from whom something is taken, memberships that end, and what was there before. Who is in a group
/// through another one and is not any more counts like a direct member. Who is inactive has no access to
/// lose, and counts only where the record goes.
pub(super) fn toll(plan: &Plan, stored: &Stored, gone: &HashSet<i64>) -> Toll {
    let mut users: HashSet<i64> =
        plan.updates.iter().filter(|u| u.deactivates()).map(|u| u.known.key).collect();
    let (mut memberships, mut role_groups) = (0, 0);
    let is_user = |key: &i64| stored.is_user(*key);
    for removal in &plan.removals {
        let key = removal.known.key;
        if removal.known.kind == Kind::Account {
            users.insert(key);
            continue;
        }
        let ended: Vec<i64> = stored.staying_users(key, gone).collect();
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
    let ended = ended_below(plan, stored, gone);
    memberships += ended.len();
    users.extend(ended.iter().map(|(_, user)| *user));
    let is_active = |known: &&Known| known.active;
    let (users, inactive): (Vec<i64>, Vec<i64>) = users
        .into_iter()
        .partition(|key| stored.by_key(*key).is_some_and(|known| is_active(&known)));
    let inactive_users = inactive.iter().filter(|key| gone.contains(key)).count();
    // What is compared is counted in the same way.
    let all = match ended.is_empty() {
        true => stored.members.values().flatten().filter(|member| is_user(member)).count(),
        false => {
            let before = Below { edges: stored.members.clone() };
            let below = stored.members.keys().map(|group| before.of(*group));
            below.map(|below| below.iter().filter(|member| is_user(member)).count()).sum()
        }
    };
    Toll {
        users: users.len(),
        inactive_users,
        memberships,
        role_groups,
        active_users: stored.of_kind(Kind::Account).filter(is_active).count(),
        all_users: stored.of_kind(Kind::Account).count(),
        all_memberships: all,
        ..Toll::default()
    }
}

/// Who was in a group through another one that leaves it, or that goes, and is not in it after the plan.
/// Counted at the group that is left: those around it lose the same people.
fn ended_below(plan: &Plan, stored: &Stored, gone: &HashSet<i64>) -> HashSet<(i64, i64)> {
    let is_group = |key: i64| stored.by_key(key).is_some_and(|known| known.kind == Kind::Group);
    let mut outer: HashMap<i64, Vec<i64>> = HashMap::new();
    for change in &plan.members {
        let Some(group) = stored.get(Kind::Group, &change.group) else { continue };
        let left = change.remove.iter().filter(|known| known.kind == Kind::Group);
        outer.entry(group.key).or_default().extend(left.map(|known| known.key));
    }
    for (group, members) in &stored.members {
        let ends = |member: &&i64| gone.contains(group) || gone.contains(member);
        let ended = members.iter().filter(|member| is_group(**member)).filter(ends);
        outer.entry(*group).or_default().extend(ended);
    }
    outer.retain(|_, inner| !inner.is_empty());
    if outer.is_empty() {
        return HashSet::new();
    }
    let before = Below { edges: stored.members.clone() };
    let after = Below { edges: edges_after(plan, stored, gone) };
    let mut ended = HashSet::new();
    for (group, inner) in outer {
        let direct: HashSet<i64> = stored.members_of(group).iter().copied().collect();
        let stays = if gone.contains(&group) { HashSet::new() } else { after.of(group) };
        let lost = inner.into_iter().flat_map(|inner| before.of(inner));
        // Direct members are counted as such; who goes is counted as a user.
        let lost = lost.filter(|key| {
            !is_group(*key) && !stays.contains(key) && !direct.contains(key) && !gone.contains(key)
        });
        ended.extend(lost.map(|user| (group, user)));
    }
    ended
}

/// Members of groups, by keys; new groups have keys below zero.
struct Below {
    edges: HashMap<i64, Vec<i64>>,
}

impl Below {
    /// Everybody in a group or in one below it. Groups may hold each other.
    fn of(&self, group: i64) -> HashSet<i64> {
        let (mut seen, mut waiting) = (HashSet::new(), vec![group]);
        while let Some(group) = waiting.pop() {
            for member in self.edges.get(&group).into_iter().flatten() {
                if seen.insert(*member) {
                    waiting.push(*member);
                }
            }
        }
        seen
    }
}

fn edges_after(plan: &Plan, stored: &Stored, gone: &HashSet<i64>) -> HashMap<i64, Vec<i64>> {
    let mut edges = stored.members.clone();
    edges.retain(|group, _| !gone.contains(group));
    for members in edges.values_mut() {
        members.retain(|member| !gone.contains(member));
    }
    let new: HashMap<(Kind, &str), i64> = plan
        .creates
        .iter()
        .map(|new| (new.kind, new.source_id.as_str()))
        .zip((1..).map(|n: i64| -n))
        .collect();
    let key_of = |kind: Kind, id: &str| {
        let known = stored.get(kind, id).map(|known| known.key);
        known.or_else(|| new.get(&(kind, id)).copied())
    };
    for change in &plan.members {
        let Some(group) = key_of(Kind::Group, &change.group) else { continue };
        let members = edges.entry(group).or_default();
        let left: HashSet<i64> = change.remove.iter().map(|known| known.key).collect();
        members.retain(|member| !left.contains(member));
        members.extend(change.add.iter().filter_map(|(kind, id)| key_of(*kind, id)));
    }
    edges
}
