//! Who joins a group and who leaves it.

use std::collections::{BTreeSet, HashSet};

use super::{Extent, Known, MemberChange, Record, Rules, Source, Stored, Unknown};
use crate::pull::{Absence, Kind, Members};

/// What a membership is judged by.
pub(super) struct Membership<'m> {
    pub(super) source: &'m Source,
    pub(super) stored: &'m Stored,
    pub(super) rules: &'m Rules,
    /// Keys of who goes; their memberships end by themselves.
    pub(super) gone: &'m HashSet<i64>,
    pub(super) is_proof: bool,
}

impl Membership<'_> {
    pub(super) fn change(
        &self,
        group: &Record,
        arrives: &impl Fn(&Record) -> bool,
        (unknown, spared): (&mut Unknown, &mut usize),
    ) -> MemberChange {
        let known = self.stored.get(Kind::Group, &group.source_id);
        let current: HashSet<i64> = known
            .map_or(&[][..], |known| self.stored.members_of(known.key))
            .iter()
            .copied()
            .collect();
        let mut change = MemberChange { group: group.source_id.clone(), ..MemberChange::default() };
        let mut stays = HashSet::new();
        for member in self.source.joined.get(&group.source_id).into_iter().flatten() {
            // Groups that name themselves really occur.
            if *member == group.source_id {
                continue;
            }
            let Some(kind) = self.kind_of(member, arrives) else {
                unknown.add(&group.source_id, member);
                continue;
            };
            match self.stored.get(kind, member) {
                Some(known) if current.contains(&known.key) => {
                    stays.insert(known.key);
                }
                _ => change.add.push((kind, member.clone())),
            }
        }
        let listed = self.source.joined.get(&group.source_id);
        let left = self.source.left.get(&group.source_id);
        let is_in = |ids: Option<&BTreeSet<String>>, member: &Known| {
            ids.is_some_and(|ids| ids.contains(&member.source_id))
        };
        let is_absent = |member: &Known| match group.members {
            Members::All => !stays.contains(&member.key),
            Members::Active => self.source.is_active(member) && !stays.contains(&member.key),
            Members::Changes => false,
        };
        for member in current.iter().filter_map(|key| self.stored.by_key(*key)) {
            let is_told = is_in(left, member);
            if self.gone.contains(&member.key) || !(is_told || is_absent(member)) {
                continue;
            }
            if is_told {
                change.told.insert(member.key);
            }
            if is_told || self.is_proof {
                change.remove.push(member.clone());
            } else if self.rules.absence == Absence::IsRemoval
                && !is_in(listed, member)
                && self.is_there(member)
            {
                *spared += 1;
            }
        }
        change.remove.sort_unstable_by_key(|member| member.key);
        change
    }

    /// Whether a member stays whatever becomes of the membership: of who is not listed, that counts already.
    fn is_there(&self, member: &Known) -> bool {
        self.rules.extent == Extent::Changes || self.source.has(member.kind, &member.source_id)
    }

    /// What a member is, if it is in the directory after this run.
    fn kind_of(&self, member: &str, arrives: &impl Fn(&Record) -> bool) -> Option<Kind> {
        [Kind::Account, Kind::Group].into_iter().find(|kind| {
            match self.source.get(*kind, member) {
                Some(record) => arrives(record),
                None => {
                    // Where only changes were read, or the read lists what changes.
                    let may_stay = self.rules.extent == Extent::Changes
                        || self.rules.absence == Absence::IsNothing
                        || !self.is_proof;
                    may_stay
                        && self
                            .stored
                            .get(*kind, member)
                            .is_some_and(|known| !self.gone.contains(&known.key))
                }
            }
        })
    }
}
