//! Users of a directory as an operator sees them: by the state that the source gives, of which the app is
//! told less.

use serde::Serialize;
use serde_json::Value;

use super::{ListPage, ListParameters};
use crate::pull::{ACCOUNT_STATE, ACCOUNT_TYPE, SUSPENDED};
use crate::scim::key::instant_text;
use crate::service::seen::object;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::resource::ResourceRow;

#[derive(Clone, Debug, Serialize)]
pub struct AccountView {
    object: &'static str,
    id: String,
    /// `externalId`; null without one.
    idp_id: Option<String>,
    user_name: Option<String>,
    display_name: Option<String>,
    /// `active`, `inactive`, `suspended` or `excluded`.
    state: &'static str,
    /// `source`, or `policy` where a policy of the directory has suspended the user.
    suspended_by: Option<&'static str>,
    /// `user`, `service`, `shared` or `guest`.
    #[serde(rename = "type")]
    account_type: String,
    created_at: String,
    updated_at: String,
}

impl AccountView {
    /// Only the source of a directory that is read tells states and types.
    fn of(row: &ResourceRow, is_read: bool) -> Self {
        let doc = object(&row.doc);
        let extra = row.extra.as_deref().filter(|_| is_read).map(object).unwrap_or_default();
        let text = |name: &str| doc.get(name).and_then(Value::as_str).map(str::to_owned);
        let told = |name: &str| extra.get(name).and_then(Value::as_str);
        let (state, suspended_by) = match (row.active, row.suspended) {
            (true, _) if row.excluded => ("excluded", None),
            (true, false) => ("active", None),
            (true, true) => ("suspended", Some("policy")),
            (false, _) if told(ACCOUNT_STATE) == Some(SUSPENDED) => ("suspended", Some("source")),
            (false, _) => ("inactive", None),
        };
        Self {
            object: "account",
            id: row.id.clone(),
            idp_id: text("externalId"),
            user_name: text("userName"),
            display_name: text("displayName"),
            state,
            suspended_by,
            account_type: told(ACCOUNT_TYPE).unwrap_or("user").to_owned(),
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
        }
    }
}

impl Service {
    /// The users of a directory, newest first.
    pub async fn account_list(
        &self,
        access: &ApiAccess,
        id: &str,
        parameters: &ListParameters,
    ) -> Result<ListPage<AccountView>, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let range = parameters.range()?;
        let (key, reading) = (row.key, range.clone());
        let rows: Result<Vec<ResourceRow>, StoreError> =
            self.store.get("account_list", move |tx| tx.user_list(key, &reading)).await;
        let is_read = crate::pull::SourceKind::named(&row.kind).is_some();
        let page = ListPage::of(&range, rows?, |row| &row.id);
        Ok(page.map(|user| AccountView::of(&user, is_read)))
    }
}
