//! Whether the app has been told of groups, and of whose members while it is being told.

use std::collections::HashMap;

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::resource::{AppState, key_list};
use super::sql::{Bind, Tx};

/// A group as the app sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct AppGroup {
    pub key: i64,
    #[diesel(deserialize_as = String)]
    pub app_state: AppState,
}

/// Of which of a group's members the app has been told: of those up to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    pub group_key: i64,
    pub member_key: i64,
}

/// What showing every hidden group of a directory is about, and hiding every other one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTotals {
    pub shown: i64,
    pub hidden: i64,
    /// Users whom the app sees, in hidden groups; who is in two counts twice.
    pub hidden_memberships: i64,
}

impl Tx<'_> {
    /// The next groups of a directory by key.
    pub fn app_group_chunk(
        &mut self,
        directory_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<AppGroup>, StoreError> {
        self.rows::<(BigInt, Text), _>(
            "SELECT key, app_state FROM resource WHERE directory_key = ? \
             AND resource_type = 'Group' AND key > ? ORDER BY key LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(after_key), Bind::Int(limit)],
        )
    }

    /// Writes what the app has been told.
    pub fn app_group_set(
        &mut self,
        directory_key: i64,
        key: i64,
        state: AppState,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET app_state = ? WHERE directory_key = ? AND key = ?",
            &[Bind::Text(state.as_str()), Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// How far the app has been told of a group's members, while that is not all of them.
    pub fn telling_get(&mut self, directory_key: i64) -> Result<Option<Telling>, StoreError> {
        let found = self.row::<(Nullable<BigInt>, Nullable<BigInt>), (Option<i64>, Option<i64>)>(
            "SELECT telling_group, telling_member FROM directory WHERE key = ?",
            &[Bind::Int(directory_key)],
        )?;
        let both = found.and_then(|(group, member)| group.zip(member));
        Ok(both.map(|(group_key, member_key)| Telling { group_key, member_key }))
    }

    pub fn telling_set(
        &mut self,
        directory_key: i64,
        telling: Option<Telling>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET telling_group = ?, telling_member = ? WHERE key = ?",
            &[
                Bind::OptInt(telling.map(|telling| telling.group_key)),
                Bind::OptInt(telling.map(|telling| telling.member_key)),
                Bind::Int(directory_key),
            ],
        )?;
        Ok(())
    }

    /// Counts groups and memberships; looks at all of them.
    pub fn app_group_totals(&mut self, directory_key: i64) -> Result<GroupTotals, StoreError> {
        let groups = self.rows::<(Text, BigInt), (String, i64)>(
            "SELECT app_state, COUNT(*) FROM resource WHERE directory_key = ? \
             AND resource_type = 'Group' GROUP BY app_state",
            &[Bind::Int(directory_key)],
        )?;
        let mut totals = GroupTotals::default();
        for (state, number) in groups {
            match state.as_str() {
                "hidden" => totals.hidden += number,
                _ => totals.shown += number,
            }
        }
        if totals.hidden > 0 {
            let found = self.row::<BigInt, i64>(
                &format!(
                    "SELECT COUNT(*) FROM resource g {} {} WHERE g.directory_key = ? \
                     AND g.resource_type = 'Group' AND g.app_state = 'hidden' \
                     AND u.resource_type = 'User' AND u.app_state <> 'hidden'",
                    self.dialect.each(
                        "member",
                        "m",
                        "m.directory_key = g.directory_key AND m.group_key = g.key"
                    ),
                    self.dialect.each(
                        "resource",
                        "u",
                        "u.directory_key = m.directory_key AND u.key = m.member_key"
                    )
                ),
                &[Bind::Int(directory_key)],
            )?;
            totals.hidden_memberships = found.unwrap_or_default();
        }
        Ok(totals)
    }

    /// How many groups of each of these directories the app does not see; where it is none they are missing.
    pub(super) fn hidden_groups(
        &mut self,
        directory_keys: &[i64],
    ) -> Result<HashMap<i64, i64>, StoreError> {
        let hidden = self.dialect.each(
            "resource",
            "r",
            "r.directory_key = j.value AND r.resource_type = 'Group' AND r.app_state = 'hidden'",
        );
        let text = format!(
            "SELECT r.directory_key, COUNT(*) FROM {} {hidden} GROUP BY r.directory_key",
            self.dialect.keys()
        );
        let found = self.rows::<(BigInt, BigInt), (i64, i64)>(
            &text,
            &[Bind::Owned(key_list(directory_keys))],
        )?;
        Ok(found.into_iter().collect())
    }
}
