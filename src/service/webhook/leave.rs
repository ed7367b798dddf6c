//! What becomes of endpoints when an organization goes.

use super::replay::selection;
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::store::Tx;
use crate::store::webhook::EndpointRow;

/// Takes an organization that is about to go, and has no directory any more, out of the scopes of endpoints.
/// One that is for this organization alone goes as well.
///
/// # Errors
///
/// 409 `events_pending` while an enabled endpoint has not been sent all that it selected of the
/// organization: the end of its directories is the last that the app hears of their users. 409
/// `duplicate_endpoint` when two endpoints would be left with one address and the same organizations.
pub(in crate::service) fn leave(tx: &mut Tx<'_>, organization: &str) -> Result<(), ServiceError> {
    for row in tx.webhook_of(organization)? {
        if row.state == "enabled" && waits(tx, &row, organization)? {
            let message = format!(
                "The webhook endpoint {:?} has not been sent all events of this organization yet; wait \
                 for it, or pause or delete it.",
                row.id
            );
            return Err(AdminError::new(409, "events_pending", message).into());
        }
        let left: Vec<String> =
            row.scope.split(',').filter(|id| *id != organization).map(str::to_owned).collect();
        // No scope at all would be that of all organizations.
        if left.is_empty() {
            tx.webhook_delete(&row.id)?;
            continue;
        }
        let scope = left.join(",");
        if let Some(twin) = tx.webhook_twin(&scope, &row.url)? {
            let message = format!(
                "Without this organization the webhook endpoints {:?} and {twin:?} would have the same \
                 address and organizations; change or delete one of them first.",
                row.id
            );
            return Err(AdminError::new(409, "duplicate_endpoint", message).into());
        }
        tx.webhook_narrow(&row.id, &left)?;
        tx.webhook_update(&EndpointRow { scope, ..row })?;
    }
    Ok(())
}

/// Whether something of the organization that the endpoint selected is not sent yet.
fn waits(
    tx: &mut Tx<'_>,
    endpoint: &EndpointRow,
    organization: &str,
) -> Result<bool, ServiceError> {
    let names = selection(endpoint, None).names;
    let left = tx.log_names_behind(organization, endpoint.position)?;
    Ok(left.iter().any(|name| names.contains(name)))
}
