//! Directories, found by what they are and what they are called.

use super::{DirectoryView, ListPage, ListParameters};
use crate::scim::key::text_key;
use crate::service::context::{Kind, State};
use crate::service::error::AdminError;
use crate::service::read::collect;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::{IdRange, ListRange, RangeFrom, StoreError, Tx, Walk};

/// Which directories a list shows; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct DirectoryFilter {
    pub organization_id: Option<String>,
    /// `linked`, `paused`, …
    pub state: Option<String>,
    /// `scim.okta`, `pull.csv`, …
    pub kind: Option<String>,
    /// What the name contains, in any letter case.
    pub search: Option<String>,
}

impl From<Option<String>> for DirectoryFilter {
    fn from(organization_id: Option<String>) -> Self {
        Self { organization_id, ..Self::default() }
    }
}

impl DirectoryFilter {
    fn check(&self) -> Result<(), AdminError> {
        if let Some(state) = self.state.as_deref().filter(|state| State::parse(state).is_none()) {
            let state: String = state.chars().take(80).collect();
            let known = State::ALL.map(State::as_str).join(", ");
            let message = format!("it is \"{state}\"; allowed is one of {known}.");
            return Err(AdminError::invalid("state", message));
        }
        match &self.kind {
            Some(kind) => Kind::parse(kind)
                .map(|_| ())
                .map_err(|message| AdminError::invalid("kind", message)),
            None => Ok(()),
        }
    }

    /// Whether most directories may have to be looked at.
    fn is_search(&self) -> bool {
        self.state.is_some() || self.kind.is_some() || self.search.is_some()
    }

    /// Whether it lets a directory of its organization through; `search` is the text as a key.
    fn lets(&self, row: &DirectoryRow, search: Option<&str>) -> bool {
        self.state.as_ref().is_none_or(|state| row.state == *state)
            && self.kind.as_ref().is_none_or(|kind| row.kind == *kind)
            && search.is_none_or(|text| text_key(&row.name, false).contains(text))
    }
}

impl Service {
    /// Directories, newest first. A key that is limited to organizations must name one of them.
    pub async fn directory_list(
        &self,
        access: &ApiAccess,
        filter: impl Into<DirectoryFilter>,
        parameters: &ListParameters,
    ) -> Result<ListPage<DirectoryView>, ServiceError> {
        let (range, filter) = (parameters.range()?, filter.into());
        filter.check()?;
        let organization = match (&access.organization_ids, &filter.organization_id) {
            (None, wanted) => wanted.clone(),
            (Some(allowed), Some(wanted)) if allowed.contains(wanted) => Some(wanted.clone()),
            (Some(allowed), None) if allowed.len() == 1 => allowed.first().cloned(),
            (Some(_), _) => {
                let message = "this API key is limited; name one of its organizations.";
                return Err(AdminError::invalid("organization_id", message).into());
            }
        };
        let (ids, is_search) = (id_range(&range), filter.is_search());
        let search = filter.search.as_ref().map(|text| text_key(text, false));
        let work = move |tx: &mut Tx<'_>| {
            let organization = organization.as_ref().map(std::slice::from_ref);
            let read = |range: &IdRange| tx.directory_range(organization, range);
            collect(&ids, read, |row| filter.lets(row, search.as_deref()), |row| &row.id)
        };
        // What is looked for in every row must hold up nobody else.
        let rows: Result<Vec<DirectoryRow>, StoreError> = match is_search {
            true => self.store.scan("directory_search", work).await,
            false => self.store.get("directory_list", work).await,
        };
        let ListPage { data, list_metadata } = ListPage::of(&range, rows?, |row| &row.id);
        Ok(ListPage { data: self.directory_views(data).await?, list_metadata })
    }
}

/// The same stretch by ids.
fn id_range(range: &ListRange) -> IdRange {
    let limit = range.limit;
    match &range.from {
        RangeFrom::Newest => IdRange { walk: Walk::Down, beyond: None, limit },
        RangeFrom::After(id) => IdRange { walk: Walk::Down, beyond: Some(id.clone()), limit },
        RangeFrom::Before(id) => IdRange { walk: Walk::Up, beyond: Some(id.clone()), limit },
    }
}
