//! What a dry run would change, without changing it.

use std::collections::HashMap;

use futures_util::StreamExt;

use super::apply::{Applied, Apply, Item, type_of};
use super::change::{
    About, Act, Change, Standing, about, called, deactivation, end_of, end_of_membership, reason_of,
};
use crate::pull::Kind;
use crate::pull::plan::{MemberChange, Removal, Unknown, Update};
use crate::service::ServiceError;
use crate::service::seen::object;
use crate::store::StoreError;
use crate::store::resource::ResourceRow;

/// Stored users that are compared at the same time.
const AT_ONCE: usize = 16;

impl Apply<'_> {
    /// The changes of a plan, in the order in which they would be made.
    pub(super) async fn show(
        mut self,
        users: Vec<Item>,
        groups: Vec<Item>,
        members: Vec<MemberChange>,
        removals: Vec<Removal>,
    ) -> Result<Applied, ServiceError> {
        let new = users.iter().chain(&groups).map(Item::record);
        let names: HashMap<(Kind, String), String> =
            new.map(|new| ((new.kind, new.source_id.clone()), called(new))).collect();
        for items in [users, groups] {
            self.show_items(items).await?;
        }
        for change in &members {
            let group = self.ids.here(Kind::Group, &change.group).unwrap_or_default().to_owned();
            // Of a new group, the name that it will have.
            let new = names.get(&(Kind::Group, change.group.clone())).cloned();
            let group_name = new.unwrap_or_else(|| self.group_name(&change.group));
            for (kind, member) in &change.add {
                let known = self.stored.get(*kind, member);
                let new = names.get(&(*kind, member.clone())).cloned();
                let shown = Change::new(About::Membership, Act::Add, Standing::Planned, member);
                self.note(Change {
                    id: known.map(|known| known.id.clone()),
                    name: new.or_else(|| known.map(|known| known.name.clone())),
                    group: Some(group_name.clone()),
                    ..shown
                });
            }
            for known in &change.remove {
                let named = (group.as_str(), group_name.as_str());
                self.note(end_of_membership(named, known, Standing::Planned));
            }
            self.applied.counts.memberships.added += change.add.len();
            self.applied.counts.memberships.removed += change.remove.len();
        }
        let is_proof = self.applied.counts.failed() == 0;
        for removal in removals.iter().filter(|removal| is_proof || !removal.why.is_absence()) {
            self.tally(removal.known.kind).deleted += 1;
            self.note(end_of(&removal.known, reason_of(removal.why), Standing::Planned));
        }
        Ok(self.applied)
    }

    /// The first memberships of members who are not in the directory.
    pub(super) fn show_unknown(&mut self, unknown: &Unknown) {
        for (group, member) in &unknown.first {
            let shown = Change::new(About::Membership, Act::Skip, Standing::Planned, member);
            self.note(Change {
                group: Some(self.group_name(group)),
                message: Some("the member is not in the directory.".to_owned()),
                ..shown
            });
        }
    }

    async fn show_items(&mut self, items: Vec<Item>) -> Result<(), ServiceError> {
        let this = &*self;
        let compared = futures_util::stream::iter(items.into_iter().map(|item| async move {
            let attributes = match &item {
                Item::New(_) => Ok(Vec::new()),
                Item::Changed { update } => this.differences(update).await,
            };
            (item, attributes)
        }));
        // In their order: a diff is read by people.
        let compared: Vec<_> = compared.buffered(AT_ONCE).collect().await;
        for (item, attributes) in compared {
            let attributes = attributes?;
            match item {
                Item::New(record) => {
                    self.tally(record.kind).created += 1;
                    let (kind, source_id) = (about(record.kind), &record.source_id);
                    let mut shown = Change::new(kind, Act::Create, Standing::Planned, source_id);
                    shown.name = Some(called(&record));
                    self.note(shown);
                }
                Item::Changed { update } if attributes.is_empty() => {
                    self.tally(update.known.kind).unchanged += 1;
                }
                Item::Changed { update } if update.deactivates() => {
                    self.tally(update.known.kind).deactivated += 1;
                    let shown = deactivation(&update, Standing::Planned);
                    self.note(Change { attributes, ..shown });
                }
                Item::Changed { update } => {
                    self.tally(update.known.kind).updated += 1;
                    let (kind, source_id) = (about(update.known.kind), &update.known.source_id);
                    let shown = Change::new(kind, Act::Update, Standing::Planned, source_id);
                    self.note(Change {
                        id: Some(update.known.id),
                        name: Some(called(&update.record)),
                        attributes,
                        ..shown
                    });
                }
            }
        }
        Ok(())
    }

    /// Names of the attributes that an update would change.
    async fn differences(&self, update: &Update) -> Result<Vec<String>, ServiceError> {
        let access = &self.job.access;
        let resource_type = type_of(access, update.known.kind)?;
        let (key, id) = (access.directory.key, update.known.id.clone());
        let name = resource_type.name.clone();
        let row: Result<Option<ResourceRow>, StoreError> = self
            .service
            .store
            .lookup_one("sync_compare", move |tx| tx.resource_get(key, &name, &id))
            .await;
        let Some(row) = row? else { return Ok(Vec::new()) };
        let revision = self.revision(access, update, self.ids.body(&update.record))?;
        let edit = (revision.edit)(&row)?;
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (before, after) = (object(&row.doc), edit.document.as_object());
        let names = before.keys().chain(after.keys()).filter(|n| before.get(*n) != after.get(*n));
        let beside = extra.keys().chain(edit.extra.keys());
        let beside = beside.filter(|name| extra.get(*name) != edit.extra.get(*name));
        let mut names: Vec<String> = names.chain(beside).cloned().collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
