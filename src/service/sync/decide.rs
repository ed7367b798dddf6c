//! What a held run waits to take away, once somebody has let it.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::apply::{Applied, Apply, patch, refusal, replacing, type_of};
use super::change::{About, Act, Change, Standing};
use super::view::Counts;
use crate::event::Reason;
use crate::pull::Kind;
use crate::scim::Object;
use crate::service::ServiceError;

impl Apply<'_> {
    /// Does what a held run has waited for, with the changes as they stand then.
    pub(super) async fn decided(
        mut self,
        mut changes: Vec<Change>,
        counts: Counts,
    ) -> Result<Applied, ServiceError> {
        self.applied.counts = counts;
        self.lease.progress.planned.store(changes.len(), Ordering::Relaxed);
        for change in changes.iter_mut().filter(|change| change.status == Standing::Held) {
            if !self.goes_on() {
                break;
            }
            match self.decided_one(change).await {
                Ok(()) => change.status = Standing::Applied,
                Err(error) => {
                    *change = change.clone().failed(refusal(error)?);
                    let kind = if change.kind == About::User { Kind::Account } else { Kind::Group };
                    self.tally(kind).failed += 1;
                }
            }
            self.lease.progress.done.fetch_add(1, Ordering::Relaxed);
        }
        self.applied.changes = changes;
        Ok(self.applied)
    }

    async fn decided_one(&mut self, change: &Change) -> Result<(), ServiceError> {
        let id = change.id.clone().unwrap_or_default();
        let reason = change.reason.as_deref().and_then(reason_named);
        let reason = reason.unwrap_or(Reason::PullMissing);
        let service = self.service;
        match (change.kind, change.action) {
            (About::User, Act::Deactivate) => {
                let body = replacing(&Object::from_iter([("active".to_owned(), false.into())]));
                let done = self.tried(Some(reason), |access| {
                    let (id, body) = (id.clone(), body.clone());
                    async move {
                        let user = type_of(&access, Kind::Account)?;
                        service.patch(&access, &user, &id, None, &body).await
                    }
                });
                match done.await {
                    Ok(_) => self.applied.counts.users.deactivated += 1,
                    Err(ServiceError::Scim(error)) if error.status == 404 => {}
                    Err(error) => return Err(error),
                }
            }
            (About::Membership, Act::Remove) => {
                let group = change.group_id.clone().unwrap_or_default();
                let operation =
                    json!({"op": "remove", "path": "members", "value": [{"value": id}]});
                let body = patch(vec![operation]);
                let done = self.tried(Some(reason), |access| {
                    let (group, body) = (group.clone(), body.clone());
                    async move {
                        let group_type = type_of(&access, Kind::Group)?;
                        service.patch(&access, &group_type, &group, None, &body).await
                    }
                });
                match done.await {
                    Ok(_) => self.applied.counts.memberships.removed += 1,
                    Err(ServiceError::Scim(error)) if error.status == 404 => {}
                    Err(error) => return Err(error),
                }
            }
            (about, _) => {
                let kind = if about == About::User { Kind::Account } else { Kind::Group };
                self.delete(kind, &id, reason).await?;
                self.tally(kind).deleted += 1;
            }
        }
        Ok(())
    }
}

fn reason_named(word: &str) -> Option<Reason> {
    let known =
        [Reason::PullMissing, Reason::PullSuspended, Reason::FilterExcluded, Reason::OutOfScope];
    known.into_iter().find(|reason| reason.as_str() == word)
}
