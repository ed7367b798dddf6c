//! A user with its groups and its manager as one statement of PostgreSQL.

use diesel::sql_types::{Nullable, Text};

use super::StoreError;
use super::member::MembershipRow;
use super::resource::{ResourceRow, ResourceSql};
use super::single::Single;
use super::sql::Bind;

/// What is read beside the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Groups,
    /// The groups and the manager that the document names.
    GroupsAndManager,
}

/// A user and what other rows say about it.
#[derive(Clone, Debug)]
pub struct ResourceFound {
    pub row: ResourceRow,
    /// `None` when one of the groups is in a group itself: those are found by walking up.
    pub groups: Option<Vec<MembershipRow>>,
    /// Id and name of the user that is the manager, if there is such a user.
    pub manager: Option<(String, Option<String>)>,
}

const WITH_GROUPS: &str = "SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, \
     r.version, r.created, r.modified, r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles, \
     (SELECT CAST(json_agg(json_build_array(g.key, g.id, g.display, EXISTS (SELECT 1 FROM member n \
         WHERE n.directory_key = g.directory_key AND n.member_key = g.key)) ORDER BY g.key) AS TEXT) \
         FROM member m JOIN resource g ON g.directory_key = m.directory_key AND g.key = m.group_key \
         WHERE m.directory_key = r.directory_key AND m.member_key = r.key), \
     CAST(NULL AS TEXT), CAST(NULL AS TEXT) \
     FROM resource r WHERE r.id = ? AND r.directory_key = ? AND r.resource_type || '' = ?";

/// The document is parsed only where it may name a manager, as in `query::relations`.
const WITH_MANAGER: &str = "SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, \
     r.version, r.created, r.modified, r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles, \
     (SELECT CAST(json_agg(json_build_array(g.key, g.id, g.display, EXISTS (SELECT 1 FROM member n \
         WHERE n.directory_key = g.directory_key AND n.member_key = g.key)) ORDER BY g.key) AS TEXT) \
         FROM member m JOIN resource g ON g.directory_key = m.directory_key AND g.key = m.group_key \
         WHERE m.directory_key = r.directory_key AND m.member_key = r.key), \
     b.id, b.display \
     FROM resource r LEFT JOIN resource b ON b.directory_key = r.directory_key \
     AND b.resource_type || '' = 'User' AND b.id = CASE WHEN strpos(r.doc, '\"manager\":{') > 0 THEN \
     CAST(r.doc AS json) -> 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User' \
     -> 'manager' ->> 'value' END \
     WHERE r.id = ? AND r.directory_key = ? AND r.resource_type || '' = ?";

type Sql = (ResourceSql, Nullable<Text>, Nullable<Text>, Nullable<Text>);

type Group = (i64, String, Option<String>, bool);

impl Single<'_> {
    /// The user, or `None` when there is none with that id.
    pub fn resource_find(
        self,
        directory_key: i64,
        resource_type: &str,
        id: &str,
        shown: Shown,
    ) -> Result<Option<ResourceFound>, StoreError> {
        let text = match shown {
            Shown::Groups => WITH_GROUPS,
            Shown::GroupsAndManager => WITH_MANAGER,
        };
        let found = self
            .row::<Sql, (ResourceRow, Option<String>, Option<String>, Option<String>)>(
                text,
                &[Bind::Text(id), Bind::Int(directory_key), Bind::Text(resource_type)],
            )?;
        Ok(found.map(|(row, groups, manager, display)| ResourceFound {
            groups: groups.as_deref().map_or_else(|| Some(Vec::new()), direct_groups),
            manager: manager.map(|id| (id, display)),
            row,
        }))
    }
}

/// The groups of a user; `None` when one of them is in a group.
fn direct_groups(text: &str) -> Option<Vec<MembershipRow>> {
    let groups: Vec<Group> = serde_json::from_str(text).ok()?;
    let row = |(group_key, group_id, display, nested): Group| {
        (!nested).then_some(MembershipRow { group_key, group_id, display, direct: true })
    };
    groups.into_iter().map(row).collect()
}
