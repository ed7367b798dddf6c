//! What people decide: whether a suggestion holds, and whether an account is a person's.

use serde_json::{Value, json};

use super::alias::living;
use super::link::{Ledger, end};
use super::merge::{merge, separate, unlink};
use super::{Scope, organization, switched_off};
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::exchange::Listed;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::Tx;
use crate::store::identity_suggestion::SuggestionRow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They are the same person: the identity of the account is merged into the other one.
    Accept,
    Reject,
    /// As it was before the decision.
    Undo,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Undo => "undo",
        }
    }
}

pub(super) fn missing() -> ServiceError {
    AdminError::not_found("The suggestion").into()
}

pub(super) fn conflict(code: &'static str, message: &str) -> ServiceError {
    AdminError::new(409, code, message).into()
}

pub(super) fn suggestion_view(organization_id: &str, row: &SuggestionRow) -> Value {
    json!({
        "object": "identity_suggestion",
        "id": row.id,
        "organization_id": organization_id,
        "state": row.state,
        "reason": row.reason,
        "account": {
            "directory_id": row.directory_id,
            "user_id": row.user_id,
            "email": row.email,
            "identity_id": row.own_id,
        },
        "identity_id": row.identity_id,
        "identity_email": row.identity_email,
        "created_at": instant_text(row.created),
        "decided_at": row.decided.map(instant_text),
    })
}

impl Service {
    /// Decides about a suggestion and answers it as it is then.
    pub async fn suggestion_decide(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        id: &str,
        decision: Decision,
    ) -> Result<Value, ServiceError> {
        let (key, wanted, id) = (access.clone(), organization_id.to_owned(), id.to_owned());
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let audit = self.audit(
            access,
            match decision {
                Decision::Accept => action::SUGGESTION_ACCEPTED,
                Decision::Reject => action::SUGGESTION_REJECTED,
                Decision::Undo => action::SUGGESTION_UNDONE,
            },
        );
        let write = self.store.write("identity_decide", move |tx| {
            let organization = organization(tx, &key, &wanted)?;
            let scope = Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
            let row = tx.suggestion_get(organization.key, &id)?.ok_or_else(missing)?;
            let (mut ids, mut event_ids) = (ids.clone(), Listed::default());
            let ledger = Ledger {
                scope,
                directory_key: row.directory_key,
                organization_id: &organization.id,
                ids: &mut ids,
                event_ids: &mut event_ids,
                now,
            };
            let before = suggestion_view(&organization.id, &row);
            let decided = decide(tx, ledger, row, decision)?;
            let view = suggestion_view(&organization.id, &decided);
            let target = Target::of_organization(&organization.id, &id, None);
            audit.write(tx, target, before, view.clone())?;
            Ok::<_, ServiceError>(view)
        });
        let decided: Value = self.locking(access, organization_id, write).await?;
        self.identity_metrics.decided(decision.as_str());
        Ok(decided)
    }

    /// Takes an account out of an identity, and answers the new one that has it.
    pub async fn account_unlink(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        identity_id: &str,
        user_id: &str,
    ) -> Result<Value, ServiceError> {
        let (key, wanted) = (access.clone(), organization_id.to_owned());
        let (identity_id, user_id) = (identity_id.to_owned(), user_id.to_owned());
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let audit = self.audit(access, action::ACCOUNT_UNLINKED);
        let write = self.store.write("identity_unlink", move |tx| {
            let organization = organization(tx, &key, &wanted)?;
            let scope = Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
            let identity_key = living(tx, organization.key, &identity_id)?;
            let (mut ids, mut event_ids) = (ids.clone(), Listed::default());
            let mut ledger = Ledger {
                scope,
                // That of the account, once it is found.
                directory_key: 0,
                organization_id: &organization.id,
                ids: &mut ids,
                event_ids: &mut event_ids,
                now,
            };
            let alone = unlink(tx, &mut ledger, identity_key, &user_id)?;
            let view = alone.view(&organization.id);
            let target = Target::of_organization(&organization.id, &user_id, None);
            let (before, after) =
                (json!({"identity_id": identity_id}), json!({"identity_id": view.get("id")}));
            audit.write(tx, target, before, after)?;
            Ok::<_, ServiceError>(view)
        });
        let view: Value = self.locking(access, organization_id, write).await?;
        self.identity_metrics.decided("unlink");
        Ok(view)
    }
}

fn decide(
    tx: &mut Tx<'_>,
    mut ledger: Ledger<'_>,
    mut row: SuggestionRow,
    decision: Decision,
) -> Result<SuggestionRow, ServiceError> {
    let now = ledger.now;
    match (decision, row.state.as_str()) {
        (Decision::Undo, "open") => {
            return Err(conflict("suggestion_open", "Nothing was decided about this suggestion."));
        }
        (Decision::Accept | Decision::Reject, state) if state != "open" => {
            let message = format!("The suggestion is {state}; undo that first.");
            return Err(conflict("suggestion_decided", &message));
        }
        (Decision::Undo, "accepted") => {
            let apart = separate(tx, &mut ledger, &row)?;
            row = SuggestionRow { own_id: Some(apart.again.row.id), ..open(row) };
            tx.suggestion_decide(&row)?;
            if apart.after.accounts.is_empty() {
                end(tx, &mut ledger, &apart.after)?;
            }
            return Ok(row);
        }
        (Decision::Undo, _) => row = open(row),
        (Decision::Reject, _) => {
            row = SuggestionRow { state: "rejected".into(), decided: Some(now), ..row };
        }
        (Decision::Accept, _) => row = merge(tx, &mut ledger, row)?,
    }
    tx.suggestion_decide(&row)?;
    Ok(row)
}

fn open(row: SuggestionRow) -> SuggestionRow {
    SuggestionRow { state: "open".into(), from_key: None, into_key: None, decided: None, ..row }
}
