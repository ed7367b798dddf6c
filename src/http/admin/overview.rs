//! The installation in numbers.

use super::{Answer, Manager, failed, ok};

pub(super) async fn get(by: Manager) -> Answer {
    let query = by.query()?;
    let span = query.get("span").filter(|span| !span.is_empty());
    by.service().overview(&by.access, span).await.map(ok).map_err(failed)
}
