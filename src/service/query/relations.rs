//! What other rows say about a resource: its groups, its members, its manager.

use serde_json::Value;

use crate::scim::resource::Projection;
use crate::scim::{Object, ResourceType, urn};
use crate::service::seen::object;
use crate::store::member::{MemberRow, MembershipRow};
use crate::store::resource::ResourceRow;
use crate::store::{ResourceFound, Shown, StoreError, Tx};

/// Members read at a time. A group that has more is shown while the others are read.
const MEMBERS: i64 = 1_000;

/// A resource with what other rows say about it.
#[derive(Clone, Debug)]
pub struct Found {
    pub row: ResourceRow,
    pub groups: Vec<MembershipRow>,
    pub members: Vec<MemberRow>,
    /// There are members beyond the last of `members`.
    pub has_more_members: bool,
    /// Set when the user names a manager, whether or not there is such a user.
    pub manager: Option<ManagerRow>,
}

/// The user that another names as its manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerRow {
    /// The id, when it is one of a user of this directory.
    pub id: Option<String>,
    pub display: Option<String>,
}

impl Found {
    /// What one statement has found; `None` when there is more to find.
    pub(super) fn of(found: ResourceFound) -> Option<Self> {
        let manager = match found.manager {
            Some((id, display)) => Some(ManagerRow { id: Some(id), display }),
            None if mentions_manager(&found.row) => named_manager(&object(&found.row.doc))
                .map(|_| ManagerRow { id: None, display: None }),
            None => None,
        };
        Some(Self { groups: found.groups?, manager, ..Self::alone(found.row) })
    }

    /// A row that no other row says anything about, or whose relations are not shown.
    pub fn alone(row: ResourceRow) -> Self {
        Self {
            row,
            groups: Vec::new(),
            members: Vec::new(),
            has_more_members: false,
            manager: None,
        }
    }
}

/// What is loaded beside a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relations {
    pub(super) groups: bool,
    pub(super) members: bool,
    pub(super) manager: bool,
}

/// How much of what is loaded with a row one statement can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InOne {
    /// There is nothing but the row.
    Row,
    With(Shown),
    No,
}

impl Relations {
    pub(super) fn in_one(self) -> InOne {
        match (self.groups, self.members, self.manager) {
            (false, false, false) => InOne::Row,
            (true, false, false) => InOne::With(Shown::Groups),
            (true, false, true) => InOne::With(Shown::GroupsAndManager),
            (_, true, _) | (false, _, true) => InOne::No,
        }
    }

    /// True when loading is one statement for that row.
    pub(super) fn is_one_statement_for(self, row: &ResourceRow) -> bool {
        !(self.members || (self.manager && mentions_manager(row)))
    }

    pub(super) fn of(resource_type: &ResourceType, projection: &Projection) -> Self {
        let has = |name: &str| resource_type.attribute(name).is_some() && projection.wants(name);
        Self {
            groups: resource_type.is_user() && has("groups"),
            members: resource_type.is_group() && has("members"),
            manager: resource_type.is_user() && projection.wants_extension(urn::ENTERPRISE_USER),
        }
    }

    /// True when there is nothing to load for the row.
    pub(super) fn is_none_for(self, row: &ResourceRow) -> bool {
        !(self.groups || self.members || (self.manager && mentions_manager(row)))
    }

    /// True when a worker has time to read them: a group can have any number of members.
    pub(super) fn are_few(self) -> bool {
        !self.members
    }

    /// With all members.
    pub(super) fn load(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        row: ResourceRow,
    ) -> Result<Found, StoreError> {
        let groups = self.groups_of(tx, directory_key, &row)?;
        self.load_around(tx, directory_key, row, groups)
    }

    /// Like [`Relations::load`] for a row whose groups are known.
    pub(super) fn load_around(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        row: ResourceRow,
        groups: Vec<MembershipRow>,
    ) -> Result<Found, StoreError> {
        let mut found = self.with_groups(tx, directory_key, row, groups)?;
        while found.has_more_members {
            let page = members_after(tx, directory_key, found.row.key, last_member(&found))?;
            found.has_more_members = is_full(&page);
            found.members.extend(page);
        }
        Ok(found)
    }

    /// With the first members.
    pub(super) fn load_first(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        row: ResourceRow,
    ) -> Result<Found, StoreError> {
        let groups = self.groups_of(tx, directory_key, &row)?;
        self.with_groups(tx, directory_key, row, groups)
    }

    fn groups_of(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        row: &ResourceRow,
    ) -> Result<Vec<MembershipRow>, StoreError> {
        match self.groups {
            true => tx.membership_list(directory_key, row.key),
            false => Ok(Vec::new()),
        }
    }

    fn with_groups(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        row: ResourceRow,
        groups: Vec<MembershipRow>,
    ) -> Result<Found, StoreError> {
        let members = match self.members {
            true => tx.member_list(directory_key, row.key, 0, MEMBERS)?,
            false => Vec::new(),
        };
        let manager = match self.manager && mentions_manager(&row) {
            true => manager(tx, directory_key, &row)?,
            false => None,
        };
        Ok(Found { row, groups, has_more_members: is_full(&members), members, manager })
    }
}

/// Few users of a directory have no manager at all, but in many directories nobody has: those
/// documents are not parsed.
fn mentions_manager(row: &ResourceRow) -> bool {
    row.doc.contains("\"manager\":{")
}

fn named_manager(document: &Object) -> Option<&Value> {
    document.get(urn::ENTERPRISE_USER)?.get("manager")
}

fn manager(
    tx: &mut Tx<'_>,
    directory_key: i64,
    row: &ResourceRow,
) -> Result<Option<ManagerRow>, StoreError> {
    let document = object(&row.doc);
    let Some(manager) = named_manager(&document) else { return Ok(None) };
    let found = match manager.get("value").and_then(Value::as_str) {
        Some(id) => tx.resource_display(directory_key, "User", id)?.map(|display| (id, display)),
        None => None,
    };
    Ok(Some(match found {
        Some((id, display)) => ManagerRow { id: Some(id.to_owned()), display },
        None => ManagerRow { id: None, display: None },
    }))
}

/// The members after one.
pub(super) fn members_after(
    tx: &mut Tx<'_>,
    directory_key: i64,
    group_key: i64,
    after: i64,
) -> Result<Vec<MemberRow>, StoreError> {
    tx.member_list(directory_key, group_key, after, MEMBERS)
}

/// The key of the last member that was read.
pub(super) fn last_member(found: &Found) -> i64 {
    found.members.last().map_or(0, |member| member.key)
}

/// A page that is full may have others after it.
pub(super) fn is_full(page: &[MemberRow]) -> bool {
    i64::try_from(page.len()).unwrap_or(i64::MAX) >= MEMBERS
}
