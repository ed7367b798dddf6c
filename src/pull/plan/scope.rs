//! Who is in the scope of a directory: the groups that are named, all below them and their members.

use std::collections::HashSet;

use super::{Extent, Known, Record, Rules, Source, Stored};
use crate::pull::{Absence, Kind, Members};

pub(super) struct Scope {
    /// Kinds and source ids; `None` for everybody.
    within: Option<HashSet<(Kind, String)>>,
    /// Whether there is a group in it of whose members nothing is known.
    pub(super) is_blind: bool,
    /// What was named and is no group, as far as all groups are known.
    pub(super) unknown: Vec<String>,
}

impl Scope {
    /// What a read does not list is taken from what is stored: members of a group that shows none, and
    /// everything where what is absent is not gone.
    pub(super) fn of(source: &Source, stored: &Stored, rules: &Rules) -> Self {
        let Some(named) = &rules.group_scope else {
            return Self { within: None, is_blind: false, unknown: Vec::new() };
        };
        let is_complete = source.faults.is_empty()
            && rules.extent == Extent::Everything
            && rules.absence == Absence::IsRemoval;
        let is_named =
            |id: &str, name: &str| named.iter().any(|named| named == id || named == name);
        let unknown = match rules.extent == Extent::Everything && source.faults.is_empty() {
            true => unknown(named, source, stored),
            false => Vec::new(),
        };
        let mut waiting: Vec<String> = source
            .records
            .iter()
            .filter(|record| record.kind == Kind::Group)
            .filter(|record| is_named(&record.source_id, &record.name))
            .map(|record| record.source_id.clone())
            .collect();
        if !is_complete {
            let silent = stored.of_kind(Kind::Group).filter(|known| {
                !source.speaks_of(Kind::Group, &known.source_id)
                    && is_named(&known.source_id, &known.name)
            });
            waiting.extend(silent.map(|known| known.source_id.clone()));
        }
        let (mut scope, mut is_blind) = (HashSet::new(), false);
        while let Some(group) = waiting.pop() {
            if !scope.insert((Kind::Group, group.clone())) {
                continue;
            }
            for member in source.joined.get(&group).into_iter().flatten() {
                if source.get(Kind::Account, member).is_some() {
                    scope.insert((Kind::Account, member.clone()));
                } else if source.get(Kind::Group, member).is_some() {
                    waiting.push(member.clone());
                }
            }
            let listed = source.get(Kind::Group, &group).filter(|_| is_complete);
            let listed = listed.map_or(Members::Changes, |record| record.members);
            let left = source.left.get(&group);
            let stays = |member: &&Known| match listed {
                Members::All => false,
                Members::Active => !source.is_active(member),
                Members::Changes => !left.is_some_and(|left| left.contains(&member.source_id)),
            };
            let known = stored.get(Kind::Group, &group);
            is_blind |= known.is_none() && listed == Members::Changes;
            let members = known.map_or(&[][..], |known| stored.members_of(known.key)).iter();
            for member in members.filter_map(|key| stored.by_key(*key)).filter(stays) {
                match member.kind {
                    Kind::Group => waiting.push(member.source_id.clone()),
                    kind => {
                        scope.insert((kind, member.source_id.clone()));
                    }
                }
            }
        }
        Self { within: Some(scope), is_blind, unknown }
    }

    pub(super) fn holds(&self, record: &Record) -> bool {
        let id = (record.kind, record.source_id.clone());
        self.within.as_ref().is_none_or(|scope| scope.contains(&id))
    }

    /// Whether no group that was named is there.
    pub(super) fn is_empty(&self) -> bool {
        self.within.as_ref().is_some_and(HashSet::is_empty)
    }
}

/// Those of the names, and ids, that no group has.
fn unknown(named: &[String], source: &Source, stored: &Stored) -> Vec<String> {
    let listed = source.of_kind(Kind::Group).map(|group| (&group.source_id, &group.name));
    let known = stored.of_kind(Kind::Group).map(|group| (&group.source_id, &group.name));
    let there: HashSet<&String> = listed.chain(known).flat_map(|(id, name)| [id, name]).collect();
    named.iter().filter(|named| !there.contains(named)).cloned().collect()
}
