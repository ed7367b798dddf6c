//! What the last read of everything has found in a source, for whoever says what comes in: its groups with
//! their members, and what its users could have as attributes as long as none of them is stored.
//!
//! A dry run finds it, too: so there is something to choose from before anybody has come in.

use serde::{Deserialize, Serialize};

use super::Syncs;
use crate::pull::Kind;
use crate::pull::plan::Source;
use crate::scim::Registry;
use crate::service::error::AdminError;
use crate::service::mapping::suggest::{Suggestion, suggested_by};
use crate::service::seen::object;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::directory::DirectoryRow;

/// Most groups that are kept.
const MOST_GROUPS: usize = 5_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// By name.
    pub groups: Vec<FoundGroup>,
    /// Empty where users are stored, who say more.
    suggestions: Vec<Suggestion>,
    /// They could not be made.
    lacks_suggestions: bool,
}

/// A group of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundGroup {
    /// The source's.
    pub id: String,
    pub name: String,
    /// Users and groups that are in it themselves.
    pub members: usize,
}

impl Found {
    pub(super) fn of(source: &Source, registry: &Registry, is_first: bool) -> Self {
        let groups = source.of_kind(Kind::Group).map(|group| FoundGroup {
            id: group.source_id.clone(),
            name: group.name.clone(),
            members: source.joined_to(&group.source_id),
        });
        let mut groups: Vec<FoundGroup> = groups.collect();
        groups.sort_unstable_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        groups.truncate(MOST_GROUPS);
        let users = source.of_kind(Kind::Account).filter_map(|user| user.attributes.as_deref());
        let suggestions = match is_first {
            true => suggested_by(registry, users.map(object)),
            false => Ok(Vec::new()),
        };
        if let Err(error) = &suggestions {
            tracing::warn!(?error, "attributes could not be suggested");
        }
        let lacks_suggestions = suggestions.is_err();
        Self { groups, suggestions: suggestions.unwrap_or_default(), lacks_suggestions }
    }

    /// Attributes that the users of the source could have.
    ///
    /// # Errors
    /// 503 `no_suggestions` where they could not be made.
    pub(in crate::service) fn suggestions(self) -> Result<Vec<Suggestion>, ServiceError> {
        if self.lacks_suggestions {
            let message =
                "The last read could not look at what its users have; read the source again.";
            return Err(AdminError::new(503, "no_suggestions", message).into());
        }
        Ok(self.suggestions)
    }
}

impl Syncs {
    pub(super) fn seal_found(&self, directory_id: &str, found: &Found) -> String {
        let text = serde_json::to_string(found).unwrap_or_default();
        self.seal.seal(directory_id.as_bytes(), text.as_bytes())
    }
}

impl Service {
    /// What the last read of everything has found; nothing before it.
    pub(in crate::service) async fn source_found(
        &self,
        row: &DirectoryRow,
    ) -> Result<Found, ServiceError> {
        let key = row.key;
        let sealed: Result<Option<String>, StoreError> =
            self.store.get("sync_found", move |tx| tx.sync_found(key)).await;
        let opened = sealed?.and_then(|text| self.syncs.seal.open(row.id.as_bytes(), &text));
        Ok(opened.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_that_could_not_be_made_are_not_none() {
        assert!(Found::default().suggestions().is_ok_and(|suggestions| suggestions.is_empty()));
        let lacking = serde_json::from_str::<Found>(r#"{"lacks_suggestions": true}"#);
        let refused = lacking.expect("as it is stored").suggestions();
        let Err(ServiceError::Admin(error)) = refused else { panic!("{refused:?}") };
        assert_eq!((error.status, error.code), (503, "no_suggestions"));
    }
}
