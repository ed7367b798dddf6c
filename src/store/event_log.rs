//! The event log as readers see it: events with a position, oldest or newest first.
//!
//! Positions are given by [`super::sequencer`]. A reader that goes on behind the last position it has
//! seen misses nothing and sees nothing twice.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::StoreError;
use super::dialect::Dialect;
use super::event::StoredData;
use super::resource::key_list;
use super::sequencer::IS_IN_GAP;
use super::sql::{Bind, Tx};
use crate::event::name;

/// The setting that says up to which position events were removed because of their age.
const PRUNED: &str = "events_pruned";

/// An event that readers see.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct LogRow {
    /// Rises by the order in which readers see events.
    pub position: i64,
    pub key: i64,
    pub id: String,
    pub event: String,
    /// The `data` member as compact JSON.
    #[diesel(deserialize_as = StoredData)]
    pub data: String,
    pub created: i64,
    pub reason: Option<String>,
}

/// What a filter looks at.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct LogHead {
    pub position: i64,
    pub id: String,
    pub event: String,
    pub created: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// A stretch of the log, without the position itself.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub order: Order,
    /// Events with a greater position, where the order is oldest first; else with a smaller one.
    pub beyond: i64,
    /// Only of these directories.
    pub directories: Option<Vec<i64>>,
    /// Only about the user, group or other thing with this id.
    pub subject: Option<String>,
    pub limit: i64,
}

/// A part of a stretch.
#[derive(Clone, Debug)]
pub struct LogPart {
    pub rows: Vec<LogRow>,
    /// True when there may be more behind the last row: the part has as many rows or bytes as it may.
    pub full: bool,
}

/// Bytes of data in a part. One event is a part, however large it is.
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// Events read in one statement.
const PIECE: usize = 50;

/// A part that is being read.
struct Reading {
    rows: Vec<LogRow>,
    bytes: usize,
    most: usize,
}

impl Reading {
    fn of(most: usize) -> Self {
        Self { rows: Vec::new(), bytes: 0, most }
    }

    /// Adds what has room. False when something had none.
    fn add(&mut self, found: Vec<LogRow>) -> bool {
        for row in found {
            self.bytes = self.bytes.saturating_add(row.data.len());
            if self.bytes > self.most && !self.rows.is_empty() {
                return false;
            }
            self.rows.push(row);
        }
        true
    }

    fn part(self, full: bool) -> LogPart {
        LogPart { rows: self.rows, full }
    }
}

type RowSql = (BigInt, BigInt, Text, Text, Binary, BigInt, Nullable<Text>);

const ROW: &str = "SELECT p.position, e.key, e.id, e.event, e.data, e.created, e.reason";
/// The event of a row `p` of positions.
const IS_EVENT: &str = "e.key = p.event_key AND e.directory_key = p.directory_key";
const HEAD: &str = "SELECT p.position, e.id, e.event, e.created";

impl Stretch {
    /// Events behind a position, oldest first, of these directories alone where some are named.
    pub fn behind(beyond: i64, directories: Option<Vec<i64>>, limit: i64) -> Self {
        Self { order: Order::OldestFirst, beyond, directories, subject: None, limit }
    }

    /// The statement that reads these columns of the stretch, and its values.
    fn sql(&self, tx: &Tx<'_>, columns: &str) -> (String, Vec<Bind<'static>>) {
        let (than, order) = match self.order {
            Order::OldestFirst => (">", "ASC"),
            Order::NewestFirst => ("<", "DESC"),
        };
        let (places, binds) = match tx.dialect {
            Dialect::Sqlite => self.places_by_key(than, order),
            Dialect::Postgres => self.places(than, order),
        };
        let events = tx.dialect.each("event", "e", IS_EVENT);
        (format!("{columns} FROM ({places}) p {events} ORDER BY p.position {order}"), binds)
    }

    /// Position, directory and key of the events on SQLite, where the key is the position.
    fn places_by_key(&self, than: &str, order: &str) -> (String, Vec<Bind<'static>>) {
        // Left to itself, SQLite looks at every event.
        let index = match (&self.subject, &self.directories) {
            (None, None) => "",
            (Some(_), _) => "INDEXED BY event_resource",
            (None, Some(_)) => "INDEXED BY event_directory",
        };
        let (mut conditions, mut binds) = (String::new(), Vec::new());
        if let Some(id) = &self.subject {
            conditions += "n.resource_id = ? AND ";
            binds.push(Bind::Owned(id.clone()));
        }
        if let Some(keys) = &self.directories {
            conditions += "n.directory_key IN (SELECT value FROM json_each(?)) AND ";
            binds.push(Bind::Owned(key_list(keys)));
        }
        binds.extend([Bind::Int(self.beyond), Bind::Int(self.limit)]);
        let places = format!(
            "SELECT n.key AS position, n.directory_key, n.key AS event_key FROM event n {index} \
             WHERE {conditions} n.key {than} ? ORDER BY n.key {order} LIMIT ?"
        );
        (places, binds)
    }

    /// The same on PostgreSQL. From each directory no more than are wanted of all: its index is read from
    /// the place on. Of what has happened to a subject all is looked at.
    fn places(&self, than: &str, order: &str) -> (String, Vec<Bind<'static>>) {
        let dialect = Dialect::Postgres;
        let (columns, end) = ("n.position, n.directory_key, n.event_key", "LIMIT ?");
        let (beyond, limit) = (Bind::Int(self.beyond), Bind::Int(self.limit));
        let order = format!("ORDER BY n.position {order}");
        let stretch = format!("n.position {than} ?");
        let keys = self.directories.as_deref().map(|keys| Bind::Owned(key_list(keys)));
        match (&self.subject, keys) {
            (None, None) => {
                let places =
                    format!("SELECT {columns} FROM event_position n WHERE {stretch} {order} {end}");
                (places, vec![beyond, limit])
            }
            (None, Some(keys)) => {
                let places = format!(
                    "SELECT {columns} FROM {} CROSS JOIN LATERAL (SELECT {columns} \
                     FROM event_position n WHERE n.directory_key = j.value AND {stretch} \
                     {order} {end}) n {order} {end}",
                    dialect.keys()
                );
                (places, vec![keys, beyond, limit.clone(), limit])
            }
            (Some(id), keys) => {
                let positions = dialect.each(
                    "event_position",
                    "n",
                    "n.directory_key = s.directory_key AND n.event_key = s.key",
                );
                let among = match keys {
                    None => String::new(),
                    Some(_) => {
                        format!("AND s.directory_key IN (SELECT j.value FROM {})", dialect.keys())
                    }
                };
                let places = format!(
                    "SELECT {columns} FROM event s {positions} WHERE s.resource_id = ? \
                     AND {stretch} {among} {order} {end}"
                );
                let mut binds = vec![Bind::Owned(id.clone()), beyond];
                binds.extend(keys);
                binds.push(limit);
                (places, binds)
            }
        }
    }
}

impl Tx<'_> {
    /// The events of a stretch, as many as go into one part.
    pub fn log_rows(&mut self, stretch: &Stretch) -> Result<LogPart, StoreError> {
        let mut reading = Reading::of(PART_BYTES);
        let mut piece = stretch.clone();
        let most = i64::try_from(PIECE).unwrap_or(i64::MAX);
        let mut left = stretch.limit;
        while left > 0 {
            piece.limit = left.min(most);
            let (text, binds) = piece.sql(self, ROW);
            let found = self.rows::<RowSql, LogRow>(&text, &binds)?;
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            piece.beyond = found.last().map_or(piece.beyond, |row| row.position);
            if !reading.add(found) {
                break;
            }
            if count < piece.limit {
                return Ok(reading.part(false));
            }
            left -= count;
        }
        Ok(reading.part(true))
    }

    /// The same without what makes events large.
    pub fn log_heads(&mut self, stretch: &Stretch) -> Result<Vec<LogHead>, StoreError> {
        let (text, binds) = stretch.sql(self, HEAD);
        self.rows::<(BigInt, Text, Text, BigInt), _>(&text, &binds)
    }

    /// The events at these positions, which stand in that order, as many as go into a part of so many
    /// bytes.
    pub fn log_at(
        &mut self,
        positions: &[i64],
        order: Order,
        bytes: usize,
    ) -> Result<LogPart, StoreError> {
        let mut reading = Reading::of(bytes);
        for piece in positions.chunks(PIECE) {
            let mut found = self.log_piece(piece)?;
            if order == Order::NewestFirst {
                found.reverse();
            }
            if !reading.add(found) {
                return Ok(reading.part(true));
            }
        }
        Ok(reading.part(false))
    }

    /// The events at these positions, oldest first.
    fn log_piece(&mut self, positions: &[i64]) -> Result<Vec<LogRow>, StoreError> {
        let places = self.dialect.each("event_position", "p", "p.position = j.value");
        let events = self.dialect.each("event", "e", IS_EVENT);
        let text =
            format!("{ROW} FROM {} {places} {events} ORDER BY p.position", self.dialect.keys());
        self.rows::<RowSql, _>(&text, &[Bind::Owned(key_list(positions))])
    }

    /// The last position that was given; zero before the first event.
    pub fn log_position(&mut self) -> Result<i64, StoreError> {
        let position = self.row::<BigInt, i64>("SELECT position FROM event_sequencer", &[])?;
        Ok(position.unwrap_or(0))
    }

    /// Up to which position events were removed because of their age.
    pub fn log_pruned(&mut self) -> Result<i64, StoreError> {
        Ok(self.setting_get(PRUNED)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// The position of an event and the directory that it belongs to.
    pub fn log_find(&mut self, id: &str) -> Result<Option<(i64, i64)>, StoreError> {
        self.row::<(BigInt, BigInt), (i64, i64)>(
            "SELECT p.position, e.directory_key FROM event e JOIN event_position p \
             ON p.directory_key = e.directory_key AND p.event_key = e.key WHERE e.id = ?",
            &[Bind::Text(id)],
        )
    }

    /// The position of the newest event whose id sorts before `id`; ids sort by time.
    pub fn log_before_id(&mut self, id: &str) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT p.position FROM event e JOIN event_position p \
             ON p.directory_key = e.directory_key AND p.event_key = e.key \
             WHERE e.id < ? ORDER BY e.id DESC LIMIT 1",
            &[Bind::Text(id)],
        )
    }

    /// The position of the oldest event whose id does not sort before `id`.
    pub fn log_from_id(&mut self, id: &str) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT p.position FROM event e JOIN event_position p \
             ON p.directory_key = e.directory_key AND p.event_key = e.key \
             WHERE e.id >= ? ORDER BY e.id LIMIT 1",
            &[Bind::Text(id)],
        )
    }

    /// Directories of these organizations, also those that are gone and whose events are kept.
    pub fn log_directories(&mut self, organizations: &[String]) -> Result<Vec<i64>, StoreError> {
        let (dialect, ids_listed) = (self.dialect, self.dialect.texts());
        let organization = dialect.each("organization", "o", "o.id = j.value");
        let directories = dialect.each("directory", "d", "d.organization_key = o.key");
        let past = dialect.each("directory_past", "p", "p.organization_id = j.value");
        let ids = serde_json::to_string(organizations).unwrap_or_default();
        self.rows::<BigInt, i64>(
            &format!(
                "SELECT d.key FROM {ids_listed} {organization} {directories} \
                 UNION SELECT p.directory_key FROM {ids_listed} {past}"
            ),
            &[Bind::Text(&ids), Bind::Text(&ids)],
        )
    }

    /// Keys of events of a directory that this snapshot shows and that have no position in it.
    pub fn log_waiting(&mut self, directory_key: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(Vec::new());
        }
        let late = self.dialect.each("event", "e", IS_IN_GAP);
        let text = format!(
            "SELECT e.key FROM event e WHERE e.directory_key = ? \
             AND e.key > (SELECT key FROM event_sequencer) UNION \
             SELECT e.key FROM event_sequencer s CROSS JOIN \
             jsonb_array_elements(CAST(s.gaps AS jsonb)) g (gap) {late} WHERE e.directory_key = ? \
             ORDER BY key LIMIT ?"
        );
        let directory = Bind::Int(directory_key);
        self.rows::<BigInt, i64>(&text, &[directory.clone(), directory, Bind::Int(limit)])
    }

    /// The events of these keys, without positions.
    pub fn log_waiting_rows(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<LogRow>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let events = self.dialect.each("event", "e", "e.key = j.value AND e.directory_key = ?");
        self.rows::<RowSql, _>(
            &format!(
                "SELECT CAST(0 AS BIGINT), e.key, e.id, e.event, e.data, e.created, e.reason \
                 FROM {} {events} ORDER BY e.key",
                self.dialect.keys()
            ),
            &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)],
        )
    }

    /// The positions of events of a directory by their keys; those that have none are missing.
    pub fn log_positions(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let places = self.dialect.each(
            "event_position",
            "p",
            "p.event_key = j.value AND p.directory_key = ?",
        );
        self.rows::<BigInt, i64>(
            &format!("SELECT p.position FROM {} {places}", self.dialect.keys()),
            &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)],
        )
    }

    /// Whether there is something to remove for [`Tx::log_prune`] or [`Tx::log_forget`].
    pub fn log_prunable(&mut self, until: i64) -> Result<bool, StoreError> {
        let stretch = Stretch::behind(0, None, 1);
        let last = self.log_position()?;
        let oldest = self.log_heads(&stretch)?.pop();
        let is_old = oldest.is_some_and(|head| head.created < until && head.position < last);
        Ok(is_old || self.log_ownerless()?.is_some())
    }

    /// A directory that is gone, whose organization is gone as well, and of which something can go:
    /// events that are neither the newest one nor tell of its end, or, without any event, its own row.
    fn log_ownerless(&mut self) -> Result<Option<i64>, StoreError> {
        // While events wait for their positions nobody can tell that a directory has none.
        self.row::<BigInt, i64>(
            "SELECT p.directory_key FROM directory_past p WHERE NOT EXISTS \
             (SELECT 1 FROM organization o WHERE o.id = p.organization_id) AND (EXISTS \
             (SELECT 1 FROM event_position n JOIN event e ON e.key = n.event_key \
             AND e.directory_key = n.directory_key WHERE n.directory_key = p.directory_key \
             AND e.event <> 'dsync.deleted' AND n.position < (SELECT position FROM event_sequencer)) \
             OR (NOT EXISTS (SELECT 1 FROM event_position n WHERE n.directory_key = p.directory_key) \
             AND EXISTS (SELECT 1 FROM event_sequencer s WHERE s.gaps = '[]' AND NOT EXISTS \
             (SELECT 1 FROM event e WHERE e.key > s.key)))) LIMIT 1",
            &[],
        )
    }

    /// Removes the oldest events that were made before `until`, at most `limit`, never the newest one,
    /// and nothing behind one that stays. Answers how many.
    pub fn log_prune(&mut self, until: i64, limit: i64) -> Result<usize, StoreError> {
        let last = self.log_position()?;
        let stretch = Stretch::behind(0, None, limit);
        let heads = self.log_heads(&stretch)?;
        let old = heads.iter().take_while(|head| head.created < until && head.position < last);
        let Some(through) = old.map(|head| head.position).last() else { return Ok(0) };
        let removed = self.log_remove(
            "SELECT event_key FROM event_position WHERE position <= ?",
            "DELETE FROM event_position WHERE position <= ?",
            &[Bind::Int(through)],
        )?;
        // Another process may prune at the same time, and be further.
        self.setting_raise(PRUNED, through)?;
        Ok(removed)
    }

    /// Removes up to `limit` events of a directory that is gone, whose organization is gone as well; the
    /// one that tells of its end stays until it is old. What is known of a directory goes with its last
    /// event. Answers how many rows went.
    pub fn log_forget(&mut self, limit: i64) -> Result<usize, StoreError> {
        let Some(directory_key) = self.log_ownerless()? else { return Ok(0) };
        let stretch = Stretch::behind(0, Some(vec![directory_key]), limit);
        let last = self.log_position()?;
        let heads = self.log_heads(&stretch)?;
        if heads.is_empty() {
            return self.execute(
                "DELETE FROM directory_past WHERE directory_key = ?",
                &[Bind::Int(directory_key)],
            );
        }
        // The newest event says where the log ends; it goes when there is a newer one.
        let goes = |head: &&LogHead| head.position < last && head.event != name::DELETED;
        let positions: Vec<i64> = heads.iter().filter(goes).map(|head| head.position).collect();
        let keys = self.dialect.keys();
        let places = self.dialect.each("event_position", "p", "p.position = j.value");
        self.log_remove(
            &format!("SELECT p.event_key FROM {keys} {places}"),
            &format!("DELETE FROM event_position WHERE position IN (SELECT j.value FROM {keys})"),
            &[Bind::Owned(key_list(&positions))],
        )
    }

    /// Removes events, and their positions where these are rows of their own.
    fn log_remove(
        &mut self,
        keys: &str,
        positions: &str,
        binds: &[Bind<'_>],
    ) -> Result<usize, StoreError> {
        let removed = self.execute(&format!("DELETE FROM event WHERE key IN ({keys})"), binds)?;
        if self.dialect == Dialect::Postgres {
            self.execute(positions, binds)?;
        }
        Ok(removed)
    }

    /// Notes whose the events of a directory are, before its row goes.
    pub fn directory_past_insert(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO directory_past (directory_key, organization_id, directory_id) \
             SELECT d.key, o.id, d.id FROM directory d JOIN organization o ON o.key = d.organization_key WHERE d.key = ? \
             ON CONFLICT DO NOTHING",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// The key of a directory that is gone, and whose it was.
    pub fn directory_past_get(&mut self, id: &str) -> Result<Option<(i64, String)>, StoreError> {
        self.row::<(BigInt, Text), _>(
            "SELECT directory_key, organization_id FROM directory_past WHERE directory_id = ?",
            &[Bind::Text(id)],
        )
    }
}
