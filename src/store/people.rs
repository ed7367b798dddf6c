//! Users and groups of all directories by how what they are known by begins, and what was told of one.
//!
//! Every search goes from directory to directory along indexes that each directory has for its own sake, so
//! it costs writers nothing. Within a directory it stops at the limit.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::dialect::Dialect;
use super::event::StoredData;
use super::resource::ResourceRow;
use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};
use crate::scim::resource::extract::PERSON_NAMES;

/// What a search looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    UserName,
    /// Any address of a user.
    Email,
    /// The displayName of a group.
    Name,
    /// What people call a user ([`PERSON_NAMES`]).
    PersonName,
    ExternalId,
}

/// A place in a search: strictly beyond it the search goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub directory_key: i64,
    pub value: String,
    pub key: i64,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search<'s> {
    pub resource_type: &'s str,
    pub known: Known,
    /// What the comparison key begins with.
    pub prefix: &'s str,
    /// Ids of organizations; all when `None`.
    pub organizations: Option<&'s [String]>,
    pub beyond: Option<&'s Beyond>,
    pub limit: i64,
}

/// What a search has found.
#[derive(Clone, Debug, Queryable)]
pub struct FoundRow {
    pub directory_key: i64,
    pub directory_id: String,
    pub organization_id: String,
    /// The comparison key that begins so.
    pub value: String,
    pub key: i64,
}

/// Something that the app was told of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ToldRow {
    pub directory_key: i64,
    pub id: String,
    pub event: String,
    /// The `data` member as compact JSON.
    #[diesel(deserialize_as = StoredData)]
    pub data: String,
    pub created: i64,
    pub reason: Option<String>,
}

/// Path of `emails.value` among the attributes that have an index.
const EMAILS: i32 = 1;

impl Known {
    /// Table, column of the value and column of the resource's key.
    fn columns(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::UserName => ("resource", "user_name_key", "key"),
            Self::Email | Self::PersonName => ("resource_attr", "key", "resource_key"),
            Self::Name => ("resource", "display_key", "key"),
            Self::ExternalId => ("resource", "external_id", "key"),
        }
    }
}

impl Tx<'_> {
    /// Resources in the order of directory, value and key. Of an address also such as are no users: the
    /// caller looks.
    pub fn people_search(&mut self, search: &Search<'_>) -> Result<Vec<FoundRow>, StoreError> {
        let (table, value, key) = search.known.columns();
        let mut binds = Vec::new();
        let organizations = match search.organizations {
            None => "TRUE".to_owned(),
            Some(ids) => {
                binds.push(Bind::Owned(serde_json::Value::from(ids).to_string()));
                format!("o.id IN (SELECT j.value FROM {})", self.dialect.texts())
            }
        };
        let from = search.beyond.map_or(0, |beyond| beyond.directory_key);
        binds.push(Bind::Int(from));
        let kind = match search.known {
            Known::Email | Known::PersonName => {
                let is_email = search.known == Known::Email;
                binds.push(Bind::Small(if is_email { EMAILS } else { PERSON_NAMES }));
                "path_id = ?".to_owned()
            }
            // Left to itself, a database reads every resource of the type for an externalId.
            Known::ExternalId => {
                binds.push(Bind::Text(search.resource_type));
                format!("{} = ?", self.dialect.unindexed("r.resource_type"))
            }
            Known::UserName | Known::Name => {
                binds.push(Bind::Text(search.resource_type));
                "resource_type = ?".to_owned()
            }
        };
        binds.push(Bind::Text(search.prefix));
        // Sorts behind whatever begins so.
        binds.push(Bind::Owned(format!("{}\u{10FFFF}", search.prefix)));
        let beyond = match search.beyond {
            None => "TRUE".to_owned(),
            Some(beyond) => {
                binds.extend([
                    Bind::Int(beyond.directory_key),
                    Bind::Text(&beyond.value),
                    Bind::Int(beyond.key),
                ]);
                format!("(d.key > ? OR (r.{value}, r.{key}) > (?, ?))")
            }
        };
        let directories = format!(
            "directory d JOIN organization o ON o.key = d.organization_key \
             AND d.state <> 'deleting' AND {organizations}"
        );
        let rows = format!(
            "r.directory_key = d.key AND {kind} AND r.{value} >= ? AND r.{value} < ? AND {beyond}"
        );
        let columns = "d.key, d.id, o.id";
        // Two shapes of the same loop: directories outside, an index inside, nothing sorted.
        let text = match self.dialect {
            Dialect::Sqlite => format!(
                "SELECT {columns}, r.{value}, r.{key} FROM {} CROSS JOIN {table} r WHERE d.key >= ? \
                 AND {rows} ORDER BY d.key, r.{value}, r.{key} LIMIT ?",
                directories.replacen("JOIN", "CROSS JOIN", 1)
            ),
            Dialect::Postgres => {
                binds.push(Bind::Int(search.limit));
                format!(
                    "SELECT {columns}, f.value, f.key FROM {directories} AND d.key >= ? \
                     CROSS JOIN LATERAL (SELECT r.{value} AS value, r.{key} AS key FROM {table} r \
                     WHERE {rows} ORDER BY r.{value}, r.{key} LIMIT ?) f \
                     ORDER BY d.key, f.value, f.key LIMIT ?"
                )
            }
        };
        binds.push(Bind::Int(search.limit));
        self.rows::<(BigInt, Text, Text, Text, BigInt), _>(&text, &binds)
    }

    /// What the app was told of a resource by id, newest first; of a user with the memberships.
    pub fn told_list(
        &mut self,
        resource_id: &str,
        range: &ListRange,
    ) -> Result<Vec<ToldRow>, StoreError> {
        let (condition, order, cursor) = range.sql_on("e.id");
        let member = self.dialect.pick(
            "e.member_id = ?",
            "(CAST(e.data AS json) #>> '{user,id}') = ? \
             AND e.event IN ('dsync.group.user_added', 'dsync.group.user_removed')",
        );
        let columns = "e.directory_key, e.id, e.event, e.data, e.created, e.reason";
        let half = |which: &str| {
            format!(
                "SELECT * FROM (SELECT {columns} FROM event e WHERE {which} AND {condition} \
                 ORDER BY {order} LIMIT ?) {}",
                if which.contains("resource_id") { "own" } else { "memberships" }
            )
        };
        let own = half("e.resource_id = ?");
        let memberships = half(member);
        let text = format!(
            "{own} UNION ALL {memberships} ORDER BY {} LIMIT ?",
            order.replacen("e.id", "id", 1)
        );
        let half = [Bind::Text(resource_id), Bind::Text(cursor), Bind::Int(range.limit)];
        let binds: Vec<Bind<'_>> =
            half.iter().chain(&half).cloned().chain([Bind::Int(range.limit)]).collect();
        self.rows::<(BigInt, Text, Text, Binary, BigInt, Nullable<Text>), _>(&text, &binds)
    }

    /// One user or group of any directory, with the directory's key, also one that the app does not see.
    pub fn person_row(
        &mut self,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<(i64, ResourceRow)>, StoreError> {
        let Some(found) = self.resource_locate(resource_type, id)? else { return Ok(None) };
        let row = self.resource_rows(found.directory_key, &[found.key])?.pop();
        Ok(row.map(|row| (found.directory_key, row)))
    }
}
