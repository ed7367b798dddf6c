//! Accounts that are written before everything is read. Only who is new is: nothing goes by what a part of a
//! source lists, and who is new needs nothing but themselves and their manager.

use std::sync::Arc;

use super::{Kind, Known, Record, Source};

impl Source {
    /// Sends new accounts ahead, from a place on; what stays of them is that they were listed. Who has to wait
    /// stays whole: whose manager has not been sent before, and who is named after something else.
    pub fn send_ahead(&mut self, from: usize, mut id: impl FnMut() -> Arc<str>) -> Vec<Record> {
        let mut sent = Vec::with_capacity(self.records.len().saturating_sub(from));
        for place in from..self.records.len() {
            let manager_id = match self.records.get(place).map(|record| self.manager_of(record)) {
                Some(Some(manager_id)) => manager_id,
                Some(None) => continue,
                None => break,
            };
            if let Some(listed) = self.records.get_mut(place) {
                listed.id = Some(id());
                self.bytes = self.bytes.saturating_sub(listed.bytes());
                let attributes = listed.attributes.take();
                let place = std::mem::take(&mut listed.place);
                sent.push(Record { attributes, place, manager_id, ..listed.clone() });
            }
        }
        sent
    }

    /// The id of the manager of somebody who can be sent, if there is one; `None` for others.
    fn manager_of(&self, record: &Record) -> Option<Option<Arc<str>>> {
        let is_whole = record.kind == Kind::Account
            && record.attributes.is_some()
            && record.usual_name.is_none()
            && record.id.is_none();
        match &record.manager {
            _ if !is_whole => None,
            None => Some(None),
            Some(manager) => Some(Some(self.get(Kind::Account, manager)?.id.clone()?)),
        }
    }

    /// Takes back who could not be written, unless something else was read of them since.
    pub fn take_back(&mut self, record: Record) {
        let place = self.by_id.get(record.kind, &record.source_id);
        let listed = place.and_then(|place| self.records.get_mut(place));
        if let Some(listed) = listed.filter(|listed| listed.is_ahead()) {
            *listed = Record { manager_id: None, ..record };
        }
    }

    /// Of how many nothing else was read since they were sent ahead.
    pub fn ahead(&self) -> usize {
        self.records.iter().filter(|record| record.is_ahead()).count()
    }
}

impl Record {
    /// Somebody who was sent ahead, as stored now.
    pub fn stored_as(self, key: i64) -> Option<Known> {
        let Self { kind, source_id, name, active, id, .. } = self;
        let id = id?.as_ref().to_owned();
        Some(Known { key, id, kind, source_id, name, active, version: 1, digest: None })
    }

    pub(super) fn is_ahead(&self) -> bool {
        self.id.is_some() && self.attributes.is_none()
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
