//! What a visitor does: choose a provider, see the directories of the organization, make a token.
//!
//! Whoever visits is an outsider. Work for one directory takes turns with what its identity provider sends,
//! the rest with the other visits of the organization, so that others do not wait for a visitor.

use super::guide::Guide;
use super::session::Visit;
use crate::pull::SourceKind;
use crate::service::administer::{DirectoryView, ListParameters, TokenView, missing};
use crate::service::error::AdminError;
use crate::service::{Service, ServiceError, on_behalf_of};
use crate::store::directory::DirectoryRow;

/// Directories and tokens that are shown, the newest ones.
const SHOWN: i64 = 100;

impl Service {
    /// The directories of the organization that are pushed, newest first, without those that are being
    /// deleted.
    pub async fn portal_directories(
        &self,
        visit: &Visit,
    ) -> Result<Vec<DirectoryView>, ServiceError> {
        let page = visit.in_turn(self.directory_list(&visit.access, None, &shown())).await?;
        let is_shown =
            |directory: &DirectoryView| directory.state != "deleting" && directory.scim.is_some();
        Ok(page.data.into_iter().filter(is_shown).collect())
    }

    /// One of them, with its tokens, newest first, without their secrets.
    pub async fn portal_directory(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<(DirectoryView, Vec<TokenView>), ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, async {
            let tokens = self.token_list(&visit.access, id, &shown()).await?.data;
            Ok((self.directory_view(row).await?, tokens))
        })
        .await
    }

    pub(super) async fn portal_row(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<DirectoryRow, ServiceError> {
        let row = visit.in_turn(self.directory_row(&visit.access, id)).await?;
        match row.state.as_str() {
            "deleting" => Err(missing()),
            // Nothing on its page would be of use.
            _ if SourceKind::named(&row.kind).is_some() => Err(missing()),
            _ => Ok(row),
        }
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
        let (link, organization) = (&visit.link_id, &visit.organization_id);
        let chosen = self.directory_for_setup(link, organization, &kind, &guide.title);
        let directory = visit.in_turn(chosen).await?;
        tracing::info!(link, organization, directory, kind, "a visitor chose a provider");
        Ok(directory)
    }

    /// Makes a token beside those that there are; its secret is in the answer alone. `newest` is the id
    /// of the newest one on the page of the form.
    pub async fn portal_token(
        &self,
        visit: &Visit,
        id: &str,
        newest: &str,
    ) -> Result<(DirectoryView, TokenView), ServiceError> {
        let row = self.portal_row(visit, id).await?;
        let (link, organization) = (&visit.link_id, &visit.organization_id);
        on_behalf_of(row.key, async {
            let directory = self.directory_view(row.clone()).await?;
            let token = self.token_for_setup(link, row, newest).await?;
            let (id, token_id) = (&directory.id, &token.id);
            tracing::info!(
                link,
                organization,
                directory = id,
                token = token_id,
                "a visitor made a token"
            );
            Ok((directory, token))
        })
        .await
    }
}

fn shown() -> ListParameters {
    ListParameters { limit: Some(SHOWN), ..ListParameters::default() }
}
