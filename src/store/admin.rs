//! Administrators, the browsers in which they are signed in, and the links by which they choose a password.
//! Secrets are not here: only the SHA-256 of random ones, and argon2id hashes of passwords.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AdminRow {
    pub id: String,
    pub email: String,
    /// The address in small letters; unique.
    pub email_key: String,
    pub name: String,
    pub role: String,
    /// PHC string; `None` until one was chosen.
    pub password: Option<String>,
    pub created: i64,
    pub modified: i64,
    pub last_sign_in: Option<i64>,
    /// Issuer and subject of the OpenID provider; unique.
    pub subject: Option<String>,
}

type AdminSql = (
    Text,
    Text,
    Text,
    Text,
    Text,
    Nullable<Text>,
    BigInt,
    BigInt,
    Nullable<BigInt>,
    Nullable<Text>,
);

const ADMIN: &str = "SELECT id, email, email_key, name, role, password, created, modified, last_sign_in, subject \
                     FROM admin";

/// What a new session starts with.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub id: String,
    pub hash: String,
    pub browser: String,
    pub address: String,
    pub created: i64,
    pub expires: i64,
    pub ends: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SessionRow {
    pub id: String,
    pub browser: String,
    pub address: String,
    pub created: i64,
    pub last_seen: i64,
    pub expires: i64,
    pub ends: i64,
}

/// A session with whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct VisitRow {
    pub session_id: String,
    pub last_seen: i64,
    pub expires: i64,
    pub ends: i64,
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: String,
}

type VisitSql = (Text, BigInt, BigInt, BigInt, Text, Text, Text, Text);

/// A link with whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AdminLinkRow {
    pub id: String,
    /// `None` for the first account of all.
    pub admin_id: Option<String>,
    pub expires: i64,
}

impl Tx<'_> {
    pub fn admin_insert(&mut self, admin: &AdminRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO admin (id, email, email_key, name, role, password, created, modified, \
             subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Text(&admin.id),
                Bind::Text(&admin.email),
                Bind::Text(&admin.email_key),
                Bind::Text(&admin.name),
                Bind::Text(&admin.role),
                Bind::OptText(admin.password.as_deref()),
                Bind::Int(admin.created),
                Bind::Int(admin.modified),
                Bind::OptText(admin.subject.as_deref()),
            ],
        )?;
        Ok(())
    }

    pub fn admin_get(&mut self, id: &str) -> Result<Option<AdminRow>, StoreError> {
        self.row::<AdminSql, _>(&format!("{ADMIN} WHERE id = ?"), &[Bind::Text(id)])
    }

    /// The same, held until the unit ends.
    pub fn admin_lock(&mut self, id: &str) -> Result<Option<AdminRow>, StoreError> {
        self.admin_locked("id = ?", id)
    }

    pub fn admin_by_email(&mut self, email_key: &str) -> Result<Option<AdminRow>, StoreError> {
        self.row::<AdminSql, _>(&format!("{ADMIN} WHERE email_key = ?"), &[Bind::Text(email_key)])
    }

    /// Whom a subject of the OpenID provider belongs to, held until the unit ends.
    pub fn admin_lock_subject(&mut self, subject: &str) -> Result<Option<AdminRow>, StoreError> {
        self.admin_locked("subject = ?", subject)
    }

    /// Whoever has the address and belongs to no subject yet, held until the unit ends.
    pub fn admin_lock_unclaimed(
        &mut self,
        email_key: &str,
    ) -> Result<Option<AdminRow>, StoreError> {
        self.admin_locked("email_key = ? AND subject IS NULL", email_key)
    }

    fn admin_locked(
        &mut self,
        condition: &str,
        value: &str,
    ) -> Result<Option<AdminRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR UPDATE");
        let text = format!("{ADMIN} WHERE {condition}{lock}");
        self.row::<AdminSql, _>(&text, &[Bind::Text(value)])
    }

    pub fn admin_list(&mut self, range: &ListRange) -> Result<Vec<AdminRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let text = format!("{ADMIN} WHERE {condition} ORDER BY {order} LIMIT ?");
        self.rows::<AdminSql, _>(&text, &[Bind::Text(cursor), Bind::Int(range.limit)])
    }

    /// The ids of everybody with the role, held until the unit ends: of two who take it from each other the
    /// later one sees what the first has done.
    pub fn admin_ids_locked(&mut self, role: &str) -> Result<Vec<String>, StoreError> {
        let lock = self.dialect.pick("", " FOR UPDATE");
        let text = format!("SELECT id FROM admin WHERE role = ? ORDER BY id{lock}");
        self.rows::<Text, String>(&text, &[Bind::Text(role)])
    }

    /// True while there is nobody.
    pub fn admin_none(&mut self) -> Result<bool, StoreError> {
        let found = self.row::<Text, String>("SELECT id FROM admin LIMIT 1", &[])?;
        Ok(found.is_none())
    }

    pub fn admin_update(&mut self, admin: &AdminRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE admin SET name = ?, role = ?, password = ?, modified = ?, subject = ? WHERE id = ?",
            &[
                Bind::Text(&admin.name),
                Bind::Text(&admin.role),
                Bind::OptText(admin.password.as_deref()),
                Bind::Int(admin.modified),
                Bind::OptText(admin.subject.as_deref()),
                Bind::Text(&admin.id),
            ],
        )?;
        Ok(())
    }

    pub fn admin_signed_in(&mut self, id: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE admin SET last_sign_in = ? WHERE id = ?",
            &[Bind::Int(now), Bind::Text(id)],
        )?;
        Ok(())
    }

    /// Sessions and links go with it.
    pub fn admin_delete(&mut self, id: &str) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM admin WHERE id = ?", &[Bind::Text(id)])? == 1)
    }

    pub fn admin_session_insert(
        &mut self,
        admin_id: &str,
        session: &NewSession,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO admin_session (id, admin_id, hash, browser, address, created, last_seen, \
             expires, ends) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Text(&session.id),
                Bind::Text(admin_id),
                Bind::Text(&session.hash),
                Bind::Text(&session.browser),
                Bind::Text(&session.address),
                Bind::Int(session.created),
                Bind::Int(session.created),
                Bind::Int(session.expires),
                Bind::Int(session.ends),
            ],
        )?;
        Ok(())
    }

    /// The session with that secret, ended or not.
    pub fn admin_visit(&mut self, hash: &str) -> Result<Option<VisitRow>, StoreError> {
        self.row::<VisitSql, _>(
            "SELECT s.id, s.last_seen, s.expires, s.ends, a.id, a.email, a.name, a.role \
             FROM admin_session s JOIN admin a ON a.id = s.admin_id WHERE s.hash = ?",
            &[Bind::Text(hash)],
        )
    }

    /// Moves the end of a session that is used.
    pub fn admin_session_seen(
        &mut self,
        id: &str,
        now: i64,
        expires: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE admin_session SET last_seen = ?, expires = ? WHERE id = ? AND last_seen < ?",
            &[Bind::Int(now), Bind::Int(expires), Bind::Text(id), Bind::Int(now)],
        )?;
        Ok(())
    }

    /// The newest sessions of an administrator that have not ended.
    pub fn admin_session_list(
        &mut self,
        admin_id: &str,
        now: i64,
        limit: i64,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.rows::<(Text, Text, Text, BigInt, BigInt, BigInt, BigInt), _>(
            "SELECT id, browser, address, created, last_seen, expires, ends FROM admin_session \
             WHERE admin_id = ? AND expires > ? ORDER BY id DESC LIMIT ?",
            &[Bind::Text(admin_id), Bind::Int(now), Bind::Int(limit)],
        )
    }

    pub fn admin_session_delete(&mut self, admin_id: &str, id: &str) -> Result<bool, StoreError> {
        let gone = self.execute(
            "DELETE FROM admin_session WHERE admin_id = ? AND id = ?",
            &[Bind::Text(admin_id), Bind::Text(id)],
        )?;
        Ok(gone == 1)
    }

    /// Ends every session of an administrator.
    pub fn admin_session_delete_all(&mut self, admin_id: &str) -> Result<usize, StoreError> {
        self.execute("DELETE FROM admin_session WHERE admin_id = ?", &[Bind::Text(admin_id)])
    }

    /// Makes the only link of the administrator, or (without one) the only one to the first account.
    pub fn admin_link_put(
        &mut self,
        id: &str,
        admin_id: Option<&str>,
        hash: &str,
        created: i64,
        expires: i64,
    ) -> Result<(), StoreError> {
        self.admin_link_delete_of(admin_id)?;
        self.execute(
            "INSERT INTO admin_link (id, admin_id, hash, created, expires) VALUES (?, ?, ?, ?, ?)",
            &[
                Bind::Text(id),
                Bind::OptText(admin_id),
                Bind::Text(hash),
                Bind::Int(created),
                Bind::Int(expires),
            ],
        )?;
        Ok(())
    }

    /// The link with that secret, ended or not.
    pub fn admin_link_get(&mut self, hash: &str) -> Result<Option<AdminLinkRow>, StoreError> {
        self.row::<(Text, Nullable<Text>, BigInt), _>(
            "SELECT id, admin_id, expires FROM admin_link WHERE hash = ?",
            &[Bind::Text(hash)],
        )
    }

    /// Uses the link up; false when somebody else did.
    pub fn admin_link_use(&mut self, id: &str, now: i64) -> Result<bool, StoreError> {
        let used = self.execute(
            "DELETE FROM admin_link WHERE id = ? AND expires > ?",
            &[Bind::Text(id), Bind::Int(now)],
        )?;
        Ok(used == 1)
    }

    pub fn admin_link_delete_of(&mut self, admin_id: Option<&str>) -> Result<(), StoreError> {
        match admin_id {
            Some(id) => {
                self.execute("DELETE FROM admin_link WHERE admin_id = ?", &[Bind::Text(id)])
            }
            None => self.execute("DELETE FROM admin_link WHERE admin_id IS NULL", &[]),
        }?;
        Ok(())
    }

    /// Forgets sessions and links that have ended, a few at a time; answers how many.
    pub fn admin_prune(&mut self, now: i64, limit: i64) -> Result<usize, StoreError> {
        let mut gone = 0;
        for table in ["admin_session", "admin_link"] {
            let text = format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE expires <= ? \
                 ORDER BY expires LIMIT ?)"
            );
            gone += self.execute(&text, &[Bind::Int(now), Bind::Int(limit)])?;
        }
        Ok(gone)
    }
}
