//! What a read of a source means for what is stored. Pure.
//!
//! Accounts and groups are matched by the source's stable id, which is stored as `externalId`, and by
//! nothing else: a name that changes is a rename, a name that comes again under another id is somebody
//! else.
//!
//! Removal needs proof. Who is not listed any more is removed only by a complete read without any fault.
//! What a source says itself needs no more than that: a tombstone, `active: false`, a filter that an
//! object no longer meets.

mod ahead;
mod handed_over;
mod membership;
mod names;
mod places;
mod scope;
mod toll;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use self::membership::Membership;
use self::names::{ambiguous, late};
use self::places::Places;
use self::scope::Scope;
use self::toll::toll;
use super::guard::Toll;
use super::{Absence, Fault, Kind, Members};

/// An account or a group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub key: i64,
    /// `directory_user_…`
    pub id: String,
    pub kind: Kind,
    /// The source's id.
    pub source_id: String,
    /// A user's name as a comparison key; what lists show of a group.
    pub name: String,
    pub active: bool,
    pub version: i64,
    /// What it was made of, as far as it is known to be in place.
    pub digest: Option<String>,
}

/// What is stored of a directory.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    things: Vec<Known>,
    by_source: Places,
    by_key: HashMap<i64, usize>,
    /// Places of those that another directory has handed over.
    handed_over: Vec<usize>,
    /// Direct members of a group, by keys.
    members: HashMap<i64, Vec<i64>>,
    /// Keys of groups that give a role.
    pub role_groups: HashSet<i64>,
}

impl Stored {
    /// Of two with one source id the older one is meant.
    pub fn add(&mut self, known: Known) {
        let place = self.things.len();
        self.by_source.get_or_insert(known.kind, &known.source_id, place);
        self.by_key.insert(known.key, place);
        self.things.push(known);
    }

    pub fn add_member(&mut self, group_key: i64, member_key: i64) {
        self.members.entry(group_key).or_default().push(member_key);
    }

    pub fn get(&self, kind: Kind, source_id: &str) -> Option<&Known> {
        self.things.get(self.by_source.get(kind, source_id)?)
    }

    fn by_key(&self, key: i64) -> Option<&Known> {
        self.things.get(*self.by_key.get(&key)?)
    }

    fn members_of(&self, group_key: i64) -> &[i64] {
        self.members.get(&group_key).map_or(&[], Vec::as_slice)
    }

    fn is_user(&self, key: i64) -> bool {
        self.by_key(key).is_some_and(|known| known.kind == Kind::Account)
    }

    /// Direct members of a group that are users and not among those who go.
    pub fn staying_users(&self, group_key: i64, gone: &HashSet<i64>) -> impl Iterator<Item = i64> {
        let members = self.members_of(group_key).iter().copied();
        members.filter(|member| !gone.contains(member) && self.is_user(*member))
    }

    /// Direct memberships: the group, and the key of the member.
    pub fn memberships(&self) -> impl Iterator<Item = (&Known, i64)> {
        let groups = self.members.iter().filter_map(|(key, members)| {
            let group = self.by_key(*key)?;
            Some(members.iter().map(move |member| (group, *member)))
        });
        groups.flatten()
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Known> {
        self.things.iter().filter(move |known| known.kind == kind)
    }
}

/// An account or a group as the source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    pub source_id: String,
    /// As in [`Known`].
    pub name: String,
    pub active: bool,
    pub digest: String,
    /// JSON text of the SCIM attributes; `None` when what is stored was made of the same.
    pub attributes: Option<Box<str>>,
    /// The source's id of the manager.
    pub manager: Option<Box<str>>,
    /// Of a group.
    pub members: Members,
    /// Where it stands in the source, for people.
    pub place: String,
    /// Of an account whose name is not in `attributes`: as in [`super::Envelope`].
    pub usual_name: Option<Box<str>>,
    /// Whether `attributes` hold no more than what changes.
    pub is_partial: bool,
    /// Of somebody who is written before everything is read, the id here, and the manager's.
    pub id: Option<Arc<str>>,
    pub manager_id: Option<Arc<str>>,
}

impl Record {
    /// Of its text.
    pub fn bytes(&self) -> usize {
        self.attributes.as_deref().map_or(0, str::len)
    }

    /// An account of which nothing can be used but that it is inactive: that ends an access, so it counts
    /// whatever is wrong with the rest.
    pub fn inactive(known: &Known, place: String) -> Self {
        Self {
            kind: known.kind,
            source_id: known.source_id.clone(),
            name: known.name.clone(),
            active: false,
            // Of no object: the next run looks again.
            digest: String::new(),
            attributes: Some(r#"{"active":false}"#.into()),
            manager: None,
            members: Members::Changes,
            place,
            usual_name: None,
            is_partial: true,
            id: None,
            manager_id: None,
        }
    }
}

/// Everything that a read has given, after the filter.
#[derive(Clone, Debug, Default)]
pub struct Source {
    records: Vec<Record>,
    by_id: Places,
    /// Text of the records.
    bytes: usize,
    /// Of a group: the source's ids of members that it has, and of those that it has no more.
    joined: HashMap<String, BTreeSet<String>>,
    left: HashMap<String, BTreeSet<String>>,
    deleted: HashSet<(Kind, String)>,
    excluded: HashSet<(Kind, String)>,
    /// Ids here of accounts that were sent ahead and are not listed any more.
    recalled: HashMap<String, Arc<str>>,
    pub faults: Vec<Fault>,
    /// Faults beyond those, of which the last one tells.
    pub unlisted_faults: usize,
    /// Accounts that were listed, whatever became of them, and groups.
    pub listed: usize,
    pub listed_groups: usize,
}

impl Source {
    /// A source may list an object twice, when it changes while it is read: the last one counts.
    pub fn put(&mut self, record: Record) {
        if !self.deleted.is_empty() || !self.excluded.is_empty() {
            let id = (record.kind, record.source_id.clone());
            self.deleted.remove(&id);
            self.excluded.remove(&id);
        }
        let place = self.by_id.get_or_insert(record.kind, &record.source_id, self.records.len());
        let bytes = self.bytes + record.bytes();
        match self.records.get_mut(place) {
            Some(before) if before.is_ahead() && before.digest == record.digest => {}
            Some(before) => {
                self.bytes = bytes.saturating_sub(before.bytes());
                *before = Record { id: before.id.take(), ..record };
            }
            None => {
                self.bytes = bytes;
                let is_account = record.kind == Kind::Account;
                let id = is_account.then(|| self.recalled.remove(&record.source_id)).flatten();
                self.records.push(Record { id, ..record });
            }
        }
    }

    /// Text of what is new or has changed, as far as it is still here.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.kind == kind)
    }

    /// How many members of a group were listed.
    pub fn joined_to(&self, group: &str) -> usize {
        self.joined.get(group).map_or(0, BTreeSet::len)
    }

    pub fn has_member(&self, group: &str, member: &str) -> bool {
        self.joined.get(group).is_some_and(|joined| joined.contains(member))
    }

    pub fn put_member(&mut self, group: String, member: String) {
        if let Some(left) = self.left.get_mut(&group) {
            left.remove(&member);
        }
        self.joined.entry(group).or_default().insert(member);
    }

    pub fn remove_member(&mut self, group: String, member: String) {
        if let Some(joined) = self.joined.get_mut(&group) {
            joined.remove(&member);
        }
        self.left.entry(group).or_default().insert(member);
    }

    pub fn delete(&mut self, kind: Kind, source_id: String) {
        self.forget(kind, &source_id);
        self.deleted.insert((kind, source_id));
    }

    /// The filter does not let it in.
    pub fn exclude(&mut self, kind: Kind, source_id: String) {
        self.forget(kind, &source_id);
        self.excluded.insert((kind, source_id));
    }

    /// As if it had not been put.
    pub fn forget(&mut self, kind: Kind, source_id: &str) {
        if let Some(place) = self.by_id.remove(kind, source_id)
            && place < self.records.len()
        {
            let record = self.records.swap_remove(place);
            self.recalled.extend(record.id.map(|id| (record.source_id, id)));
            if let Some(moved) = self.records.get(place) {
                self.by_id.insert(moved.kind, moved.source_id.clone(), place);
            }
        }
    }

    /// Accounts that are not as they were and of which the source gives no name.
    pub fn unnamed(&mut self) -> impl Iterator<Item = &mut Record> {
        self.records.iter_mut().filter(|record| record.usual_name.is_some())
    }

    fn get(&self, kind: Kind, source_id: &str) -> Option<&Record> {
        self.records.get(self.by_id.get(kind, source_id)?)
    }

    /// Whether it was listed and let in.
    pub fn has(&self, kind: Kind, source_id: &str) -> bool {
        self.get(kind, source_id).is_some()
    }

    fn deletes(&self, known: &Known) -> bool {
        !self.deleted.is_empty() && self.deleted.contains(&(known.kind, known.source_id.clone()))
    }

    fn excludes(&self, known: &Known) -> bool {
        !self.excluded.is_empty() && self.excluded.contains(&(known.kind, known.source_id.clone()))
    }

    /// Whether a stored account is active after this read.
    fn is_active(&self, known: &Known) -> bool {
        let read = self.get(known.kind, &known.source_id);
        read.map_or(known.active, |record| record.active)
    }

    /// Whether anything was said of it: that it is there, gone, or not let in.
    pub fn speaks_of(&self, kind: Kind, source_id: &str) -> bool {
        let id = || (kind, source_id.to_owned());
        self.has(kind, source_id) || self.deleted.contains(&id()) || self.excluded.contains(&id())
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// How a read is to be understood.
#[derive(Clone, Debug)]
pub struct Rules {
    pub extent: Extent,
    pub absence: Absence,
    /// Only these groups, by source id or name, with all below them and their members; `None` for all.
    pub group_scope: Option<Vec<String>>,
    pub groups: Groups,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Everything,
    /// What has changed.
    Changes,
}

/// Whether groups come into the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    Synced,
    /// They are not wanted: those that are stored go.
    LeftOut,
    /// The source says nothing about them: those that are stored stay as they are.
    NotGiven,
}

/// Why somebody goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A complete read does not list it.
    Missing,
    /// The source says that it is gone.
    Deleted,
    Excluded,
    OutOfScope,
}

impl Why {
    /// Whether it follows from who is not listed.
    pub fn is_absence(self) -> bool {
        matches!(self, Self::Missing | Self::OutOfScope)
    }
}

/// An account or a group that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub known: Known,
    pub why: Why,
}

/// A stored account or group that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub known: Known,
    pub record: Record,
}

impl Update {
    /// Whether a user is active before and not after.
    pub fn deactivates(&self) -> bool {
        self.known.kind == Kind::Account && self.known.active && !self.record.active
    }
}

/// What changes in the members of a group. Members are named by kind and the source's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChange {
    pub group: String,
    pub add: Vec<(Kind, String)>,
    pub remove: Vec<Known>,
    /// Keys of those in `remove` of whom the source says that they have left; that needs no more proof.
    pub told: HashSet<i64>,
}

/// Memberships that nothing can be done about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    pub count: usize,
    /// The first of them: the source's ids of group and member.
    pub first: Vec<(String, String)>,
}

impl Unknown {
    /// So many are listed: directories may have many members of other kinds.
    const LISTED: usize = 100;

    fn add(&mut self, group: &str, member: &str) {
        self.count += 1;
        if self.first.len() < Self::LISTED {
            self.first.push((group.to_owned(), member.to_owned()));
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub creates: Vec<Record>,
    pub updates: Vec<Update>,
    pub members: Vec<MemberChange>,
    pub removals: Vec<Removal>,
    pub faults: Vec<Fault>,
    /// As in [`Source`].
    pub unlisted_faults: usize,
    /// Source ids of new or renamed accounts whose name is held by somebody who goes first.
    pub late: HashSet<String>,
    pub unchanged_users: usize,
    pub unchanged_groups: usize,
    /// Memberships of members that are not in the directory: of other kinds, excluded, or not listed.
    pub unknown: Unknown,
    /// Users, groups and memberships that are not listed and stay, because the read has faults.
    pub spared: usize,
    /// Names of the scope that no group has.
    pub unscoped: Vec<String>,
    /// What is taken away, for the guard.
    pub toll: Toll,
}

impl Plan {
    pub fn fault_count(&self) -> usize {
        self.faults.len() + self.unlisted_faults.saturating_sub(1)
    }

    /// Whether of the accounts not one can be used, and nothing follows for any that is stored.
    pub fn is_useless(&self) -> bool {
        let is_account = |record: &Record| record.kind == Kind::Account;
        self.faults.iter().any(|fault| fault.kind == Kind::Account)
            && self.unchanged_users == 0
            && !self.creates.iter().any(is_account)
            && !self.updates.iter().any(|update| is_account(&update.record))
            && !self.removals.iter().any(|removal| removal.known.kind == Kind::Account)
    }
}

/// So many groups are not given up all at once by chance: a source that lists none of them any more may
/// have lost the permission to see them.
const SEVERAL_GROUPS: usize = 3;

/// Compares what was read with what is stored.
pub fn plan(source: Source, stored: &Stored, rules: &Rules) -> Plan {
    let scope = Scope::of(&source, stored, rules);
    let ambiguous = ambiguous(&source, stored, &scope);
    let (refused, faults): (HashSet<String>, Vec<Fault>) = ambiguous.into_iter().unzip();
    let mut plan = Plan { faults, unscoped: scope.unknown.clone(), ..Plan::default() };
    plan.faults.extend(source.faults.iter().cloned());
    plan.unlisted_faults = source.unlisted_faults;
    let is_proof = plan.faults.is_empty() && rules.absence == Absence::IsRemoval && !scope.is_blind;

    let arrives = |record: &Record| match record.kind {
        Kind::Account => !refused.contains(&record.source_id) && scope.holds(record),
        _ => rules.groups == Groups::Synced && scope.holds(record),
    };
    plan.removals = removals(&source, stored, rules, &arrives, is_proof, &mut plan.spared);
    let gone: HashSet<i64> = plan.removals.iter().map(|removal| removal.known.key).collect();
    if rules.groups == Groups::Synced {
        for record in source.records.iter().filter(|r| r.kind == Kind::Group && arrives(r)) {
            let change = Membership { source: &source, stored, rules, gone: &gone, is_proof }
                .change(record, &arrives, (&mut plan.unknown, &mut plan.spared));
            if !change.add.is_empty() || !change.remove.is_empty() {
                plan.members.push(change);
            }
        }
    }
    plan.members.sort_by(|a, b| a.group.cmp(&b.group));
    // A read that proves nothing takes nothing away.
    let emptied = rules.extent == Extent::Everything
        && is_proof
        && source.listed == 0
        && stored.of_kind(Kind::Account).next().is_some();
    let lists_none = rules.groups == Groups::Synced
        && source.listed_groups == 0
        && stored.of_kind(Kind::Group).count() >= SEVERAL_GROUPS;
    // A group that was renamed, or is not to be seen, would take everybody of the directory along.
    let lists_none_in_scope = scope.is_empty() && stored.of_kind(Kind::Account).next().is_some();
    let groups_emptied =
        rules.extent == Extent::Everything && is_proof && (lists_none || lists_none_in_scope);
    // Whose record is not used, or who is out of scope and stays for want of proof, is inactive all the same.
    for record in source.records.iter().filter(|record| !arrives(record)) {
        let known = stored.get(record.kind, &record.source_id);
        let known = known.filter(|known| known.kind == Kind::Account && !gone.contains(&known.key));
        if let Some(known) = known.filter(|known| known.active && !record.active) {
            let record = Record::inactive(known, record.place.clone());
            plan.updates.push(Update { known: known.clone(), record });
        }
    }
    let arriving: Vec<bool> = source.records.iter().map(arrives).collect();
    // A first read has many records: what tells where one stands is let go of before they are moved.
    let records = source.records;
    drop((source.by_id, source.joined, source.left));
    let mut arriving = arriving.into_iter();
    let new = records.into_iter().filter_map(|record| {
        if !arriving.next()? {
            return None;
        }
        match (stored.get(record.kind, &record.source_id), &record.attributes) {
            (None, _) => return Some(record),
            (Some(_), None) if record.kind == Kind::Account => plan.unchanged_users += 1,
            (Some(_), None) => plan.unchanged_groups += 1,
            (Some(known), Some(_)) => plan.updates.push(Update { known: known.clone(), record }),
        }
        None
    });
    plan.creates = new.collect();
    plan.late = late(&plan, stored, &gone);
    plan.toll = Toll { emptied, groups_emptied, ..toll(&plan, stored, &gone) };
    plan
}

/// Who goes, in the order of their keys: groups first, as their memberships end with them.
fn removals(
    source: &Source,
    stored: &Stored,
    rules: &Rules,
    arrives: &impl Fn(&Record) -> bool,
    is_proof: bool,
    spared: &mut usize,
) -> Vec<Removal> {
    let mut removals = Vec::new();
    for known in stored.of_kind(Kind::Group).chain(stored.of_kind(Kind::Account)) {
        let why = if source.deletes(known) {
            Some(Why::Deleted)
        } else if source.excludes(known) {
            Some(Why::Excluded)
        } else if known.kind == Kind::Group && rules.groups != Groups::Synced {
            (rules.groups == Groups::LeftOut).then_some(Why::OutOfScope)
        } else if rules.extent == Extent::Changes || rules.absence == Absence::IsNothing {
            None
        } else {
            let absent = match source.get(known.kind, &known.source_id) {
                Some(record) if arrives(record) => None,
                Some(_) => Some(Why::OutOfScope),
                None => Some(Why::Missing),
            };
            *spared += usize::from(absent.is_some() && !is_proof);
            absent.filter(|_| is_proof)
        };
        removals.extend(why.map(|why| Removal { known: known.clone(), why }));
    }
    removals
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
