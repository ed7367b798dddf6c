//! Columns whose texts are sealed with the secret key of the installation, for whoever seals them again
//! under another one. Which columns there are is a table; their names come from nowhere else.

use diesel::Queryable;
use diesel::sql_types::Text;
use serde_json::Value;

use super::StoreError;
use super::sql::{Bind, Tx};

/// A column of the primary key.
#[derive(Clone, Copy, Debug)]
pub enum KeyColumn {
    Number(&'static str),
    Text(&'static str),
}

impl KeyColumn {
    fn name(self) -> &'static str {
        match self {
            Self::Number(name) | Self::Text(name) => name,
        }
    }
}

/// A column of sealed texts.
#[derive(Debug)]
pub struct SealedColumn {
    /// In words.
    pub what: &'static str,
    /// Whether it is one of the request records, which may be in a file of their own.
    pub is_record: bool,
    table: &'static str,
    column: &'static str,
    key: &'static [KeyColumn],
    /// The purpose that its texts are sealed for.
    pub purpose: &'static str,
    /// What they are sealed with, by parts: names of columns of the key, `directory` for the id of the
    /// directory of that row.
    pub context: &'static [&'static str],
    /// What stands between the parts.
    pub between: &'static str,
    /// Texts that are read at a time, by how long they are.
    pub page: i64,
}

use KeyColumn::{Number, Text as Words};

const ROWS: i64 = 200;

/// Every column that holds sealed texts.
pub const SEALED_COLUMNS: [SealedColumn; 14] = [
    SealedColumn {
        what: "webhook secrets",
        is_record: false,
        table: "webhook_endpoint",
        column: "secret",
        key: &[Words("id")],
        purpose: "webhook",
        context: &["id"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "webhook secrets that end",
        is_record: false,
        table: "webhook_endpoint",
        column: "previous_secret",
        key: &[Words("id")],
        purpose: "webhook",
        context: &["id"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "attempts of deliveries",
        is_record: false,
        table: "webhook_attempt",
        column: "detail",
        key: &[Words("endpoint_id"), Words("id")],
        purpose: "webhook",
        context: &["endpoint_id", "id"],
        between: "\0",
        page: ROWS,
    },
    SealedColumn {
        what: "headers of streams",
        is_record: false,
        table: "ssf_stream",
        column: "authorization_header",
        key: &[Words("id")],
        purpose: "stream",
        context: &["id"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "refusals of tokens",
        is_record: false,
        table: "ssf_stream",
        column: "last_refusal",
        key: &[Words("id")],
        purpose: "stream",
        context: &["id"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "signing keys",
        is_record: false,
        table: "signing_key",
        column: "private",
        key: &[Words("id")],
        purpose: "signing key",
        context: &["id"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "configurations of sources",
        is_record: false,
        table: "sync_directory",
        column: "config",
        key: &[Number("directory_key")],
        purpose: "source of a directory",
        context: &["directory"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "cursors of sources",
        is_record: false,
        table: "sync_directory",
        column: "cursor",
        key: &[Number("directory_key")],
        purpose: "source of a directory",
        context: &["directory"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "what sources have",
        is_record: false,
        table: "sync_directory",
        column: "found",
        key: &[Number("directory_key")],
        purpose: "source of a directory",
        context: &["directory"],
        between: "",
        page: 20,
    },
    SealedColumn {
        what: "changes of runs",
        is_record: false,
        table: "sync_change",
        column: "data",
        key: &[Number("directory_key"), Words("run_id"), Number("number")],
        purpose: "source of a directory",
        context: &["run_id"],
        between: "",
        page: ROWS,
    },
    SealedColumn {
        what: "files of sources",
        is_record: false,
        table: "sync_file",
        column: "data",
        key: &[Number("directory_key"), Words("name"), Number("part")],
        purpose: "source of a directory",
        context: &["directory", "name", "part"],
        between: "/",
        page: 4,
    },
    SealedColumn {
        what: "asynchronous requests",
        is_record: false,
        table: "async_request",
        column: "body",
        key: &[Number("directory_key"), Words("id")],
        purpose: "asynchronous request",
        context: &["directory_key", "id"],
        between: " ",
        page: 20,
    },
    SealedColumn {
        what: "answers to idempotent requests",
        is_record: false,
        table: "idempotent_request",
        column: "answer",
        key: &[Words("api_key_id"), Words("key")],
        purpose: "idempotent answer",
        context: &["api_key_id", "key"],
        between: "\0",
        page: ROWS,
    },
    SealedColumn {
        what: "request records",
        is_record: true,
        table: "request_record",
        column: "sealed",
        key: &[Number("directory_key"), Words("id")],
        purpose: "request record",
        context: &["directory", "id"],
        between: " ",
        page: ROWS,
    },
];

/// A sealed text and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SealedRow {
    /// JSON array: the values of the key.
    pub place: String,
    pub text: String,
}

impl SealedRow {
    fn values(&self) -> Vec<Value> {
        serde_json::from_str(&self.place).unwrap_or_default()
    }

    /// A value of the key as text; of `directory` the number that the table has.
    pub fn part(&self, column: &SealedColumn, name: &str) -> Option<String> {
        let name = if name == "directory" { "directory_key" } else { name };
        let index = column.key.iter().position(|key| key.name() == name)?;
        match self.values().get(index)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn binds(&self, column: &SealedColumn) -> Vec<Bind<'static>> {
        let values = self.values();
        let bind = |(value, key): (&Value, &KeyColumn)| match key {
            Number(_) => Bind::Int(value.as_i64().unwrap_or_default()),
            Words(_) => Bind::Owned(value.as_str().unwrap_or_default().to_owned()),
        };
        values.iter().zip(column.key).map(bind).collect()
    }
}

impl Tx<'_> {
    /// Texts that do not begin with that prefix, in the order of the key.
    pub fn sealed_page(
        &mut self,
        column: &SealedColumn,
        after: Option<&SealedRow>,
        prefix: &str,
    ) -> Result<Vec<SealedRow>, StoreError> {
        let keys: Vec<&str> = column.key.iter().map(|key| key.name()).collect();
        let keys = keys.join(", ");
        let place = match self.dialect.pick("json", "jsonb") {
            "json" => format!("json_array({keys})"),
            _ => format!("CAST(jsonb_build_array({keys}) AS TEXT)"),
        };
        let (name, table) = (column.column, column.table);
        let length = i64::try_from(prefix.len()).unwrap_or(0);
        let mut binds = vec![Bind::Int(length), Bind::Text(prefix)];
        let beyond = match after {
            None => String::new(),
            Some(row) => {
                let places = vec!["?"; column.key.len()].join(", ");
                binds.extend(row.binds(column));
                format!("AND ({keys}) > ({places}) ")
            }
        };
        binds.push(Bind::Int(column.page));
        let text = format!(
            "SELECT {place}, {name} FROM {table} WHERE {name} IS NOT NULL \
             AND substr({name}, 1, CAST(? AS INTEGER)) <> ? {beyond}ORDER BY {keys} LIMIT ?"
        );
        self.rows::<(Text, Text), _>(&text, &binds)
    }

    /// Puts a text in the place of the one that was read; false when somebody else has changed it.
    pub fn sealed_replace(
        &mut self,
        column: &SealedColumn,
        row: &SealedRow,
        text: &str,
    ) -> Result<bool, StoreError> {
        let places: Vec<String> =
            column.key.iter().map(|key| format!("{} = ?", key.name())).collect();
        let (name, table) = (column.column, column.table);
        let statement =
            format!("UPDATE {table} SET {name} = ? WHERE {} AND {name} = ?", places.join(" AND "));
        let mut binds = vec![Bind::Text(text)];
        binds.extend(row.binds(column));
        binds.push(Bind::Text(&row.text));
        Ok(self.execute(&statement, &binds)? == 1)
    }
}
