//! What a visitor does: choose a provider, see the directories of the organization, make a token.

use super::guide::Guide;
use super::session::Visit;
use crate::service::administer::{DirectoryView, ListParameters, TokenView};
use crate::service::error::AdminError;
use crate::service::{Service, ServiceError};

/// Directories and tokens that are shown; nobody has more.
const SHOWN: i64 = 100;

impl Service {
    /// The directories of the organization, newest first, without those that are being deleted.
    pub async fn portal_directories(
        &self,
        visit: &Visit,
    ) -> Result<Vec<DirectoryView>, ServiceError> {
        let page = self.directory_list(&visit.access, None, &shown()).await?;
        Ok(page.data.into_iter().filter(|directory| directory.state != "deleting").collect())
    }

    /// One of them.
    pub async fn portal_directory(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<DirectoryView, ServiceError> {
        let directory = self.directory_get(&visit.access, id).await?;
        match directory.state.as_str() {
            "deleting" => Err(AdminError::not_found("The directory").into()),
            _ => Ok(directory),
        }
    }

    /// Its tokens, newest first, without their secrets.
    pub async fn portal_tokens(
        &self,
        visit: &Visit,
        directory_id: &str,
    ) -> Result<Vec<TokenView>, ServiceError> {
        Ok(self.token_list(&visit.access, directory_id, &shown()).await?.data)
    }

    /// The id of a directory for that provider: the one that nothing has talked to yet, or a new one.
    pub async fn portal_choose(
        &self,
        visit: &Visit,
        provider: &str,
    ) -> Result<String, ServiceError> {
        let guide = Guide::offered().find(|guide| guide.provider == provider).ok_or_else(|| {
            AdminError::invalid("provider", "it is none of those that the page offers.")
        })?;
        let kind = format!("scim.{provider}");
        self.directory_for_setup(&visit.organization_id, &kind, &guide.title).await
    }

    /// Makes a token beside those that there are; its secret is in the answer alone. `newest` is the id
    /// of the newest one on the page of the form.
    pub async fn portal_token(
        &self,
        visit: &Visit,
        directory_id: &str,
        newest: &str,
    ) -> Result<TokenView, ServiceError> {
        self.token_for_setup(&visit.access, directory_id, newest).await
    }
}

fn shown() -> ListParameters {
    ListParameters { limit: Some(SHOWN), ..ListParameters::default() }
}
