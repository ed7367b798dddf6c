//! Whose events an endpoint gets, and how many endpoints there may be.

use super::organizations;
use crate::service::ApiAccess;
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::store::Tx;

/// Most endpoints that name the same organization, and most of those for all organizations.
const MAX_ENDPOINTS: i64 = 100;

/// Most organizations that an endpoint is limited to.
const MAX_ORGANIZATIONS: usize = 20;

/// Whose events an endpoint is to get.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    All,
    Named(Vec<String>),
    /// All that the key may see, also those that are gone.
    Implied(Vec<String>),
}

impl Scope {
    /// Organizations that the key does not see are like none.
    pub(super) fn of(access: &ApiAccess, wanted: Option<Vec<String>>) -> Result<Self, AdminError> {
        let invalid = |message: String| AdminError::invalid("organization_ids", message);
        let sorted = |mut ids: Vec<String>| {
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let Some(ids) = wanted.map(sorted) else {
            let implied = access.organization_ids.clone().map(sorted);
            return Ok(implied.map_or(Self::All, Self::Implied));
        };
        if let Some(id) = ids.iter().find(|id| !access.reaches(id) || id.contains(',')) {
            return Err(invalid(format!("\"{id}\" names no organization.")));
        }
        match (1..=MAX_ORGANIZATIONS).contains(&ids.len()) {
            true => Ok(Self::Named(ids)),
            false => Err(invalid(format!(
                "name 1 to {MAX_ORGANIZATIONS} organizations; null is for all that the key may see."
            ))),
        }
    }

    /// The scope as it is stored. Every organization of it is there.
    pub(super) fn stored(&self, tx: &mut Tx<'_>) -> Result<String, ServiceError> {
        let (ids, implied) = match self {
            Self::All => return Ok(String::new()),
            Self::Named(ids) => (ids, false),
            Self::Implied(ids) => (ids, true),
        };
        let mut known = Vec::new();
        for id in ids {
            match tx.organization_get(id)? {
                Some(_) => known.push(id.as_str()),
                None if implied => {}
                None => {
                    let message = format!("\"{id}\" names no organization.");
                    return Err(AdminError::invalid("organization_ids", message).into());
                }
            }
        }
        if known.is_empty() {
            let message =
                "none of the organizations that this key is limited to is there any more.";
            return Err(AdminError::invalid("organization_ids", message).into());
        }
        Ok(known.join(","))
    }
}

/// Nobody makes endpoints without end, under whatever combination of organizations.
pub(super) fn check_room(tx: &mut Tx<'_>, scope: &str) -> Result<(), ServiceError> {
    let groups: Vec<Option<String>> = match organizations(scope) {
        None => vec![None],
        Some(ids) => ids.into_iter().map(Some).collect(),
    };
    for group in groups {
        if tx.webhook_count(group.as_deref())? > MAX_ENDPOINTS {
            let whose = group.map_or("all organizations".to_owned(), |id| format!("\"{id}\""));
            let message = format!(
                "There are {MAX_ENDPOINTS} endpoints for {whose} already; delete one of them first."
            );
            return Err(AdminError::new(409, "too_many_endpoints", message).into());
        }
    }
    Ok(())
}
