//! Where accounts and groups stand in a list, by the source's ids.

use std::collections::HashMap;

use super::Kind;

#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    accounts: HashMap<String, usize>,
    groups: HashMap<String, usize>,
}

impl Places {
    pub(super) fn get(&self, kind: Kind, source_id: &str) -> Option<usize> {
        let places = if kind == Kind::Account { &self.accounts } else { &self.groups };
        places.get(source_id).copied()
    }

    fn of_kind(&mut self, kind: Kind) -> &mut HashMap<String, usize> {
        if kind == Kind::Account { &mut self.accounts } else { &mut self.groups }
    }

    pub(super) fn insert(&mut self, kind: Kind, source_id: String, place: usize) {
        self.of_kind(kind).insert(source_id, place);
    }

    /// Where one stands already, or else `place` from now on.
    pub(super) fn get_or_insert(&mut self, kind: Kind, source_id: &str, place: usize) -> usize {
        *self.of_kind(kind).entry(source_id.to_owned()).or_insert(place)
    }

    pub(super) fn remove(&mut self, kind: Kind, source_id: &str) -> Option<usize> {
        self.of_kind(kind).remove(source_id)
    }
}
