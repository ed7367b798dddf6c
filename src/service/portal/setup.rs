//! What a visitor does: choose a provider or a source, see the directories of the organization, make a
//! token, and whatever else the management API does with a directory.
//!
//! Whoever visits is an outsider. Work for one directory takes turns with what its identity provider sends,
//! the rest with the other visits of the organization, so that others do not wait for a visitor.

use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::guide::Guide;
use super::session::Visit;
use crate::pull::{SourceKind, connectors};
use crate::service::administer::{DirectoryView, ListParameters, TokenView, missing};
use crate::service::context::Settings;
use crate::service::error::AdminError;
use crate::service::seen::object;
use crate::service::{Service, ServiceError, on_behalf_of};
use crate::store::directory::DirectoryRow;
use crate::store::resource::ResourceRow;
use crate::store::{IdRange, StoreError, Walk};

/// Directories and tokens that are shown, the newest ones.
const SHOWN: i64 = 100;

/// Groups that are offered.
const GROUPS: i64 = 500;

/// Something to choose on the first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// `okta`, `pull.ldap`.
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    /// The letters on its mark.
    pub letters: String,
}

impl Offer {
    fn new(name: &'static str, title: &'static str, description: &'static str) -> Self {
        let words = title.split_whitespace().filter_map(|word| word.chars().next());
        let letters: String = words.filter(|c| c.is_alphanumeric()).take(2).collect();
        Self { name, title, description, letters }
    }

    /// What holds the users of directories of that kind, as people call it.
    pub fn title(kind: &str) -> &str {
        match (SourceKind::named(kind), Guide::of_kind(kind)) {
            (Some(source), _) => source.title,
            (None, Some(guide)) => &guide.title,
            (None, None) => kind,
        }
    }

    /// Identity providers that push over SCIM.
    pub fn pushed() -> Vec<Self> {
        let about = "Sends users and groups by itself, as soon as something changes.";
        Guide::offered().map(|guide| Self::new(guide.provider, &guide.title, about)).collect()
    }

    /// Sources that are read.
    pub fn read() -> Vec<Self> {
        connectors::ALL
            .iter()
            .map(|kind| Self::new(kind.name, kind.title, kind.description))
            .collect()
    }
}

impl Service {
    /// The directories of the organization, newest first, without those that are being deleted.
    pub async fn portal_directories(
        &self,
        visit: &Visit,
    ) -> Result<Vec<DirectoryView>, ServiceError> {
        let page = visit.in_turn(self.directory_list(&visit.access, None, &shown())).await?;
        Ok(page.data.into_iter().filter(|directory| directory.state != "deleting").collect())
    }

    /// One of them.
    pub async fn portal_directory(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<DirectoryView, ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, self.directory_view(row)).await
    }

    /// The tokens of one of them, newest first, without their secrets.
    pub async fn portal_tokens(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<Vec<TokenView>, ServiceError> {
        let tokens = async { Ok(self.token_list(&visit.access, id, &shown()).await?.data) };
        self.portal_see(visit, id, tokens).await
    }

    pub(super) async fn portal_row(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<DirectoryRow, ServiceError> {
        let row = visit.in_turn(self.directory_row(&visit.access, id)).await?;
        if row.state == "deleting" { Err(missing()) } else { Ok(row) }
    }

    /// Looks at something of a directory that the visitor may see.
    pub async fn portal_see<T>(
        &self,
        visit: &Visit,
        id: &str,
        work: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, work).await
    }

    /// Does something to a directory that the visitor may see, as long as the session lasts. What is done may
    /// be large, so it lies on the heap.
    pub fn portal_do<'w, T: 'w>(
        &'w self,
        visit: &'w Visit,
        id: &'w str,
        work: impl Future<Output = Result<T, ServiceError>> + 'w,
    ) -> LocalBoxFuture<'w, Result<T, ServiceError>> {
        Box::pin(visit.acting(self.portal_see(visit, id, work)))
    }

    /// Groups of a directory that roles may follow from, by id: id and name. At most 500.
    pub async fn portal_groups(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<Vec<(String, String)>, ServiceError> {
        let row = self.portal_row(visit, id).await?;
        let key = row.key;
        let range = IdRange { walk: Walk::Up, beyond: None, limit: GROUPS };
        let read = self.store.read("portal_groups", move |tx| tx.app_list(key, "Group", &range));
        let rows: Result<Vec<ResourceRow>, StoreError> = on_behalf_of(key, read).await;
        let named = rows?.into_iter().map(|row| {
            let doc = object(&row.doc);
            let name = doc.get("displayName").and_then(Value::as_str).unwrap_or(&row.id).to_owned();
            (row.id, name)
        });
        Ok(named.collect())
    }

    /// Whether a visitor has stopped the directory, and so may start it again.
    pub async fn portal_may_start(&self, visit: &Visit, id: &str) -> Result<bool, ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, self.directory_is_startable(row.key)).await
    }

    /// Lets go of what was stopped: a held run, or the events behind the brake.
    ///
    /// # Errors
    /// 403 where the operator alone decides about that.
    pub fn portal_let_go<'w, T: 'w>(
        &'w self,
        visit: &'w Visit,
        id: &'w str,
        work: impl Future<Output = Result<T, ServiceError>> + 'w,
    ) -> LocalBoxFuture<'w, Result<T, ServiceError>> {
        Box::pin(async move {
            let row = self.portal_row(visit, id).await?;
            if Settings::stored(&row.settings).operator_decides {
                let message = "Only whoever runs the application may let this through; ask them.";
                return Err(AdminError::new(403, "operator_decides", message).into());
            }
            self.portal_do(visit, id, work).await
        })
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
        let chosen =
            self.directory_for_setup(&visit.access, &visit.organization_id, &kind, &guide.title);
        let directory = visit.acting(visit.in_turn(chosen)).await?;
        told(visit, &directory, "a visitor chose a provider");
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
        let made = on_behalf_of(row.key, async {
            let directory = self.directory_view(row.clone()).await?;
            Ok((directory, self.token_for_setup(&visit.link_id, row, newest).await?))
        });
        let made: Result<_, ServiceError> = visit.acting(made).await;
        let (directory, token) = made?;
        told(visit, &directory.id, "a visitor made a token");
        Ok((directory, token))
    }
}

/// A line in the log of the server.
pub(super) fn told(visit: &Visit, directory: &str, what: &'static str) {
    let (link, organization) = (&visit.link_id, &visit.organization_id);
    tracing::info!(link, organization, directory, what);
}

fn shown() -> ListParameters {
    ListParameters { limit: Some(SHOWN), ..ListParameters::default() }
}
