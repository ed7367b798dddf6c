//! Whether a database is sound: the file, the tables, what refers to what, and what is counted.
//!
//! Rows are read in one state, also while a server writes; the file and the tables' version are looked
//! at before that. What is found is a sentence that says where; a part that cannot be read says why.
//! Directories that are being deleted are left out: their rows go step by step.

use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use super::conn::AnyConn;
use super::dialect::{self, Dialect};
use super::sql::{Bind, Tx};
use super::{Location, StoreError, connect};

/// Findings of one part that are told; there may be more.
const SHOWN: usize = 20;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPart {
    /// `file`, `tables`, `references`, or the rule of [`RULES`].
    pub name: &'static str,
    /// At most [`SHOWN`] sentences; none when it is sound.
    pub findings: Vec<String>,
    /// True when there are more.
    pub more: bool,
}

/// A rule that rows must keep. The statement has the directory's id and what is wrong of each case.
struct Rule {
    name: &'static str,
    text: &'static str,
}

const RULES: [Rule; 9] = [
    Rule {
        name: "counters",
        text: "SELECT d.id, t.resource_type || ': the counters say ' \
             || CAST(SUM(t.told_active) AS TEXT) || ' active and ' \
             || CAST(SUM(t.told_inactive) AS TEXT) || ' inactive resources, there are ' \
             || CAST(SUM(t.active) AS TEXT) || ' and ' || CAST(SUM(t.inactive) AS TEXT) \
             FROM (SELECT directory_key, resource_type, \
             SUM(CASE WHEN active THEN n ELSE 0 END) AS told_active, \
             SUM(CASE WHEN active THEN 0 ELSE n END) AS told_inactive, 0 AS active, 0 AS inactive \
             FROM resource_count GROUP BY directory_key, resource_type \
             UNION ALL SELECT directory_key, resource_type, 0, 0, \
             SUM(CASE WHEN active THEN 1 ELSE 0 END), SUM(CASE WHEN active THEN 0 ELSE 1 END) \
             FROM resource GROUP BY directory_key, resource_type) t \
             LEFT JOIN directory d ON d.key = t.directory_key \
             WHERE d.state IS NULL OR d.state <> 'deleting' \
             GROUP BY t.directory_key, d.id, t.resource_type \
             HAVING SUM(t.told_active) <> SUM(t.active) OR SUM(t.told_inactive) <> SUM(t.inactive) \
             ORDER BY t.directory_key, t.resource_type LIMIT ?",
    },
    // What policies make of the users, as the triggers of the tables count it.
    Rule {
        name: "app counters",
        text: "SELECT d.id, 'what the app sees differs from the users by ' \
             || CAST(SUM(t.active) AS TEXT) || ' active and ' || CAST(SUM(t.inactive) AS TEXT) \
             || ' inactive, the counters say ' || CAST(SUM(t.told_active) AS TEXT) || ' and ' \
             || CAST(SUM(t.told_inactive) AS TEXT) \
             FROM (SELECT directory_key, active AS told_active, inactive AS told_inactive, \
             0 AS active, 0 AS inactive FROM app_count \
             UNION ALL SELECT directory_key, 0, 0, \
             CASE WHEN app_state = 'active' THEN 1 ELSE 0 END - CASE WHEN active THEN 1 ELSE 0 END, \
             CASE WHEN app_state = 'inactive' THEN 1 ELSE 0 END - CASE WHEN active THEN 0 ELSE 1 END \
             FROM resource WHERE resource_type = 'User' \
             UNION ALL SELECT directory_key, 0, 0, 0, 1 FROM departed_user) t \
             LEFT JOIN directory d ON d.key = t.directory_key \
             WHERE d.state IS NULL OR d.state <> 'deleting' GROUP BY t.directory_key, d.id \
             HAVING SUM(t.told_active) <> SUM(t.active) OR SUM(t.told_inactive) <> SUM(t.inactive) \
             ORDER BY t.directory_key LIMIT ?",
    },
    Rule {
        name: "index entries",
        text: "SELECT d.id, 'index ' || CAST(a.path_id AS TEXT) || ' has an entry of resource row ' \
             || CAST(a.resource_key AS TEXT) || ', which is not there' \
             FROM resource_attr a \
             LEFT JOIN resource r ON r.key = a.resource_key AND r.directory_key = a.directory_key \
             LEFT JOIN directory d ON d.key = a.directory_key \
             WHERE r.key IS NULL AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
    Rule {
        name: "unique values",
        text: "SELECT d.id, 'a value of ' || u.scope || ' is held for resource row ' \
             || CAST(u.resource_key AS TEXT) || ', which is not there' \
             FROM resource_unique u \
             LEFT JOIN resource r ON r.key = u.resource_key AND r.directory_key = u.directory_key \
             LEFT JOIN directory d ON d.key = u.directory_key \
             WHERE r.key IS NULL AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
    Rule {
        name: "memberships",
        text: "SELECT d.id, 'resource row ' || CAST(m.member_key AS TEXT) \
             || ' is a member of resource row ' || CAST(m.group_key AS TEXT) || '; ' \
             || CASE WHEN g.key IS NULL THEN 'there is no such group' \
             ELSE 'there is no such member' END \
             FROM member m \
             LEFT JOIN resource g ON g.key = m.group_key AND g.directory_key = m.directory_key \
             AND g.resource_type = 'Group' \
             LEFT JOIN resource r ON r.key = m.member_key AND r.directory_key = m.directory_key \
             LEFT JOIN directory d ON d.key = m.directory_key \
             WHERE (g.key IS NULL OR r.key IS NULL) \
             AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
    Rule {
        name: "waiting members",
        text: "SELECT d.id, 'a value waits for resource row ' || CAST(m.group_key AS TEXT) \
             || ', which is no group' \
             FROM member_pending m \
             LEFT JOIN resource g ON g.key = m.group_key AND g.directory_key = m.directory_key \
             AND g.resource_type = 'Group' \
             LEFT JOIN directory d ON d.key = m.directory_key \
             WHERE g.key IS NULL AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
    Rule {
        name: "user names",
        text: "SELECT d.id, 'user ' || r.id || ' has no userName to be found by' \
             FROM resource r LEFT JOIN directory d ON d.key = r.directory_key \
             WHERE r.resource_type = 'User' AND r.user_name_key IS NULL \
             AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
    Rule {
        name: "versions",
        text: "SELECT d.id, r.resource_type || ' ' || r.id || ' has version ' \
             || CAST(r.version AS TEXT) || ' and was modified ' \
             || CAST(r.modified - r.created AS TEXT) || ' ms after it was created' \
             FROM resource r LEFT JOIN directory d ON d.key = r.directory_key \
             WHERE r.version < 1 AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
    Rule {
        name: "accepted requests",
        text: "SELECT d.id, 'there is a result of request ' || s.request_id \
             || ', which is not there' \
             FROM async_result s \
             LEFT JOIN async_request q ON q.id = s.request_id \
             AND q.directory_key = s.directory_key \
             LEFT JOIN directory d ON d.key = s.directory_key \
             WHERE q.id IS NULL AND (d.state IS NULL OR d.state <> 'deleting') LIMIT ?",
    },
];

/// Looks at everything; `done` is told of each part.
pub fn check(
    location: &Location,
    mut done: impl FnMut(&CheckPart),
) -> Result<Vec<CheckPart>, StoreError> {
    let mut parts = Vec::new();
    let mut tell = |name: &'static str, found: Result<Vec<String>, StoreError>| {
        let mut findings =
            found.unwrap_or_else(|error| vec![format!("it cannot be read: {error}")]);
        let more = findings.len() > SHOWN;
        findings.truncate(SHOWN);
        let part = CheckPart { name, findings, more };
        done(&part);
        parts.push(part);
    };
    let mut conn = match connect(location) {
        // A file that is no database any more is what was looked for, not a failure to look.
        Err(error) if matches!(location, Location::Sqlite(_)) => {
            tell("file", Err(error));
            return Ok(parts);
        }
        other => other?,
    };
    let is_file = Dialect::of(&conn) == Dialect::Sqlite;
    if is_file {
        tell("file", file(&mut conn));
    } else {
        // Whoever is shown what was found may take their time.
        let patient = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
        dialect::run(&mut conn, patient)?;
    }
    let tables = tables(&mut conn);
    let readable = matches!(&tables, Ok(found) if found.is_empty());
    tell("tables", tables);
    if !readable {
        // The statements are about the tables of this version.
        return Ok(parts);
    }
    dialect::begin_snapshot(&mut conn)?;
    if is_file {
        tell("references", references(&mut conn));
    }
    for rule in &RULES {
        tell(rule.name, broken(&mut conn, rule));
    }
    dialect::rollback(&mut conn)?;
    Ok(parts)
}

/// One more than is shown says that there are more.
const LIMIT: i64 = 21;

/// What SQLite finds in pages, rows and indexes.
pub(super) fn file(conn: &mut AnyConn) -> Result<Vec<String>, StoreError> {
    let found = Tx::new(conn).rows::<Text, String>("PRAGMA integrity_check(21)", &[])?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// Whether the tables are those of this version.
pub(super) fn tables(conn: &mut AnyConn) -> Result<Vec<String>, StoreError> {
    let versions = dialect::versions(conn).map_err(StoreError::Unavailable)?;
    let missing = versions.missing.iter().map(|name| {
        format!("migration {name} is not applied; `rollbook migrate` or the next start applies it")
    });
    let unknown = versions
        .unknown
        .iter()
        .map(|version| format!("migration {version} is of a newer version of Rollbook than this"));
    Ok(missing.chain(unknown).collect())
}

/// Rows that refer to others that are gone. PostgreSQL does not let that happen.
pub(super) fn references(conn: &mut AnyConn) -> Result<Vec<String>, StoreError> {
    let found = Tx::new(conn).rows::<(Text, Nullable<BigInt>, Text, Integer), _>(
        "SELECT \"table\", rowid, parent, fkid FROM pragma_foreign_key_check LIMIT ?",
        &[Bind::Int(LIMIT)],
    )?;
    let sentence = |(table, row, parent, _): (String, Option<i64>, String, i32)| match row {
        Some(row) => format!("row {row} of {table} refers to a row of {parent} that is not there"),
        None => format!("a row of {table} refers to a row of {parent} that is not there"),
    };
    Ok(found.into_iter().map(sentence).collect())
}

fn broken(conn: &mut AnyConn, rule: &Rule) -> Result<Vec<String>, StoreError> {
    let found = Tx::new(conn)
        .rows::<(Nullable<Text>, Text), (Option<String>, String)>(rule.text, &[Bind::Int(LIMIT)])?;
    let place = |id: Option<String>| id.unwrap_or_else(|| "a directory that is gone".to_owned());
    Ok(found.into_iter().map(|(id, what)| format!("{}: {what}", place(id))).collect())
}

/// Counts every directory anew, each in a unit of its own that keeps writers out; answers how many
/// there are.
pub fn repair_counters(location: &Location) -> Result<usize, StoreError> {
    let mut conn = connect(location)?;
    if Dialect::of(&conn) == Dialect::Postgres {
        dialect::run(&mut conn, "SET statement_timeout = 0; SET lock_timeout = 0")?;
    }
    let keys = Tx::new(&mut conn)
        .rows::<BigInt, i64>("SELECT key FROM directory WHERE state <> 'deleting'", &[])?;
    for key in &keys {
        dialect::begin_write(&mut conn)?;
        Tx::new(&mut conn).counters_recount(*key)?;
        dialect::commit(&mut conn)?;
    }
    Ok(keys.len())
}

impl Tx<'_> {
    fn counters_recount(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.directory_lock_exclusive(directory_key)?;
        let binds = [Bind::Int(directory_key)];
        self.execute("DELETE FROM resource_count WHERE directory_key = ?", &binds)?;
        self.execute(
            "INSERT INTO resource_count (directory_key, resource_type, active, slot, n) \
             SELECT directory_key, resource_type, active, 0, COUNT(*) FROM resource \
             WHERE directory_key = ? GROUP BY directory_key, resource_type, active",
            &binds,
        )?;
        self.execute("DELETE FROM app_count WHERE directory_key = ?", &binds)?;
        self.execute(
            "INSERT INTO app_count (directory_key, slot, active, inactive) \
             SELECT directory_key, 0, SUM(a), SUM(i) FROM (SELECT directory_key, \
             CASE WHEN app_state = 'active' THEN 1 ELSE 0 END - CASE WHEN active THEN 1 ELSE 0 END AS a, \
             CASE WHEN app_state = 'inactive' THEN 1 ELSE 0 END - CASE WHEN active THEN 0 ELSE 1 END AS i \
             FROM resource WHERE directory_key = ? AND resource_type = 'User' \
             UNION ALL SELECT directory_key, 0, 1 FROM departed_user WHERE directory_key = ?) t \
             GROUP BY directory_key",
            &[Bind::Int(directory_key), Bind::Int(directory_key)],
        )?;
        Ok(())
    }
}
