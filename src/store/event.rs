//! The event log: written in the unit of the change that it reports.

use std::borrow::Cow;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow, Queryable};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::StoreError;
use super::dialect::Dialect;
use super::packed::{Unreadable, pack, unpack};
use super::sql::{Bind, Insert, Tx};
use crate::event::Reason;

/// How a database keeps the data of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm {
    /// On PostgreSQL.
    Text,
    /// On SQLite, see [`super::packed`].
    Packed,
}

impl EventForm {
    /// Data in this form. One thread writes, and whoever makes it on another one spares that one the work.
    pub fn data(self, text: String) -> EventData {
        let packed = (self == Self::Packed).then(|| pack(&text));
        EventData { text, packed }
    }
}

/// The `data` member of an event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventData {
    /// Compact JSON.
    text: String,
    /// Made when the event is written, where it is not there and is needed.
    packed: Option<Vec<u8>>,
}

impl From<String> for EventData {
    fn from(text: String) -> Self {
        Self { text, packed: None }
    }
}

impl EventData {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn packed(&self) -> Cow<'_, [u8]> {
        self.packed.as_deref().map_or_else(|| Cow::Owned(pack(&self.text)), Cow::Borrowed)
    }
}

/// An event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub id: String,
    /// `dsync.user.created`, …
    pub event: &'static str,
    pub resource_id: String,
    /// The user of an event of a membership.
    pub member_id: Option<String>,
    pub data: EventData,
    /// Why access was taken away, on events that do so.
    pub reason: Option<Reason>,
    pub created: i64,
}

/// The `data` member as it is stored: the bytes of the text on PostgreSQL, packed on SQLite.
#[derive(Debug, FromSqlRow)]
pub struct StoredData(Vec<u8>);

impl<DB: Backend> FromSql<Binary, DB> for StoredData
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Vec::from_sql(bytes).map(Self)
    }
}

impl TryFrom<StoredData> for String {
    type Error = Unreadable;

    fn try_from(stored: StoredData) -> Result<Self, Unreadable> {
        unpack(stored.0)
    }
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct EventRow {
    pub key: i64,
    pub id: String,
    pub event: String,
    pub resource_id: String,
    #[diesel(deserialize_as = StoredData)]
    pub data: String,
    pub created: i64,
    pub reason: Option<String>,
}

/// PostgreSQL finds the user of a membership in the text.
const PLAIN: Insert<'_> = Insert {
    into: "INSERT INTO event (directory_key, id, event, resource_id, created, reason, data)",
    row: "(?, ?, ?, ?, ?, ?, ?)",
    then: "",
};

/// SQLite copies each page before a statement of several rows changes it, to undo the statement alone. With
/// FAIL it need not: an error ends the unit or its part, which is undone as a whole.
const PACKED: Insert<'_> = Insert {
    into: "INSERT OR FAIL INTO event (directory_key, id, event, resource_id, created, reason, data, \
           member_id)",
    row: "(?, ?, ?, ?, ?, ?, ?, ?)",
    then: "",
};

impl Tx<'_> {
    /// How the data of events is kept here.
    pub fn event_form(&self) -> EventForm {
        match self.dialect {
            Dialect::Sqlite => EventForm::Packed,
            Dialect::Postgres => EventForm::Text,
        }
    }

    /// Appends the event. The key is taken by this statement, while the unit already holds the lock
    /// of the resource, so the keys of one resource rise in the order of its changes. Before it the
    /// unit has locked or written a row: on PostgreSQL it must have a transaction id when it draws a
    /// key, see [`super::sequencer`].
    ///
    /// While events of the directory wait, it is put behind them.
    pub fn event_append(&mut self, directory_key: i64, new: &NewEvent) -> Result<(), StoreError> {
        match self.holds(directory_key) {
            true => self.event_hold(directory_key, new, None),
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
        let form = self.event_form();
        let insert = match form {
            EventForm::Text => PLAIN,
            EventForm::Packed => PACKED,
        };
        let binds = new.flat_map(|new| {
            let common = [
                Bind::Int(directory_key),
                Bind::Text(&new.id),
                Bind::Text(new.event),
                Bind::Text(&new.resource_id),
                Bind::Int(new.created),
                Bind::OptText(new.reason.map(Reason::as_str)),
            ];
            let (data, member) = match form {
                EventForm::Text => (Bind::Text(new.data.text()), None),
                EventForm::Packed => {
                    let member = Bind::OptText(new.member_id.as_deref());
                    (Bind::Bytes(new.data.packed()), Some(member))
                }
            };
            common.into_iter().chain([data]).chain(member)
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
        self.rows::<(BigInt, Text, Text, Text, Binary, BigInt, Nullable<Text>), _>(
            "SELECT key, id, event, resource_id, data, created, reason FROM event \
             WHERE directory_key = ? AND key > ? ORDER BY key LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(after_key), Bind::Int(limit)],
        )
    }
}
