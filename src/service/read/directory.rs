//! Directories as the app sees them.

use serde_json::{Value, json};

use crate::scim::key::instant_text;
use crate::service::administer::app_type;
use crate::service::context::State;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;

/// The `directory` object.
fn view(row: &DirectoryRow) -> Value {
    json!({
        "object": "directory",
        "id": row.id,
        "organization_id": row.organization_id,
        "external_key": row.external_key,
        "type": app_type(&row.kind),
        "state": State::parse(&row.state).unwrap_or(State::Error).in_read_api(),
        "name": row.name,
        "created_at": instant_text(row.created),
        "updated_at": instant_text(row.modified),
    })
}

impl Service {
    /// The directory, if the key may see it.
    pub async fn read_directory(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Value, ServiceError> {
        Ok(view(&self.directory_row(access, id).await?))
    }
}
