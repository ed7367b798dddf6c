//! The event log: written in the unit of the change that it reports.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Insert, Tx};
use crate::event::Reason;

/// An event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub id: String,
    /// `dsync.user.created`, …
    pub event: &'static str,
    pub resource_id: String,
    /// The `data` member as compact JSON.
    pub data: String,
    /// Why access was taken away, on events that do so.
    pub reason: Option<Reason>,
    pub created: i64,
}

/// What an undo has to know of an event that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undoable {
    /// What the app was told of the resource before; `None` when it knew nothing of it.
    pub before: Option<String>,
    /// The user of an event of a membership.
    pub member: Option<String>,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct EventRow {
    pub key: i64,
    pub id: String,
    pub event: String,
    pub resource_id: String,
    pub data: String,
    pub created: i64,
    pub reason: Option<String>,
}

impl Tx<'_> {
    /// Appends the event. The key is taken by this statement, while the unit already holds the lock
    /// of the resource, so the keys of one resource rise in the order of its changes. Before it the
    /// unit has locked or written a row: on PostgreSQL it must have a transaction id when it draws a
    /// key, see [`super::sequencer`].
    ///
    /// While events of the directory wait, it is put behind them.
    pub fn event_append(&mut self, directory_key: i64, new: &NewEvent) -> Result<(), StoreError> {
        match self.holds(directory_key) {
            true => self.event_hold(directory_key, new, &Undoable::default()),
            false => self.event_write(directory_key, new),
        }
    }

    /// Appends the event ahead of those that wait, as [`Tx::event_append`] does where none wait.
    pub fn event_write(&mut self, directory_key: i64, new: &NewEvent) -> Result<(), StoreError> {
        self.events_write(directory_key, std::iter::once(new))
    }

    /// The same for several events, in their order.
    pub fn events_write<'e>(
        &mut self,
        directory_key: i64,
        new: impl Iterator<Item = &'e NewEvent>,
    ) -> Result<(), StoreError> {
        let insert = Insert {
            into: "INSERT INTO event (directory_key, id, event, resource_id, data, created, reason)",
            row: "(?, ?, ?, ?, ?, ?, ?)",
            then: "",
        };
        let binds = new.flat_map(|new| {
            [
                Bind::Int(directory_key),
                Bind::Text(&new.id),
                Bind::Text(new.event),
                Bind::Text(&new.resource_id),
                Bind::Text(&new.data),
                Bind::Int(new.created),
                Bind::OptText(new.reason.map(Reason::as_str)),
            ]
        });
        self.insert(insert, &binds.collect::<Vec<_>>())
    }

    /// Events of a directory by key, oldest first.
    pub fn event_list(
        &mut self,
        directory_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.rows::<(BigInt, Text, Text, Text, Text, BigInt, Nullable<Text>), _>(
            "SELECT key, id, event, resource_id, data, created, reason FROM event \
             WHERE directory_key = ? AND key > ? ORDER BY key LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(after_key), Bind::Int(limit)],
        )
    }
}
