//! What a hand over would do, and whether it can be done: who goes along, whom the other directory has
//! already, and what of that stands in the way.
//!
//! Of a directory that is read nobody outside knows the ids: where it has a user or a group already, by the
//! same externalId or the same name, what the source says from now on is about the one that is handed over, and
//! the copy ends. An identity provider that pushes knows the ids of what it has made and would lose them: what
//! is the same there stands in the way.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::clock::Ids;
use crate::event::name;
use crate::pull::SourceKind;
use crate::service::administer::{activated, missing};
use crate::service::authenticate::ApiAccess;
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::mapping::roles::same_roles;
use crate::service::{Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::event::NewEvent;
use crate::store::hand_over::{Same, SameRow};
use crate::store::{StoreError, Tx};

/// Most users and groups of the two directories that are compared; a merge of more has to be done in another
/// way.
const COMPARED: i64 = 200_000;

/// Conflicts that are named.
const NAMED: usize = 10;

/// What a hand over would do.
#[derive(Clone, Debug, Serialize)]
pub struct HandOverReport {
    /// The directory that takes the users over.
    pub to: String,
    /// Users and groups that go along, those included that the other directory has already.
    pub users: i64,
    pub groups: i64,
    /// Those that the other directory has read already: its copies end.
    pub matched: usize,
    pub conflicts: usize,
    /// The first ten of the conflicts.
    pub first_conflicts: Vec<Conflict>,
    pub role_map: RoleMaps,
}

/// What becomes of the role maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleMaps {
    /// There is none, or both have the same.
    Same,
    /// The other directory has none and takes it.
    TakenOver,
    /// The other directory has one of its own: somebody would get roles, or lose them.
    Differ,
}

/// Somebody who cannot be handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    pub id: String,
    pub resource_type: String,
    pub name: String,
    /// Who stands in the way in the other directory.
    pub taken_by: String,
    pub reason: Taken,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// Another one has its externalId.
    ExternalId,
    /// Another one has its name.
    Name,
    /// Several may be the same.
    Ambiguous,
    /// The group that was read already has more members than are told of at once.
    Large,
}

impl Taken {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::ExternalId => "It has the same id at the provider.",
            Self::Name => "It has the same name.",
            Self::Ambiguous => "Several may be the same.",
            Self::Large => "The group has too many members there already.",
        }
    }
}

impl HandOverReport {
    pub fn is_possible(&self) -> bool {
        self.conflicts == 0 && !self.role_maps_differ()
    }

    pub fn goes_to(&self, id: &str) -> bool {
        self.to == id
    }

    pub fn role_maps_differ(&self) -> bool {
        self.role_map == RoleMaps::Differ
    }

    pub fn takes_role_map(&self) -> bool {
        self.role_map == RoleMaps::TakenOver
    }

    /// # Errors
    /// 409, with how many there are, the first of them, and what to do.
    pub(super) fn refuse_conflicts(&self) -> Result<(), ServiceError> {
        if self.role_maps_differ() {
            let message = "Both directories have a role map, and somebody would get or lose roles. Take the \
                           one of the other directory away: it takes this one's.";
            return Err(AdminError::new(409, "role_maps_differ", message).into());
        }
        let Some(first) = self.first_conflicts.first() else { return Ok(()) };
        let message = format!(
            "{} of this directory cannot be handed over; the first is the {} \"{}\", {}, because of {}. Hand \
             over before the other directory is filled, or remove them there first.",
            self.conflicts,
            first.resource_type.to_lowercase(),
            first.name,
            first.id,
            first.taken_by,
        );
        Err(AdminError::new(409, "hand_over_conflicts", message).into())
    }
}

impl Service {
    /// The directory that takes the users over.
    ///
    /// # Errors
    /// 422 where it is none of the organization, or the same one.
    pub(super) async fn hand_over_target(
        &self,
        access: &ApiAccess,
        row: &DirectoryRow,
        to: Option<String>,
    ) -> Result<DirectoryRow, ServiceError> {
        let invalid = |message: &str| AdminError::invalid("to", message).into();
        let Some(to) = to.filter(|to| !to.is_empty()) else {
            return Err(invalid("name the directory that takes the users over."));
        };
        let found = match self.directory_row(access, &to).await {
            Err(ServiceError::Admin(AdminError { status: 404, .. })) => None,
            found => Some(found?),
        };
        match found.filter(|found| found.organization_id == row.organization_id) {
            None => Err(invalid("it is no directory of the same organization.")),
            Some(same) if same.key == row.key => Err(invalid("it is the directory itself.")),
            Some(target) => Ok(target),
        }
    }

    /// What a hand over would do.
    pub(super) async fn hand_over_outlook(
        &self,
        row: &DirectoryRow,
        target: &DirectoryRow,
    ) -> Result<HandOverReport, ServiceError> {
        refuse_unfit(target)?;
        let (keys, most) = ((row.key, target.key), self.members_at_once);
        let is_read = SourceKind::named(&target.kind).is_some();
        let found: Result<_, StoreError> = self
            .store
            .scan("hand_over_outlook", move |tx| {
                let judged = compare(tx, keys, is_read, most)?;
                let groups = tx.hand_over_groups_left(keys.0)?;
                Ok((judged, tx.count_total(keys.0, "User")?, groups))
            })
            .await;
        let ((matched, conflicts), users, groups) = found?;
        Ok(HandOverReport {
            to: target.id.clone(),
            users,
            groups,
            matched,
            conflicts: conflicts.len(),
            first_conflicts: conflicts.into_iter().take(NAMED).collect(),
            role_map: role_maps(row, target),
        })
    }
}

/// 409 for a directory that takes nobody over now.
pub(super) fn refuse_unfit(target: &DirectoryRow) -> Result<(), AdminError> {
    match State::parse(&target.state) {
        None | Some(State::Disabled | State::Deleting) => {
            let message = "The directory that is to take the users over is disabled or being deleted; start \
                           it first, or choose another one.";
            Err(AdminError::new(409, "directory_stopped", message))
        }
        Some(_) => Ok(()),
    }
}

fn role_maps(row: &DirectoryRow, target: &DirectoryRow) -> RoleMaps {
    match (&row.role_map, &target.role_map) {
        (old, new) if same_roles(old.as_deref(), new.as_deref()) => RoleMaps::Same,
        (Some(_), None) => RoleMaps::TakenOver,
        _ => RoleMaps::Differ,
    }
}

/// Makes the other directory ready in the unit that begins: it takes the maps, so that nobody loses a role in
/// between, and no read of it that began before decides anything. Answers its row.
pub(super) fn prepare(
    tx: &mut Tx<'_>,
    row: &DirectoryRow,
    into_key: i64,
    ids: &mut Ids,
    now: i64,
) -> Result<DirectoryRow, ServiceError> {
    let target = tx.directory_by_key(into_key)?.ok_or_else(missing)?;
    refuse_unfit(&target)?;
    if tx.directory_share(row.key)?.is_some_and(|shared| shared.has_intents) {
        let message =
            "Members of a group of this directory are being changed; try again when that is done.";
        return Err(AdminError::new(409, "members_change", message).into());
    }
    let attributes = target.attribute_map.as_ref().or(row.attribute_map.as_ref());
    let roles = target.role_map.as_ref().or(row.role_map.as_ref());
    if (attributes, roles) != (target.attribute_map.as_ref(), target.role_map.as_ref()) {
        let (attributes, roles) = (attributes.map(String::as_str), roles.map(String::as_str));
        tx.mapping_set(into_key, attributes, roles, now)?;
    }
    tx.sync_read_anew(into_key, now)?;
    if tx.sync_activate(into_key)? {
        // The app hears of the directory before it hears who is in it.
        let domains = tx.domain_list(std::slice::from_ref(&target.organization_id))?;
        let event = NewEvent {
            id: ids.next("event"),
            event: name::ACTIVATED,
            resource_id: target.id.clone(),
            member_id: None,
            data: activated(&target, &domains).to_string().into(),
            reason: None,
            created: now,
        };
        tx.event_append(into_key, &event)?;
    }
    Ok(target)
}

/// Everybody is in the other directory: all are brought to its maps, and its source is read completely.
pub(super) fn finish(tx: &mut Tx<'_>, into: &Directory, now: i64) -> Result<(), StoreError> {
    if !into.mapping.is_empty() {
        tx.mapping_cursor_set(into.key, Some(0))?;
    }
    match into.is_read {
        true => tx.sync_read_anew(into.key, now),
        false => tx.handed_over_clear(into.key),
    }
}

/// Who is in both directories: how many of them match, and who conflicts.
fn compare(
    tx: &mut Tx<'_>,
    keys: (i64, i64),
    is_read: bool,
    most: usize,
) -> Result<(usize, Vec<Conflict>), StoreError> {
    let mut same = Vec::new();
    for (by, taken) in [
        (Same::ExternalId, Taken::ExternalId),
        (Same::UserName, Taken::Name),
        (Same::GroupName, Taken::Name),
    ] {
        same.extend(tx.hand_over_same(keys, by, COMPARED)?.into_iter().map(|row| (row, taken)));
    }
    let (matches, mut conflicts) = judged(same, is_read);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut matched = 0;
    for row in matches {
        match row.resource_type == "Group" && tx.member_exceeds(keys.1, row.other_key, most)? {
            true => conflicts.push(conflict(&row, Taken::Large)),
            false => matched += 1,
        }
    }
    conflicts.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((matched, conflicts))
}

/// Tells those who match from those who conflict.
fn judged(same: Vec<(SameRow, Taken)>, is_read: bool) -> (Vec<SameRow>, Vec<Conflict>) {
    let mut by_id: BTreeMap<String, Vec<(SameRow, Taken)>> = BTreeMap::new();
    for (row, taken) in same {
        by_id.entry(row.id.clone()).or_default().push((row, taken));
    }
    let (mut matches, mut conflicts) = (Vec::new(), Vec::new());
    for mut rows in by_id.into_values() {
        let others: BTreeSet<&str> = rows.iter().map(|(row, _)| row.other_id.as_str()).collect();
        let is_one = others.len() == 1;
        let (row, taken) = rows.swap_remove(0);
        match (is_read, is_one) {
            (true, true) => matches.push(row),
            (true, false) => conflicts.push(conflict(&row, Taken::Ambiguous)),
            (false, _) => conflicts.push(conflict(&row, taken)),
        }
    }
    (matches, conflicts)
}

fn conflict(row: &SameRow, reason: Taken) -> Conflict {
    Conflict {
        id: row.id.clone(),
        resource_type: row.resource_type.clone(),
        name: row.name.clone(),
        taken_by: row.other_id.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(id: &str, other: &str, taken: Taken) -> (SameRow, Taken) {
        let row = SameRow {
            id: id.to_owned(),
            resource_type: "User".to_owned(),
            name: id.to_owned(),
            other_id: other.to_owned(),
            other_key: 0,
        };
        (row, taken)
    }

    #[test]
    fn what_a_source_has_read_matches_and_what_was_pushed_conflicts() {
        let rows = || {
            vec![
                same("a", "x", Taken::ExternalId),
                same("b", "y", Taken::Name),
                same("a", "x", Taken::Name),
            ]
        };
        let (matches, conflicts) = judged(rows(), true);
        let matches: Vec<&str> = matches.iter().map(|row| row.other_id.as_str()).collect();
        assert_eq!((matches, conflicts.len()), (vec!["x", "y"], 0));
        let (matches, conflicts) = judged(rows(), false);
        let reasons: Vec<Taken> = conflicts.iter().map(|one| one.reason).collect();
        assert_eq!((matches.len(), reasons), (0, vec![Taken::ExternalId, Taken::Name]));
    }

    #[test]
    fn two_who_may_be_the_same_are_a_conflict() {
        let rows = vec![same("a", "x", Taken::ExternalId), same("a", "y", Taken::Name)];
        let (matches, conflicts) = judged(rows, true);
        assert_eq!((matches.len(), conflicts[0].reason), (0, Taken::Ambiguous));
    }
}
