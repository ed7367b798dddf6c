//! Memberships of a plan.

use std::sync::atomic::Ordering;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::apply::{Apply, patch, refusal, type_of};
use super::change::{About, Act, Change, Standing, end_of_membership};
use crate::event::Reason;
use crate::pull::Kind;
use crate::pull::plan::{Known, MemberChange};
use crate::service::ServiceError;

/// Members in one change of a group.
const MEMBERS: usize = 1_000;

/// Changes of a group under way at the same time: while one is written, the next one is made ready.
const AT_ONCE: usize = 2;

impl Apply<'_> {
    pub(super) async fn members(&mut self, changes: Vec<MemberChange>) -> Result<(), ServiceError> {
        let (is_proof, held) = (self.applied.counts.failed() == 0, self.held);
        for change in changes {
            if !self.goes_on() {
                return Ok(());
            }
            let Some(group) = self.ids.here(Kind::Group, &change.group).map(str::to_owned) else {
                continue;
            };
            let add = change.add.iter().filter_map(|(kind, member)| self.ids.here(*kind, member));
            let add: Vec<String> = add.map(str::to_owned).collect();
            let group_name = self.group_name(&change.group);
            let named = (group.as_str(), group_name.as_str());
            let (mut remove, absent): (Vec<&Known>, Vec<&Known>) =
                change.remove.iter().partition(|known| change.told.contains(&known.key));
            match is_proof {
                true => remove.extend(absent),
                false => self.applied.spared += absent.len(),
            }
            if held {
                for known in remove.drain(..) {
                    self.note(end_of_membership(named, known, Standing::Held));
                }
            }
            if add.is_empty() && remove.is_empty() {
                continue;
            }
            if let Err(error) = self.change_members(&group, &add, &remove).await {
                let message = refusal(error)?;
                self.applied.counts.groups.failed += 1;
                let failed =
                    Change::new(About::Group, Act::Update, Standing::Failed, &change.group);
                self.note(failed.failed(message));
                continue;
            }
            self.applied.counts.memberships.added += add.len();
            self.applied.counts.memberships.removed += remove.len();
            self.count_left(&remove);
            for known in remove {
                self.note(end_of_membership(named, known, Standing::Applied));
            }
            self.lease.progress.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The name of a stored group; of any other one the source's id.
    pub(super) fn group_name(&self, source_id: &str) -> String {
        let known = self.stored.get(Kind::Group, source_id).map(|known| known.name.as_str());
        known.filter(|name| !name.is_empty()).unwrap_or(source_id).to_owned()
    }

    async fn change_members(
        &self,
        group: &str,
        add: &[String],
        remove: &[&Known],
    ) -> Result<(), ServiceError> {
        let operation = |op: &str, ids: &mut dyn Iterator<Item = &str>| -> Value {
            let value: Value = ids.map(|id| json!({"value": id})).collect();
            json!({"op": op, "path": "members", "value": value})
        };
        let removing = remove
            .chunks(MEMBERS)
            .map(|known| operation("remove", &mut known.iter().map(|known| known.id.as_str())));
        let adding =
            add.chunks(MEMBERS).map(|ids| operation("add", &mut ids.iter().map(String::as_str)));
        let operations = stream::iter(removing.chain(adding)).map(Ok);
        operations
            .try_for_each_concurrent(AT_ONCE, |operation| self.patch_group(group, operation))
            .await
    }

    async fn patch_group(&self, group: &str, operation: Value) -> Result<(), ServiceError> {
        let body = patch(vec![operation]);
        // Whoever joins is told without it.
        let patched = self.tried(Some(Reason::PullMissing), |access| {
            let body = body.clone();
            async move {
                let group_type = type_of(&access, Kind::Group)?;
                self.service.patch(&access, &group_type, group, None, &body).await
            }
        });
        patched.await.map(drop)
    }
}
