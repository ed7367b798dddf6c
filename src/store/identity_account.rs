//! Accounts: the users of directories as their identities know them, and those who are gone.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use super::resource::key_list;
use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

/// A user as its identity knows it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AccountRow {
    pub directory_key: i64,
    pub directory_id: String,
    pub user_id: String,
    pub identity_key: i64,
    pub active: bool,
    /// Active while its identity is not.
    pub orphaned: bool,
    pub email: Option<String>,
    pub email_key: Option<String>,
    pub name_key: Option<String>,
    /// JSON object.
    pub profile: String,
    /// `first`, `email`, `alias` or `suggestion`.
    pub linked_by: String,
    /// SCIM has deleted the user, whom the app still sees.
    pub departed: bool,
    /// When it became an account, in milliseconds; zero when that is not known.
    pub linked: i64,
}

type Sql = (
    BigInt,
    Text,
    Text,
    BigInt,
    Bool,
    Bool,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    Text,
    Bool,
    BigInt,
);

const COLUMNS: &str = "a.directory_key, d.id, a.user_id, a.identity_key, a.active, a.orphaned, \
     a.email, a.email_key, a.name_key, a.profile, a.linked_by, a.departed, a.linked";

const FROM: &str = "FROM identity_account a JOIN directory d ON d.key = a.directory_key";

/// An address that identities have, and one identity that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct Holder {
    pub identity_key: i64,
    /// Not zero when its account with the address is in the primary directory.
    in_primary: i32,
    /// Not zero when what has become of such an account waits to be told: it may not have the address any
    /// more.
    waits: i32,
}

impl Holder {
    pub fn is_in_primary(self) -> bool {
        self.in_primary != 0
    }

    pub fn waits(self) -> bool {
        self.waits != 0
    }
}

/// Whose addresses count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Of users whom SCIM has.
    Present,
    /// Also of those whom it has deleted and the app still sees.
    AlsoDeparted,
}

impl Tx<'_> {
    /// The accounts of identities: those of one stand in the order in which the users were made.
    pub fn identity_accounts(&mut self, keys: &[i64]) -> Result<Vec<AccountRow>, StoreError> {
        let dialect = self.dialect;
        let accounts = dialect.each("identity_account", "a", "a.identity_key = j.value");
        let directories = dialect.each("directory", "d", "d.key = a.directory_key");
        let text = format!(
            "SELECT {COLUMNS} FROM {} {accounts} {directories} ORDER BY a.identity_key, a.user_id",
            dialect.keys()
        );
        self.rows::<Sql, _>(&text, &[Bind::Owned(key_list(keys))])
    }

    pub fn identity_account_get(
        &mut self,
        directory_key: i64,
        user_id: &str,
    ) -> Result<Option<AccountRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} {FROM} WHERE a.directory_key = ? AND a.user_id = ?");
        self.row::<Sql, _>(&text, &[Bind::Int(directory_key), Bind::Text(user_id)])
    }

    /// Users of a directory that have an identity, at most `limit`.
    pub fn identity_account_users(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT user_id FROM identity_account WHERE directory_key = ? ORDER BY user_id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    pub fn identity_account_insert(
        &mut self,
        organization_key: i64,
        row: &AccountRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_account (directory_key, user_id, organization_key, identity_key, \
             active, orphaned, email, email_key, name_key, profile, linked_by, departed, linked) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Int(row.directory_key),
                Bind::Text(&row.user_id),
                Bind::Int(organization_key),
                Bind::Int(row.identity_key),
                Bind::Bool(row.active),
                Bind::Bool(row.orphaned),
                Bind::OptText(row.email.as_deref()),
                Bind::OptText(row.email_key.as_deref()),
                Bind::OptText(row.name_key.as_deref()),
                Bind::Text(&row.profile),
                Bind::Text(&row.linked_by),
                Bind::Bool(row.departed),
                Bind::Int(row.linked),
            ],
        )?;
        Ok(())
    }

    /// Stores what may change of an account: everything but whose it is and when it was linked.
    pub fn identity_account_update(&mut self, row: &AccountRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE identity_account SET identity_key = ?, active = ?, orphaned = ?, email = ?, \
             email_key = ?, name_key = ?, profile = ?, linked_by = ?, departed = ? \
             WHERE directory_key = ? AND user_id = ?",
            &[
                Bind::Int(row.identity_key),
                Bind::Bool(row.active),
                Bind::Bool(row.orphaned),
                Bind::OptText(row.email.as_deref()),
                Bind::OptText(row.email_key.as_deref()),
                Bind::OptText(row.name_key.as_deref()),
                Bind::Text(&row.profile),
                Bind::Text(&row.linked_by),
                Bind::Bool(row.departed),
                Bind::Int(row.directory_key),
                Bind::Text(&row.user_id),
            ],
        )?;
        Ok(())
    }

    /// The link of a user goes, and what was suggested for it. What an accepted suggestion has moved stays
    /// noted: that the user was there goes back with the others.
    pub fn identity_account_delete(
        &mut self,
        directory_key: i64,
        user_id: &str,
    ) -> Result<(), StoreError> {
        let binds = [Bind::Int(directory_key), Bind::Text(user_id)];
        for text in [
            "DELETE FROM identity_suggestion WHERE directory_key = ? AND user_id = ? \
             AND state <> 'accepted'",
            "DELETE FROM identity_account WHERE directory_key = ? AND user_id = ?",
        ] {
            self.execute(text, &binds)?;
        }
        Ok(())
    }

    /// Identities that have an address, at most two: one is the only one. What a directory had that is
    /// being deleted does not count.
    pub fn identity_holders(
        &mut self,
        organization_key: i64,
        email_key: &str,
        primary_key: Option<i64>,
        who: Holders,
    ) -> Result<Vec<Holder>, StoreError> {
        let present = match who {
            Holders::Present => "AND NOT a.departed",
            Holders::AlsoDeparted => "",
        };
        let text = format!(
            "SELECT a.identity_key, MAX(CASE WHEN a.directory_key = ? THEN 1 ELSE 0 END), \
             MAX(CASE WHEN EXISTS (SELECT 1 FROM brake_account b \
             WHERE b.directory_key = a.directory_key AND b.user_id = a.user_id) THEN 1 ELSE 0 END) \
             {FROM} WHERE a.organization_key = ? AND a.email_key = ? AND d.state <> 'deleting' {present} \
             GROUP BY a.identity_key ORDER BY a.identity_key LIMIT 2"
        );
        let binds = [Bind::OptInt(primary_key), Bind::Int(organization_key), Bind::Text(email_key)];
        self.rows::<(BigInt, Integer, Integer), _>(&text, &binds)
    }

    /// Accounts that are active while their identity is not, with its id, in the order of the users' ids.
    pub fn identity_orphaned(
        &mut self,
        organization_key: i64,
        range: &ListRange,
    ) -> Result<Vec<(AccountRow, String)>, StoreError> {
        let (condition, order, cursor) = range.sql_on("a.user_id");
        let text = format!(
            "SELECT {COLUMNS}, i.id {FROM} JOIN identity i ON i.key = a.identity_key \
             WHERE a.organization_key = ? AND a.orphaned AND {condition} ORDER BY {order} LIMIT ?"
        );
        let binds = [Bind::Int(organization_key), Bind::Text(cursor), Bind::Int(range.limit)];
        self.rows::<(Sql, Text), _>(&text, &binds)
    }

    /// Notes that an identity had an account that is gone.
    pub fn identity_past_put(&mut self, gone: &AccountRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_past (directory_key, user_id, identity_key) VALUES (?, ?, ?) \
             ON CONFLICT (directory_key, user_id) DO UPDATE SET identity_key = excluded.identity_key",
            &[
                Bind::Int(gone.directory_key),
                Bind::Text(&gone.user_id),
                Bind::Int(gone.identity_key),
            ],
        )?;
        Ok(())
    }

    /// The directories in which identities had accounts that are gone, as (identity, directory).
    pub fn identity_past(&mut self, keys: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
        let past = self.dialect.each("identity_past", "p", "p.identity_key = j.value");
        let text = format!(
            "SELECT DISTINCT p.identity_key, p.directory_key FROM {} {past} \
             ORDER BY p.identity_key, p.directory_key",
            self.dialect.keys()
        );
        self.rows::<(BigInt, BigInt), _>(&text, &[Bind::Owned(key_list(keys))])
    }

    /// What an identity had is another one's, because of an accepted suggestion.
    pub fn identity_past_merge(
        &mut self,
        suggestion_id: &str,
        from: i64,
        into: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO identity_move (directory_key, user_id, suggestion_id, linked_by) \
             SELECT directory_key, user_id, CAST(? AS TEXT), '' FROM identity_past \
             WHERE identity_key = ?",
            &[Bind::Text(suggestion_id), Bind::Int(from)],
        )?;
        self.execute(
            "UPDATE identity_past SET identity_key = ? WHERE identity_key = ?",
            &[Bind::Int(into), Bind::Int(from)],
        )?;
        Ok(())
    }

    /// Takes that back, also for accounts that were moved and have gone since.
    pub fn identity_past_separate(
        &mut self,
        suggestion_id: &str,
        from: i64,
        into: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE identity_past SET identity_key = ? WHERE identity_key = ? AND EXISTS (\
             SELECT 1 FROM identity_move m WHERE m.suggestion_id = ? \
             AND m.directory_key = identity_past.directory_key \
             AND m.user_id = identity_past.user_id)",
            &[Bind::Int(from), Bind::Int(into), Bind::Text(suggestion_id)],
        )?;
        Ok(())
    }
}
