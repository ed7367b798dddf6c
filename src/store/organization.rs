//! Organizations: the customers of the company that runs the server, and their domains.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{IdRange, ListRange, StoreError};

#[derive(Clone, Debug, Queryable)]
pub struct OrganizationRow {
    pub key: i64,
    pub id: String,
    pub name: String,
    pub external_id: Option<String>,
    /// JSON object of texts.
    pub metadata: String,
    pub created: i64,
    pub modified: i64,
}

type Sql = (BigInt, Text, Text, Nullable<Text>, Text, BigInt, BigInt);

const COLUMNS: &str = "SELECT o.key, o.id, o.name, o.external_id, o.metadata, o.created, o.modified FROM organization o";

/// A domain of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct DomainRow {
    pub organization_id: String,
    pub id: String,
    /// Lower-case.
    pub domain: String,
    /// `pending` or `verified`.
    pub state: String,
    pub created: i64,
    pub modified: i64,
}

type DomainSql = (Text, Text, Text, Text, BigInt, BigInt);

impl Tx<'_> {
    pub fn organization_insert(
        &mut self,
        id: &str,
        name: &str,
        external_id: Option<&str>,
        metadata: &str,
        now: i64,
    ) -> Result<OrganizationRow, StoreError> {
        let row = self.row::<Sql, OrganizationRow>(
            "INSERT INTO organization (id, name, external_id, metadata, created, modified)
             VALUES (?, ?, ?, ?, ?, ?)
             RETURNING key, id, name, external_id, metadata, created, modified",
            &[
                Bind::Text(id),
                Bind::Text(name),
                Bind::OptText(external_id),
                Bind::Text(metadata),
                Bind::Int(now),
                Bind::Int(now),
            ],
        )?;
        row.ok_or(StoreError::MissingReference)
    }

    pub fn organization_get(&mut self, id: &str) -> Result<Option<OrganizationRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE o.id = ?"), &[Bind::Text(id)])
    }

    /// The id of the organization with that key.
    pub fn organization_id(&mut self, key: i64) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>("SELECT id FROM organization WHERE key = ?", &[Bind::Int(key)])
    }

    pub fn organization_by_external_id(
        &mut self,
        external_id: &str,
    ) -> Result<Option<OrganizationRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE o.external_id = ?");
        self.row::<Sql, _>(&text, &[Bind::Text(external_id)])
    }

    /// Like [`Tx::organization_get`], and keeps other units from changing the row.
    pub fn organization_lock(&mut self, id: &str) -> Result<Option<OrganizationRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR NO KEY UPDATE");
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE o.id = ?{lock}"), &[Bind::Text(id)])
    }

    /// Like [`Tx::organization_lock`], and lets nobody add a directory.
    pub fn organization_lock_whole(
        &mut self,
        id: &str,
    ) -> Result<Option<OrganizationRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR UPDATE");
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE o.id = ?{lock}"), &[Bind::Text(id)])
    }

    pub fn organization_list(
        &mut self,
        range: &ListRange,
    ) -> Result<Vec<OrganizationRow>, StoreError> {
        let (condition, order, cursor) = range.sql_on("o.id");
        let text = format!("{COLUMNS} WHERE {condition} ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(&text, &[Bind::Text(cursor), Bind::Int(range.limit)])
    }

    /// Organizations by id: those that are named, or all.
    pub fn organization_range(
        &mut self,
        ids: Option<&[String]>,
        range: &IdRange,
    ) -> Result<Vec<OrganizationRow>, StoreError> {
        let (condition, order, beyond) = range.sql("o.id");
        let mut binds = Vec::new();
        let named = match ids {
            None => String::new(),
            Some(ids) => {
                binds.push(Bind::Owned(serde_json::Value::from(ids).to_string()));
                format!("o.id IN (SELECT j.value FROM {}) AND ", self.dialect.texts())
            }
        };
        binds.extend([Bind::Text(beyond), Bind::Int(range.limit)]);
        let text = format!("{COLUMNS} WHERE {named}{condition} ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(&text, &binds)
    }

    pub fn organization_update(
        &mut self,
        key: i64,
        name: &str,
        external_id: Option<&str>,
        metadata: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE organization SET name = ?, external_id = ?, metadata = ?, modified = ? \
             WHERE key = ?",
            &[
                Bind::Text(name),
                Bind::OptText(external_id),
                Bind::Text(metadata),
                Bind::Int(now),
                Bind::Int(key),
            ],
        )?;
        Ok(())
    }

    /// Removes the row, its domains and its identities. Directories that still point to it make this a
    /// missing reference.
    pub fn organization_delete(&mut self, key: i64) -> Result<(), StoreError> {
        self.identity_purge(key)?;
        self.execute(
            "DELETE FROM organization_domain WHERE organization_key = ?",
            &[Bind::Int(key)],
        )?;
        self.execute("DELETE FROM organization WHERE key = ?", &[Bind::Int(key)])?;
        Ok(())
    }

    /// Domains of the organizations in the order in which they came.
    pub fn domain_list(
        &mut self,
        organization_ids: &[String],
    ) -> Result<Vec<DomainRow>, StoreError> {
        let text = format!(
            "SELECT o.id, d.id, d.domain, d.state, d.created, d.modified FROM {} {} {} \
             ORDER BY d.created, d.id",
            self.dialect.texts(),
            self.dialect.each("organization", "o", "o.id = j.value"),
            self.dialect.each("organization_domain", "d", "d.organization_key = o.key")
        );
        let list = serde_json::Value::from(organization_ids).to_string();
        self.rows::<DomainSql, _>(&text, &[Bind::Owned(list)])
    }

    /// Ids of the organizations that have one of the domains.
    pub fn domain_organizations(&mut self, domains: &[String]) -> Result<Vec<String>, StoreError> {
        let text = format!(
            "SELECT DISTINCT o.id FROM {} {} {}",
            self.dialect.texts(),
            self.dialect.each("organization_domain", "d", "d.domain = j.value"),
            self.dialect.each("organization", "o", "o.key = d.organization_key")
        );
        let list = serde_json::Value::from(domains).to_string();
        self.rows::<Text, String>(&text, &[Bind::Owned(list)])
    }

    /// Adds the domain or changes its state; one that is there keeps its id.
    pub fn domain_put(&mut self, organization_key: i64, row: &DomainRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO organization_domain (organization_key, id, domain, state, created, \
             modified) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (organization_key, domain) \
             DO UPDATE SET state = excluded.state, modified = excluded.modified \
             WHERE organization_domain.state <> excluded.state",
            &[
                Bind::Int(organization_key),
                Bind::Text(&row.id),
                Bind::Text(&row.domain),
                Bind::Text(&row.state),
                Bind::Int(row.created),
                Bind::Int(row.modified),
            ],
        )?;
        Ok(())
    }

    pub fn domain_delete(&mut self, organization_key: i64, domain: &str) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM organization_domain WHERE organization_key = ? AND domain = ?",
            &[Bind::Int(organization_key), Bind::Text(domain)],
        )?;
        Ok(())
    }
}
