//! Identities: the persons of an organization, and the accounts that each has in its directories.
//!
//! Who changes one holds the row of [`Tx::identity_scope_lock`], so that two directories of one
//! organization do not decide about the same person at the same time.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityState {
    Active,
    Inactive,
    /// Its last account is gone.
    Ended,
    /// Another one has its accounts.
    Merged,
}

impl IdentityState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Ended => "ended",
            Self::Merged => "merged",
        }
    }
}

impl From<String> for IdentityState {
    /// The database holds no other words.
    fn from(word: String) -> Self {
        match word.as_str() {
            "active" => Self::Active,
            "inactive" => Self::Inactive,
            "merged" => Self::Merged,
            _ => Self::Ended,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct IdentityRow {
    pub key: i64,
    pub id: String,
    #[diesel(deserialize_as = String)]
    pub state: IdentityState,
    /// JSON object.
    pub profile: String,
    pub merged_into: Option<i64>,
    pub created: i64,
    pub modified: i64,
}

type Sql = (BigInt, Text, Text, Text, Nullable<BigInt>, BigInt, BigInt);

const COLUMNS: &str = "SELECT i.key, i.id, i.state, i.profile, i.merged_into, i.created, \
     i.modified FROM identity i";

/// How an organization keeps identities.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ScopeRow {
    pub primary_key: Option<i64>,
    /// Key of the last identity that was brought to a changed primary directory; `None` when all are.
    pub settle_cursor: Option<i64>,
}

/// Which identities a list shows.
#[derive(Clone, Debug, Default)]
pub struct IdentityFilter {
    /// Those that are active or inactive when there is none.
    pub state: Option<IdentityState>,
    pub email_key: Option<String>,
    pub directory_key: Option<i64>,
    pub user_id: Option<String>,
}

impl Tx<'_> {
    /// `None` when the organization keeps no identities.
    pub fn identity_scope(
        &mut self,
        organization_key: i64,
    ) -> Result<Option<ScopeRow>, StoreError> {
        self.row::<(Nullable<BigInt>, Nullable<BigInt>), _>(
            "SELECT primary_key, settle_cursor FROM organization_identity \
             WHERE organization_key = ?",
            &[Bind::Int(organization_key)],
        )
    }

    /// The same, and keeps other units from the identities of the organization. A unit takes its
    /// directories before it, and resources after it.
    pub fn identity_scope_lock(
        &mut self,
        organization_key: i64,
    ) -> Result<Option<ScopeRow>, StoreError> {
        let text = self.dialect.pick(
            "SELECT primary_key, settle_cursor FROM organization_identity \
             WHERE organization_key = ?",
            "SELECT primary_key, settle_cursor FROM organization_identity \
             WHERE organization_key = ? FOR UPDATE",
        );
        self.row::<(Nullable<BigInt>, Nullable<BigInt>), _>(text, &[Bind::Int(organization_key)])
    }

    /// The organization keeps identities from now on.
    pub fn identity_scope_insert(
        &mut self,
        organization_key: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO organization_identity (organization_key, created) VALUES (?, ?)",
            &[Bind::Int(organization_key), Bind::Int(now)],
        )?;
        Ok(())
    }

    /// Makes a directory the primary one, or none. Every identity is to be brought to it.
    pub fn identity_primary_set(
        &mut self,
        organization_key: i64,
        directory_key: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE organization_identity SET primary_key = ?, settle_cursor = 0 \
             WHERE organization_key = ?",
            &[Bind::OptInt(directory_key), Bind::Int(organization_key)],
        )?;
        Ok(())
    }

    /// Notes how far identities are brought to the primary directory.
    pub fn identity_settled(
        &mut self,
        organization_key: i64,
        cursor: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE organization_identity SET settle_cursor = ? WHERE organization_key = ?",
            &[Bind::OptInt(cursor), Bind::Int(organization_key)],
        )?;
        Ok(())
    }

    /// Keys of organizations whose identities are not all made or brought to the primary directory.
    pub fn identity_pending(&mut self) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT organization_key FROM organization_identity WHERE settle_cursor IS NOT NULL \
             UNION SELECT organization_key FROM identity_walk ORDER BY 1",
            &[],
        )
    }

    pub fn identity_walk_insert(
        &mut self,
        directory_key: i64,
        organization_key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_walk (directory_key, organization_key, after_id) \
             VALUES (?, ?, '')",
            &[Bind::Int(directory_key), Bind::Int(organization_key)],
        )?;
        Ok(())
    }

    /// A directory whose users were not all looked at, the primary one first, and the last that was.
    pub fn identity_walk_next(
        &mut self,
        organization_key: i64,
    ) -> Result<Option<(i64, String)>, StoreError> {
        self.row::<(BigInt, Text), _>(
            "SELECT w.directory_key, w.after_id FROM identity_walk w \
             JOIN organization_identity o ON o.organization_key = w.organization_key \
             JOIN directory d ON d.key = w.directory_key AND d.brake IS NULL \
             WHERE w.organization_key = ? \
             ORDER BY CASE WHEN w.directory_key = o.primary_key THEN 0 ELSE 1 END, \
             w.directory_key LIMIT 1",
            &[Bind::Int(organization_key)],
        )
    }

    /// Notes the last user that was looked at; `None` when there are no more.
    pub fn identity_walk_set(
        &mut self,
        directory_key: i64,
        after_id: Option<&str>,
    ) -> Result<(), StoreError> {
        match after_id {
            Some(id) => self.execute(
                "UPDATE identity_walk SET after_id = ? WHERE directory_key = ?",
                &[Bind::Text(id), Bind::Int(directory_key)],
            ),
            None => self.execute(
                "DELETE FROM identity_walk WHERE directory_key = ?",
                &[Bind::Int(directory_key)],
            ),
        }?;
        Ok(())
    }

    pub fn identity_insert(
        &mut self,
        organization_key: i64,
        row: &IdentityRow,
    ) -> Result<i64, StoreError> {
        let key = self.row::<BigInt, i64>(
            "INSERT INTO identity (organization_key, id, state, profile, created, modified) \
             VALUES (?, ?, ?, ?, ?, ?) RETURNING key",
            &[
                Bind::Int(organization_key),
                Bind::Text(&row.id),
                Bind::Text(row.state.as_str()),
                Bind::Text(&row.profile),
                Bind::Int(row.created),
                Bind::Int(row.modified),
            ],
        )?;
        key.ok_or(StoreError::MissingReference)
    }

    pub fn identity_update(&mut self, row: &IdentityRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE identity SET state = ?, profile = ?, merged_into = ?, modified = ? \
             WHERE key = ?",
            &[
                Bind::Text(row.state.as_str()),
                Bind::Text(&row.profile),
                Bind::OptInt(row.merged_into),
                Bind::Int(row.modified),
                Bind::Int(row.key),
            ],
        )?;
        Ok(())
    }

    pub fn identity_by_key(&mut self, key: i64) -> Result<Option<IdentityRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE i.key = ?"), &[Bind::Int(key)])
    }

    pub fn identity_get(
        &mut self,
        organization_key: i64,
        id: &str,
    ) -> Result<Option<IdentityRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE i.id = ? AND i.organization_key = ?");
        self.row::<Sql, _>(&text, &[Bind::Text(id), Bind::Int(organization_key)])
    }

    /// The next identities of an organization by key, of any state.
    pub fn identity_chunk(
        &mut self,
        organization_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<IdentityRow>, StoreError> {
        let text =
            format!("{COLUMNS} WHERE i.organization_key = ? AND i.key > ? ORDER BY i.key LIMIT ?");
        let binds = [Bind::Int(organization_key), Bind::Int(after_key), Bind::Int(limit)];
        self.rows::<Sql, _>(&text, &binds)
    }

    pub fn identity_list(
        &mut self,
        organization_key: i64,
        filter: &IdentityFilter,
        range: &ListRange,
    ) -> Result<Vec<IdentityRow>, StoreError> {
        let (condition, order, cursor) = range.sql_on("i.id");
        let mut text = format!("{COLUMNS} WHERE i.organization_key = ? AND {condition}");
        let mut binds = vec![Bind::Int(organization_key), Bind::Text(cursor)];
        match filter.state {
            Some(state) => {
                text.push_str(" AND i.state = ?");
                binds.push(Bind::Text(state.as_str()));
            }
            None => text.push_str(" AND i.state IN ('active', 'inactive')"),
        }
        if let Some(email) = &filter.email_key {
            text.push_str(
                " AND i.key IN (SELECT a.identity_key FROM identity_account a \
                 WHERE a.organization_key = ? AND a.email_key = ?)",
            );
            binds.extend([Bind::Int(organization_key), Bind::Text(email)]);
        }
        if let Some(user) = &filter.user_id {
            text.push_str(
                " AND i.key IN (SELECT a.identity_key FROM identity_account a JOIN directory d \
                 ON d.key = a.directory_key WHERE d.organization_key = ? AND a.user_id = ?)",
            );
            binds.extend([Bind::Int(organization_key), Bind::Text(user)]);
        }
        if let Some(directory) = filter.directory_key {
            text.push_str(
                " AND EXISTS (SELECT 1 FROM identity_account a \
                 WHERE a.identity_key = i.key AND a.directory_key = ?)",
            );
            binds.push(Bind::Int(directory));
        }
        text.push_str(&format!(" ORDER BY {order} LIMIT ?"));
        binds.push(Bind::Int(range.limit));
        self.rows::<Sql, _>(&text, &binds)
    }

    /// Identities that were merged into this one.
    pub fn identity_merged_keys(&mut self, key: i64) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT key FROM identity WHERE merged_into = ? ORDER BY key",
            &[Bind::Int(key)],
        )
    }

    /// What is only about an identity that has ended goes.
    pub fn identity_forget(&mut self, key: i64) -> Result<(), StoreError> {
        for text in [
            "DELETE FROM identity_alias WHERE identity_key = ?",
            "DELETE FROM identity_past WHERE identity_key = ?",
            "DELETE FROM identity_move WHERE suggestion_id IN \
             (SELECT id FROM identity_suggestion WHERE into_key = ?)",
            "DELETE FROM identity_suggestion WHERE identity_key = ? AND state <> 'accepted'",
        ] {
            self.execute(text, &[Bind::Int(key)])?;
        }
        Ok(())
    }

    /// Whether the organization has shown that the domain is its own.
    pub fn domain_verified(
        &mut self,
        organization_key: i64,
        domain: &str,
    ) -> Result<bool, StoreError> {
        let found = self.row::<Integer, i32>(
            "SELECT 1 FROM organization_domain WHERE organization_key = ? AND domain = ? \
             AND state = 'verified'",
            &[Bind::Int(organization_key), Bind::Text(domain)],
        )?;
        Ok(found.is_some())
    }

    /// Everything of an organization that is about to go. Its directories have gone before.
    pub fn identity_purge(&mut self, organization_key: i64) -> Result<(), StoreError> {
        for text in [
            "DELETE FROM identity_alias WHERE organization_key = ?",
            "DELETE FROM identity WHERE organization_key = ?",
            "DELETE FROM organization_identity WHERE organization_key = ?",
        ] {
            self.execute(text, &[Bind::Int(organization_key)])?;
        }
        Ok(())
    }
}
