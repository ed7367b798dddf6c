//! Directories as the app sees them.

use serde_json::{Value, json};

use super::organization::named_by;
use super::page::{Page, PageRequest, collect};
use crate::scim::key::{instant_text, text_key};
use crate::service::administer::app_type;
use crate::service::context::State;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::app_read::AppCounts;
use crate::store::directory::DirectoryRow;
use crate::store::{StoreError, Tx};

/// Which directories a list shows.
#[derive(Clone, Debug)]
pub struct DirectoryQuery {
    pub organization_id: Option<String>,
    /// What the name contains, in any letter case.
    pub search: Option<String>,
    /// A domain of the organization.
    pub domain: Option<String>,
    pub page: PageRequest,
}

/// A directory with what is shown beside its row.
struct Shown {
    row: DirectoryRow,
    counts: AppCounts,
    domain: Option<String>,
}

impl Shown {
    /// What is shown beside the rows is read for all of them at once.
    fn of(tx: &mut Tx<'_>, rows: Vec<DirectoryRow>) -> Result<Vec<Self>, StoreError> {
        // What is left of a directory that is being deleted, the app takes for gone.
        let there = rows.iter().filter(|row| row.state != State::Deleting.as_str());
        let mut counts = tx.app_counts(&there.map(|row| row.key).collect::<Vec<i64>>())?;
        let mut organizations: Vec<String> =
            rows.iter().map(|row| row.organization_id.clone()).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let domains = tx.domain_list(&organizations)?;
        let domain = |row: &DirectoryRow| {
            let first = domains.iter().find(|domain| domain.organization_id == row.organization_id);
            first.map(|domain| domain.domain.clone())
        };
        let shown = rows.into_iter().map(|row| Self {
            counts: counts.remove(&row.key).unwrap_or_default(),
            domain: domain(&row),
            row,
        });
        Ok(shown.collect())
    }

    /// The `directory` object.
    fn to_value(&self) -> Value {
        let (row, counts) = (&self.row, &self.counts);
        json!({
            "object": "directory",
            "id": row.id,
            "organization_id": row.organization_id,
            "external_key": row.external_key,
            "type": app_type(&row.kind),
            "state": State::parse(&row.state).unwrap_or(State::Error).in_read_api(),
            "name": row.name,
            "domain": self.domain,
            "metadata": {
                "users": {"active": counts.active, "inactive": counts.inactive},
                "groups": counts.groups,
            },
            "created_at": instant_text(row.created),
            "updated_at": instant_text(row.modified),
        })
    }
}

impl Service {
    /// The directory, if the key may see it.
    pub async fn read_directory(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Value, ServiceError> {
        let (access, id) = (access.clone(), id.to_owned());
        let shown: Option<Shown> = self
            .store
            .read("read_directory", move |tx| match tx.directory_get(&id)? {
                Some(row) if access.reaches(&row.organization_id) => {
                    Ok(Shown::of(tx, vec![row])?.pop())
                }
                _ => Ok::<_, StoreError>(None),
            })
            .await?;
        let missing = || AdminError::not_found("The directory").into();
        shown.map(|shown| shown.to_value()).ok_or_else(missing)
    }

    /// Directories of the organizations that the key may see, in the order of their ids.
    pub async fn read_directories(
        &self,
        access: &ApiAccess,
        query: DirectoryQuery,
    ) -> Result<Page, ServiceError> {
        let range = query.page.range("directory")?;
        let organizations = match (&access.organization_ids, &query.organization_id) {
            (_, Some(wanted)) if access.reaches(wanted) => Some(vec![wanted.clone()]),
            (_, Some(_)) => Some(Vec::new()),
            (allowed, None) => allowed.clone(),
        };
        let DirectoryQuery { search, domain, page, .. } = query;
        let search = search.map(|text| text_key(&text, false));
        let is_scan = search.is_some();
        let work = move |tx: &mut Tx<'_>| {
            let organizations = match &domain {
                None => organizations.clone(),
                Some(domain) => {
                    Some(named_by(tx, std::slice::from_ref(domain), organizations.as_deref())?)
                }
            };
            let rows = collect(
                &range,
                |range| tx.directory_range(organizations.as_deref(), range),
                |row| {
                    search.as_deref().is_none_or(|text| text_key(&row.name, false).contains(text))
                },
                |row| &row.id,
            )?;
            Shown::of(tx, rows)
        };
        // A name is looked for in every row; that must hold up nobody else.
        let rows = match is_scan {
            true => self.store.scan("read_directories_search", work).await?,
            false => self.store.read("read_directories", work).await?,
        };
        Ok(page.page(rows, |shown| &shown.row.id).map(|shown| shown.to_value()))
    }
}
