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
    /// `email`, `name`, `alias` or `unlink`.
    pub reason: String,
    /// `open`, `accepted` or `rejected`.
    pub state: String,
    /// Which identity was merged into which, once accepted.
    pub from_key: Option<i64>,
    pub into_key: Option<i64>,
    pub created: i64,
    pub decided: Option<i64>,
    /// The address of the account, and its identity; `None` when the account is gone.
    pub email: Option<String>,
    pub own_id: Option<String>,
    /// The least address of the accounts of the other identity.
    pub identity_email: Option<String>,
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
    BigInt,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);

const COLUMNS: &str = "SELECT s.directory_key, d.id, s.user_id, s.identity_key, i.id, s.id, \
     s.reason, s.state, s.from_key, s.into_key, s.created, s.decided, a.email, own.id, \
     (SELECT MIN(o.email) FROM identity_account o WHERE o.identity_key = s.identity_key) \
     FROM identity_suggestion s JOIN directory d ON d.key = s.directory_key \
     JOIN identity i ON i.key = s.identity_key \
     LEFT JOIN identity_account a ON a.directory_key = s.directory_key AND a.user_id = s.user_id \
     LEFT JOIN identity own ON own.key = a.identity_key";

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

/// Identities about which was suggested or decided already, in either direction, that they are the same
/// person as one: in front of a statement that begins with the key of that one, twice. What was said about
/// an identity that was merged counts for the one that has its accounts.
const KNOWN: &str = "WITH RECURSIVE own (key) AS (SELECT CAST(? AS BIGINT) UNION ALL \
     SELECT i.key FROM identity i JOIN own o ON i.merged_into = o.key), \
     named (key) AS (SELECT s.identity_key FROM identity_suggestion s JOIN identity_account a \
     ON a.directory_key = s.directory_key AND a.user_id = s.user_id WHERE a.identity_key = ? \
     UNION SELECT i.merged_into FROM identity i JOIN named n ON i.key = n.key \
     WHERE i.merged_into IS NOT NULL), \
     known (key) AS (SELECT key FROM named UNION SELECT a.identity_key FROM own o \
     JOIN identity_suggestion s ON s.identity_key = o.key JOIN identity_account a \
     ON a.directory_key = s.directory_key AND a.user_id = s.user_id)";

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
    /// account's own, nor one that was suggested or decided about before.
    pub fn identity_candidates(
        &mut self,
        of: Suggested<'_>,
        same: Same<'_>,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let (column, key) = match same {
            Same::Email(key) => ("email_key", key),
            Same::Name(key) => ("name_key", key),
        };
        let text = format!(
            "{KNOWN} SELECT DISTINCT identity_key FROM identity_account WHERE organization_key = ? \
             AND {column} = ? AND NOT departed AND identity_key <> ? \
             AND identity_key NOT IN (SELECT key FROM known) ORDER BY identity_key LIMIT ?"
        );
        let binds = [
            Bind::Int(of.identity_key),
            Bind::Int(of.identity_key),
            Bind::Int(of.organization_key),
            Bind::Text(key),
            Bind::Int(of.identity_key),
            Bind::Int(limit),
        ];
        self.rows::<BigInt, i64>(&text, &binds)
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

    /// Notes that an account is not that person, which ends what was said about the two before.
    pub fn suggestion_reject(
        &mut self,
        of: Suggested<'_>,
        identity_key: i64,
        id: &str,
        reason: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_suggestion (directory_key, user_id, identity_key, \
             organization_key, id, reason, state, created, decided) \
             VALUES (?, ?, ?, ?, ?, ?, 'rejected', ?, ?) \
             ON CONFLICT (directory_key, user_id, identity_key) DO UPDATE SET state = 'rejected', \
             from_key = NULL, into_key = NULL, decided = excluded.decided",
            &[
                Bind::Int(of.directory_key),
                Bind::Text(of.user_id),
                Bind::Int(identity_key),
                Bind::Int(of.organization_key),
                Bind::Text(id),
                Bind::Text(reason),
                Bind::Int(now),
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
            "UPDATE identity_suggestion SET state = ?, from_key = ?, into_key = ?, decided = ? \
             WHERE directory_key = ? AND user_id = ? AND identity_key = ?",
            &[
                Bind::Text(&row.state),
                Bind::OptInt(row.from_key),
                Bind::OptInt(row.into_key),
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
            "SELECT m.directory_key, m.user_id, m.linked_by FROM identity_move m \
             JOIN identity_account a ON a.directory_key = m.directory_key AND a.user_id = m.user_id \
             WHERE m.suggestion_id = ? ORDER BY m.directory_key, m.user_id",
            &[Bind::Text(suggestion_id)],
        )
    }

    /// An account goes, or is no part of what was decided any more. What accepted suggestions for it have
    /// moved can be taken back as long as another moved account is there: they pass to that one.
    pub fn suggestion_pass_on(
        &mut self,
        directory_key: i64,
        user_id: &str,
    ) -> Result<(), StoreError> {
        let accepted = self.rows::<(Text, BigInt), (String, i64)>(
            "SELECT id, identity_key FROM identity_suggestion \
             WHERE directory_key = ? AND user_id = ? AND state = 'accepted'",
            &[Bind::Int(directory_key), Bind::Text(user_id)],
        )?;
        for (id, identity_key) in accepted {
            let moves = self.identity_moves(&id)?;
            let is_other = |moved: &&MoveRow| {
                (moved.directory_key, moved.user_id.as_str()) != (directory_key, user_id)
            };
            let Some(heir) = moves.iter().find(is_other) else {
                self.identity_moves_delete(&id)?;
                continue;
            };
            // What was suggested for it itself is decided by this one.
            self.execute(
                "DELETE FROM identity_suggestion \
                 WHERE directory_key = ? AND user_id = ? AND identity_key = ?",
                &[
                    Bind::Int(heir.directory_key),
                    Bind::Text(&heir.user_id),
                    Bind::Int(identity_key),
                ],
            )?;
            self.execute(
                "UPDATE identity_suggestion SET directory_key = ?, user_id = ? \
                 WHERE directory_key = ? AND user_id = ? AND identity_key = ?",
                &[
                    Bind::Int(heir.directory_key),
                    Bind::Text(&heir.user_id),
                    Bind::Int(directory_key),
                    Bind::Text(user_id),
                    Bind::Int(identity_key),
                ],
            )?;
        }
        Ok(())
    }

    /// An account is no part any more of what suggestions have moved.
    pub fn identity_move_forget(
        &mut self,
        directory_key: i64,
        user_id: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM identity_move WHERE directory_key = ? AND user_id = ?",
            &[Bind::Int(directory_key), Bind::Text(user_id)],
        )?;
        Ok(())
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

    /// Users of other identities who have the address, as (directory, user id, identity), but not those
    /// of whom was suggested or decided before that they are this one.
    pub fn identity_users_by_email(
        &mut self,
        organization_key: i64,
        email_key: &str,
        but: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String, i64)>, StoreError> {
        let text = format!(
            "{KNOWN} SELECT directory_key, user_id, identity_key FROM identity_account \
             WHERE organization_key = ? AND email_key = ? AND NOT departed AND identity_key <> ? \
             AND identity_key NOT IN (SELECT key FROM known) \
             ORDER BY identity_key, user_id LIMIT ?"
        );
        let binds = [
            Bind::Int(but),
            Bind::Int(but),
            Bind::Int(organization_key),
            Bind::Text(email_key),
            Bind::Int(but),
            Bind::Int(limit),
        ];
        self.rows::<(BigInt, Text, BigInt), _>(&text, &binds)
    }

    /// Aliases of an identity, and of those that were merged into it, by address.
    pub fn alias_list(&mut self, identity_key: i64) -> Result<Vec<AliasRow>, StoreError> {
        self.rows::<AliasSql, _>(
            "WITH RECURSIVE own (key) AS (SELECT CAST(? AS BIGINT) UNION ALL \
             SELECT i.key FROM identity i JOIN own o ON i.merged_into = o.key) \
             SELECT a.identity_key, a.email, a.email_key, a.created FROM own o \
             JOIN identity_alias a ON a.identity_key = o.key ORDER BY a.email_key",
            &[Bind::Int(identity_key)],
        )
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
