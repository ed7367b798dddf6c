//! The first start on an empty database: everything that an administrator needs to begin, in one
//! unit. The database decides which of several replicas does it, and a start that fails leaves
//! nothing behind that would keep the next one from it.

use serde_json::{Value, json};

use super::api_key::new_row;
use super::directory::Draft;
use crate::service::audit::{Target, action};
use crate::service::authenticate::ApiScope;
use crate::service::{Service, ServiceError};

/// What was made; the secrets are nowhere else.
#[derive(Clone, Debug)]
pub struct FirstStart {
    pub base_url: String,
    pub token: String,
    /// `None` when the operator configured one.
    pub api_key: Option<String>,
    /// Where the first administrator makes an account, once.
    pub console_url: String,
}

/// Whether the first start makes an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstKey {
    Make,
    /// The operator's configuration has one.
    Configured,
}

impl Service {
    /// Makes the default organization, a `scim.generic` directory with a token and, if wanted, an
    /// API key. `None` when that was done before.
    pub async fn first_start(&self, key: FirstKey) -> Result<Option<FirstStart>, ServiceError> {
        let (claim, now) = (self.clock.id("start"), self.clock.now_ms());
        let organization_id = self.clock.id("org");
        let (name, kind) = ("Default".to_owned(), "scim.generic".to_owned());
        let draft = Draft::new(&self.clock, name, kind, "{}".to_owned(), None);
        let api_key =
            (key == FirstKey::Make).then(|| new_row(&self.clock, "First start", &ApiScope::ALL));
        let first_link = self.first_link();
        let made = FirstStart {
            base_url: format!("{}/scim/v2/{}", self.public_url, draft.external_key),
            token: draft.secret.clone(),
            api_key: api_key.as_ref().map(|(_, secret)| secret.clone()),
            console_url: first_link.address.clone(),
        };
        let made_directory = self.audit_by("first_start", action::DIRECTORY_CREATED);
        let made_key = self.audit_by("first_start", action::API_KEY_CREATED);
        let is_first = self
            .store
            .write("first_start", move |tx| {
                if tx.setting_put_once("first_start", &claim)? != claim {
                    return Ok(false);
                }
                let organization =
                    tx.organization_insert(&organization_id, "Default", None, "{}", now)?;
                let directory = draft.store(tx, organization.key)?;
                made_directory.write(tx, Target::directory(&directory), Value::Null, json!({}))?;
                if let Some((row, _)) = &api_key {
                    tx.api_key_insert(row)?;
                    let target = Target::of_server(&row.id, Some(&row.name));
                    made_key.write(tx, target, Value::Null, json!({"suffix": row.suffix}))?;
                }
                first_link.link.put(tx, None)?;
                Ok::<_, ServiceError>(true)
            })
            .await?;
        Ok(is_first.then_some(made))
    }
}
