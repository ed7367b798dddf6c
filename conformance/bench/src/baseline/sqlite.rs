//! Creates on a bare SQLite file: a transaction for each, or for several together.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::types::Value;
use rusqlite::{Connection, Statement};

use super::packed::{pack, unpack};
use super::template::{CREATED, Piece, Template, select};
use super::{SQLITE, statements};
use crate::people::spread;

/// A database that a server has made, with the connection settings of its writer.
pub(crate) struct Bare {
    conn: Connection,
    template: Template,
    /// Users that were made have numbers below.
    next: u64,
}

/// What a place of a statement is filled with.
enum Filling {
    Fixed(Value),
    Text(Vec<Piece>),
    /// As the server packs it.
    Packed(Vec<Piece>),
    Id(&'static str),
    /// The key that the database gave to the row.
    Key,
}

struct Prepared<'c> {
    statement: Statement<'c>,
    fillings: Vec<Filling>,
    gives_key: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` wants it")]
fn words(error: rusqlite::Error) -> String {
    format!("the bare database: {error}")
}

impl Bare {
    /// Opens the file in which a server has created the template's user.
    pub(crate) fn open(file: &Path, user_name: &str) -> Result<Self, String> {
        let conn = Connection::open(file).map_err(words)?;
        conn.execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -32768;",
        )
        .map_err(words)?;
        let text = select("json_object", "json_array", "json_group_array", "NULL") + "?";
        let json: String = conn.query_row(&text, [user_name], |row| row.get(0)).map_err(words)?;
        let text = format!("SELECT e.data{CREATED}?");
        let data: Vec<u8> = conn.query_row(&text, [user_name], |row| row.get(0)).map_err(words)?;
        let data = unpack(data).map_err(|error| format!("the bare database: {error}"))?;
        let mut template = Template::parse(&json)?;
        template.put("data", data.into());
        // A create is no event of a membership.
        template.put("member_id", serde_json::Value::Null);
        let next = fastrand::u64(1 << 50..1 << 60);
        Ok(Self { conn, template, next })
    }

    /// Creates users for a while, `together` in one transaction; answers how many a second.
    pub(crate) fn creates(&mut self, together: u64, length: Duration) -> Result<f64, String> {
        let mut prepared = self.prepare()?;
        let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let begun = Instant::now();
        let mut created = 0_u32;
        while begun.elapsed() < length {
            self.conn.execute_batch("BEGIN IMMEDIATE").map_err(words)?;
            for _ in 0..together {
                let number = self.next + u64::from(created);
                // Ids rise, as those of a server do.
                let id = format!("01Z{:023}", nanos + u128::from(created));
                create(&mut prepared, number, &id).map_err(words)?;
                created += 1;
            }
            self.conn.execute_batch("COMMIT").map_err(words)?;
        }
        let elapsed = begun.elapsed();
        drop(prepared);
        self.next += u64::from(created);
        Ok(f64::from(created) / elapsed.as_secs_f64())
    }

    fn prepare(&self) -> Result<Vec<Prepared<'_>>, String> {
        let prepare = |text: String| {
            let statement = self.conn.prepare(&text).map_err(words)?;
            let names = (1..=statement.parameter_count()).map(|at| {
                let name = statement.parameter_name(at).unwrap_or_default();
                self.filling(name.trim_start_matches(':'))
            });
            let fillings = names.collect::<Result<_, _>>()?;
            Ok(Prepared { fillings, gives_key: text.contains("RETURNING key"), statement })
        };
        statements(SQLITE).into_iter().map(prepare).collect()
    }

    fn filling(&self, name: &str) -> Result<Filling, String> {
        Ok(match name {
            "id" => Filling::Id("directory_user_"),
            "event_id" => Filling::Id("event_"),
            "key" => Filling::Key,
            _ => match self.template.value(name)? {
                serde_json::Value::Null => Filling::Fixed(Value::Null),
                serde_json::Value::Bool(truth) => Filling::Fixed(Value::from(*truth)),
                serde_json::Value::String(text) => {
                    let pieces = self.template.pieces(text);
                    if name == "data" { Filling::Packed(pieces) } else { Filling::Text(pieces) }
                }
                number => Filling::Fixed(number.as_i64().map_or(Value::Null, Value::from)),
            },
        })
    }
}

fn create(prepared: &mut [Prepared<'_>], number: u64, id: &str) -> rusqlite::Result<()> {
    let (name, decimal) = (format!("{:016x}", spread(number)), number.to_string());
    let text = |pieces: &[Piece]| -> String {
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Name => name.as_str(),
            Piece::Decimal => decimal.as_str(),
        });
        texts.collect()
    };
    let mut key = 0_i64;
    for Prepared { statement, fillings, gives_key } in prepared {
        for (at, filling) in fillings.iter().enumerate() {
            match filling {
                Filling::Fixed(value) => statement.raw_bind_parameter(at + 1, value)?,
                Filling::Key => statement.raw_bind_parameter(at + 1, key)?,
                Filling::Id(prefix) => {
                    statement.raw_bind_parameter(at + 1, format!("{prefix}{id}"))?;
                }
                Filling::Text(pieces) => statement.raw_bind_parameter(at + 1, text(pieces))?,
                Filling::Packed(pieces) => {
                    statement.raw_bind_parameter(at + 1, pack(&text(pieces)))?;
                }
            }
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if *gives_key {
                key = row.get(0)?;
            }
        }
    }
    Ok(())
}
