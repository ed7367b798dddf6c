//! What directories and organizations are called, for pages that refer to them by id.

use std::collections::HashMap;

use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::names::NameRow;

/// Names by id.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// `None` for what is gone, and for what whoever asked does not reach.
    pub fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

impl Service {
    /// The names of directories and organizations, looked up all at once.
    pub async fn names(
        &self,
        access: &ApiAccess,
        ids: impl IntoIterator<Item = &String>,
    ) -> Result<Names, ServiceError> {
        let mut ids: Vec<String> = ids.into_iter().cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Names::default());
        }
        let rows: Result<Vec<NameRow>, StoreError> =
            self.store.get("names", move |tx| tx.names(&ids)).await;
        let reached = rows?.into_iter().filter(|row| access.reaches(&row.organization_id));
        Ok(Names(reached.map(|row| (row.id, row.name)).collect()))
    }
}
