//! Management: organizations, directories, directory tokens, OAuth clients and API keys.

mod account;
mod api_key;
mod catalogue;
mod directory;
mod first_start;
mod listing;
mod names;
mod oauth_client;
pub(in crate::service) mod organization;
mod preview;
mod profile;
mod schemas;
mod setup;
mod token;
mod told;

pub use api_key::{ApiKeyView, NewApiKey};
pub use catalogue::Catalogue;
pub use directory::{DirectoryChange, DirectoryView, NewDirectory};
pub(in crate::service) use directory::{Ending, checked_settings, missing};
pub use first_start::{FirstKey, FirstStart};
pub use listing::DirectoryFilter;
pub use names::Names;
pub use oauth_client::{AuthMethod, NewOAuthClient, OAuthClientView};
pub use organization::{NewOrganization, OrganizationChange, OrganizationView};
pub use preview::SettingsPreview;
pub use profile::{Others, ProfileChange, ProfileView};
pub use token::{NewToken, Rotation, TokenView};
pub(in crate::service) use told::{activated, app_type, audited};

use serde::{Deserialize, Deserializer, Serialize};

use super::error::AdminError;
use crate::store::{ListRange, RangeFrom};

/// Where a list starts and how long it is.
#[derive(Clone, Debug, Default)]
pub struct ListParameters {
    pub limit: Option<i64>,
    pub after: Option<String>,
    pub before: Option<String>,
}

/// Default and greatest length of a page.
const LIMITS: (i64, i64) = (50, 500);

impl ListParameters {
    pub(in crate::service) fn range(&self) -> Result<ListRange, AdminError> {
        let limit = self.limit.unwrap_or(LIMITS.0);
        if !(1..=LIMITS.1).contains(&limit) {
            let message = format!("it is {limit}; allowed is 1 to {}.", LIMITS.1);
            return Err(AdminError::invalid("limit", message));
        }
        let from = match (&self.after, &self.before) {
            (Some(_), Some(_)) => {
                return Err(AdminError::invalid(
                    "after",
                    "send \"after\" or \"before\", not both.",
                ));
            }
            (Some(id), None) => RangeFrom::After(id.clone()),
            (None, Some(id)) => RangeFrom::Before(id.clone()),
            (None, None) => RangeFrom::Newest,
        };
        // One row more than asked for tells whether there is a next page.
        Ok(ListRange { from, limit: limit + 1 })
    }
}

/// A page of a list, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct ListPage<T> {
    pub data: Vec<T>,
    pub list_metadata: ListMetadata,
}

/// Cursors to the neighbouring pages; null where there is none.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ListMetadata {
    pub before: Option<String>,
    pub after: Option<String>,
}

impl<T> ListPage<T> {
    /// Makes a page of rows that were read with one row more than asked for.
    pub(in crate::service) fn of(
        range: &ListRange,
        mut rows: Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> Self {
        let limit = usize::try_from(range.limit - 1).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let backwards = matches!(range.from, RangeFrom::Before(_));
        if backwards {
            rows.reverse();
        }
        let first = rows.first().map(|row| id(row).to_owned());
        let last = rows.last().map(|row| id(row).to_owned());
        let (has_before, has_after) = match range.from {
            RangeFrom::Newest => (false, more),
            RangeFrom::After(_) => (true, more),
            RangeFrom::Before(_) => (more, true),
        };
        let list_metadata = ListMetadata {
            before: first.filter(|_| has_before),
            after: last.filter(|_| has_after),
        };
        Self { data: rows, list_metadata }
    }

    pub(in crate::service) fn map<U>(self, f: impl FnMut(T) -> U) -> ListPage<U> {
        ListPage { data: self.data.into_iter().map(f).collect(), list_metadata: self.list_metadata }
    }
}

/// A member of a change: absent means "as it is", null means "none".
pub(in crate::service) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// A name that people read: not blank, not endless.
pub(in crate::service) fn check_name(name: &str) -> Result<(), AdminError> {
    if name.trim().is_empty() {
        return Err(AdminError::invalid("name", "it must not be empty."));
    }
    if name.len() > 512 || name.chars().any(char::is_control) {
        let message = "it must be at most 512 bytes without control characters.";
        return Err(AdminError::invalid("name", message));
    }
    Ok(())
}

/// An id of the operator's own: an index key.
pub(in crate::service) fn check_external_id(external_id: Option<&str>) -> Result<(), AdminError> {
    match external_id {
        Some(id) if id.is_empty() || id.len() > 512 || id.chars().any(char::is_control) => {
            let message = "it must have 1 to 512 bytes and no control characters.";
            Err(AdminError::invalid("external_id", message))
        }
        _ => Ok(()),
    }
}
