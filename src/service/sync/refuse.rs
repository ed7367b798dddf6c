//! Who could not be written, and what of that counts all the same: somebody who is inactive at the source
//! loses access whatever is wrong with the rest, such as a name that somebody else has.

use std::sync::Arc;

use super::apply::{Apply, Item};
use super::change::{Act, Change, Standing, about, called};
use crate::pull::plan::{Record, Update};
use crate::service::ServiceError;

impl Apply<'_> {
    /// Lists who could not be written; an end of access waits to be written alone.
    pub(super) fn refuse(&mut self, item: &Item, message: &str) {
        let record = item.record();
        self.tally(record.kind).failed += 1;
        Arc::make_mut(&mut self.ids).forget(record);
        let place = match record.place.is_empty() {
            true => record.source_id.clone(),
            false => format!("{} ({})", record.source_id, record.place),
        };
        let act = match item {
            Item::New(_) => Act::Create,
            Item::Changed { .. } => Act::Update,
        };
        if let Item::Changed { update } = item
            && update.deactivates()
            && !update.record.is_partial
        {
            let record = Record::inactive(&update.known, update.record.place.clone());
            self.endings.push(Update { known: update.known.clone(), record });
        }
        let mut change = Change::new(about(record.kind), act, Standing::Failed, &place);
        change.name = Some(called(record));
        self.note(change.failed(message));
    }

    /// Writes of those who were refused that they are inactive, where they are.
    pub(super) async fn endings(&mut self) -> Result<(), ServiceError> {
        let endings = std::mem::take(&mut self.endings);
        let endings = endings.into_iter().map(|update| Item::Changed { update: Box::new(update) });
        self.items(endings.collect()).await
    }
}
