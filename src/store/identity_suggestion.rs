//! What people decide about identities: suggestions, what accepted ones have moved, and aliases.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

/// That the identity of an account is the same person as another identity.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SuggestionRow {
    pub directory_key: i64,
    pub directory_id: String,
    pub user_id: String,
    /// The other identity, as it was when this was suggested.
    pub identity_key: i64,
    pub identity_id: String,
    pub id: String,
    /// `email` or `name`.
    pub reason: String,
    /// `open`, `accepted` or `rejected`.
    pub state: String,
    /// Which identity was merged into which, once accepted.
    pub from_key: Option<i64>,
    pub into_key: Option<i64>,
    pub into_root_key: Option<i64>,
    pub created: i64,
    pub decided: Option<i64>,
}

type Sql = (
    BigInt,
    Text,
    Text,
    BigInt,
    Text,
    Text,
    Text,
    Text,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
);

const COLUMNS: &str = "SELECT s.directory_key, d.id, s.user_id, s.identity_key, i.id, s.id, \
     s.reason, s.state, s.from_key, s.into_key, s.into_root_key, s.created, s.decided \
     FROM identity_suggestion s JOIN directory d ON d.key = s.directory_key \
     JOIN identity i ON i.key = s.identity_key";

/// An account that an accepted suggestion has moved.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct MoveRow {
    pub directory_key: i64,
    pub user_id: String,
    /// How it was linked before.
    pub linked_by: String,
}

/// An address that an operator has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AliasRow {
    pub identity_key: i64,
    pub email: String,
    pub email_key: String,
    pub created: i64,
}

type AliasSql = (BigInt, Text, Text, BigInt);

const ALIAS: &str = "SELECT identity_key, email, email_key, created FROM identity_alias";

/// An account for which identities are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Suggested<'s> {
    pub organization_key: i64,
    pub directory_key: i64,
    pub user_id: &'s str,
    /// Its own identity.
    pub identity_key: i64,
}

impl Tx<'_> {
    /// Identities with an account that has the name or the address, the oldest first, but not the
    /// account's own.
    pub fn identity_candidates(
        &mut self,
        of: Suggested<'_>,
        same: Same<'_>,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let (text, key) = match same {
            Same::Email(key) => (
                "SELECT DISTINCT identity_key FROM identity_account WHERE organization_key = ? \
                 AND email_key = ? AND identity_key <> ? ORDER BY identity_key LIMIT ?",
                key,
            ),
            Same::Name(key) => (
                "SELECT DISTINCT identity_key FROM identity_account WHERE organization_key = ? \
                 AND name_key = ? AND identity_key <> ? ORDER BY identity_key LIMIT ?",
                key,
            ),
        };
        let binds = [
            Bind::Int(of.organization_key),
            Bind::Text(key),
            Bind::Int(of.identity_key),
            Bind::Int(limit),
        ];
        self.rows::<BigInt, i64>(text, &binds)
    }

    /// Suggests an identity for an account; nothing when that was suggested before.
    pub fn suggestion_insert(
        &mut self,
        of: Suggested<'_>,
        candidate: i64,
        id: &str,
        reason: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_suggestion (directory_key, user_id, identity_key, \
             organization_key, id, reason, state, created) VALUES (?, ?, ?, ?, ?, ?, 'open', ?) \
             ON CONFLICT DO NOTHING",
            &[
                Bind::Int(of.directory_key),
                Bind::Text(of.user_id),
                Bind::Int(candidate),
                Bind::Int(of.organization_key),
                Bind::Text(id),
                Bind::Text(reason),
                Bind::Int(now),
            ],
        )?;
        Ok(())
    }

    pub fn suggestion_get(
        &mut self,
        organization_key: i64,
        id: &str,
    ) -> Result<Option<SuggestionRow>, StoreError> {
        let text = format!(
            "{COLUMNS} WHERE s.organization_key = ? AND s.id = ? AND s.state IN ('open', 'accepted', 'rejected')"
        );
        self.row::<Sql, _>(&text, &[Bind::Int(organization_key), Bind::Text(id)])
    }

    pub fn suggestion_list(
        &mut self,
        organization_key: i64,
        state: &str,
        range: &ListRange,
    ) -> Result<Vec<SuggestionRow>, StoreError> {
        let (condition, order, cursor) = range.sql_on("s.id");
        let text = format!(
            "{COLUMNS} WHERE s.organization_key = ? AND s.state = ? AND {condition} \
             ORDER BY {order} LIMIT ?"
        );
        let binds = [
            Bind::Int(organization_key),
            Bind::Text(state),
            Bind::Text(cursor),
            Bind::Int(range.limit),
        ];
        self.rows::<Sql, _>(&text, &binds)
    }

    /// Stores what was decided.
    pub fn suggestion_decide(&mut self, row: &SuggestionRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE identity_suggestion SET state = ?, from_key = ?, into_key = ?, \
             into_root_key = ?, decided = ? \
             WHERE directory_key = ? AND user_id = ? AND identity_key = ?",
            &[
                Bind::Text(&row.state),
                Bind::OptInt(row.from_key),
                Bind::OptInt(row.into_key),
                Bind::OptInt(row.into_root_key),
                Bind::OptInt(row.decided),
                Bind::Int(row.directory_key),
                Bind::Text(&row.user_id),
                Bind::Int(row.identity_key),
            ],
        )?;
        Ok(())
    }

    pub fn identity_move_insert(
        &mut self,
        suggestion_id: &str,
        moved: &MoveRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_move (directory_key, user_id, suggestion_id, linked_by) \
             VALUES (?, ?, ?, ?)",
            &[
                Bind::Int(moved.directory_key),
                Bind::Text(&moved.user_id),
                Bind::Text(suggestion_id),
                Bind::Text(&moved.linked_by),
            ],
        )?;
        Ok(())
    }

    /// The accounts that a suggestion has moved and that are still there.
    pub fn identity_moves(&mut self, suggestion_id: &str) -> Result<Vec<MoveRow>, StoreError> {
        self.rows::<(BigInt, Text, Text), _>(
            "SELECT directory_key, user_id, linked_by FROM identity_move \
             WHERE suggestion_id = ? ORDER BY directory_key, user_id",
            &[Bind::Text(suggestion_id)],
        )
    }

    pub fn identity_moves_delete(&mut self, suggestion_id: &str) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM identity_move WHERE suggestion_id = ?",
            &[Bind::Text(suggestion_id)],
        )?;
        Ok(())
    }

    pub fn alias_get(
        &mut self,
        organization_key: i64,
        email_key: &str,
    ) -> Result<Option<AliasRow>, StoreError> {
        let text = format!("{ALIAS} WHERE organization_key = ? AND email_key = ?");
        self.row::<AliasSql, _>(&text, &[Bind::Int(organization_key), Bind::Text(email_key)])
    }

    pub fn alias_insert(
        &mut self,
        organization_key: i64,
        row: &AliasRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_alias (organization_key, email_key, identity_key, email, created) \
             VALUES (?, ?, ?, ?, ?)",
            &[
                Bind::Int(organization_key),
                Bind::Text(&row.email_key),
                Bind::Int(row.identity_key),
                Bind::Text(&row.email),
                Bind::Int(row.created),
            ],
        )?;
        Ok(())
    }

    /// Users of other identities who have the address, as (directory, user id, identity).
    pub fn identity_users_by_email(
        &mut self,
        organization_key: i64,
        email_key: &str,
        but: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String, i64)>, StoreError> {
        self.rows::<(BigInt, Text, BigInt), _>(
            "SELECT directory_key, user_id, identity_key FROM identity_account \
             WHERE organization_key = ? AND email_key = ? AND identity_key <> ? \
             ORDER BY identity_key, user_id LIMIT ?",
            &[Bind::Int(organization_key), Bind::Text(email_key), Bind::Int(but), Bind::Int(limit)],
        )
    }

    /// Aliases of an identity by address.
    pub fn alias_list(&mut self, identity_key: i64) -> Result<Vec<AliasRow>, StoreError> {
        let text = format!("{ALIAS} WHERE identity_key = ? ORDER BY email_key");
        self.rows::<AliasSql, _>(&text, &[Bind::Int(identity_key)])
    }

    /// Answers whether there was such an alias.
    pub fn alias_delete(&mut self, identity_key: i64, email_key: &str) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM identity_alias WHERE identity_key = ? AND email_key = ?",
            &[Bind::Int(identity_key), Bind::Text(email_key)],
        )?;
        Ok(removed > 0)
    }
}

/// What two accounts have in common.
#[derive(Clone, Copy, Debug)]
pub enum Same<'s> {
    /// As a comparison key.
    Email(&'s str),
    Name(&'s str),
}
