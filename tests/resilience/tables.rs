//! Looks into the tables: rows that belong together are there together, counters count what is there,
//! and the events say what the resources say.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use rollbook::store::packed::unpack;
use serde_json::Value;

use crate::check::Stored;
use crate::support::Consumer;
use crate::world::{Tenant, wait};

/// What must not be, and a query that finds it.
const FAULTS: [(&str, &str); 9] = [
    (
        "a counter that does not count",
        "SELECT COALESCE(c.resource_type, r.resource_type) || ' counted ' \
             || CAST(COALESCE(c.n, 0) AS TEXT) || ', stored ' || CAST(COALESCE(r.n, 0) AS TEXT) AS found \
         FROM (SELECT directory_key, resource_type, active, SUM(n) AS n FROM resource_count \
               GROUP BY directory_key, resource_type, active) c \
         FULL JOIN (SELECT directory_key, resource_type, active, COUNT(*) AS n FROM resource \
               GROUP BY directory_key, resource_type, active) r \
             ON c.directory_key = r.directory_key AND c.resource_type = r.resource_type \
                AND c.active = r.active \
         WHERE COALESCE(c.n, 0) <> COALESCE(r.n, 0)",
    ),
    (
        "a user without its index entry",
        "SELECT r.id AS found FROM resource r WHERE r.resource_type = 'User' AND NOT EXISTS ( \
             SELECT 1 FROM resource_attr a WHERE a.directory_key = r.directory_key \
             AND a.resource_key = r.key AND a.path_id = 1 AND a.key = r.user_name_key)",
    ),
    (
        "an index entry without its user",
        "SELECT CAST(a.resource_key AS TEXT) AS found FROM resource_attr a WHERE NOT EXISTS ( \
             SELECT 1 FROM resource r WHERE r.directory_key = a.directory_key AND r.key = a.resource_key)",
    ),
    (
        "a second index entry",
        "SELECT CAST(resource_key AS TEXT) AS found FROM resource_attr WHERE path_id = 1 \
         GROUP BY directory_key, resource_key HAVING COUNT(*) > 1",
    ),
    (
        "a member that is not there",
        "SELECT CAST(m.group_key AS TEXT) AS found FROM member m WHERE NOT EXISTS ( \
             SELECT 1 FROM resource r WHERE r.directory_key = m.directory_key AND r.key = m.member_key) \
         OR NOT EXISTS ( \
             SELECT 1 FROM resource r WHERE r.directory_key = m.directory_key AND r.key = m.group_key)",
    ),
    (
        "a position that two events have",
        "SELECT CAST(position AS TEXT) AS found FROM event_position \
         GROUP BY position HAVING COUNT(*) > 1",
    ),
    (
        "an event with two positions",
        "SELECT CAST(event_key AS TEXT) AS found FROM event_position \
         GROUP BY directory_key, event_key HAVING COUNT(*) > 1",
    ),
    (
        "a position of no event",
        "SELECT CAST(p.position AS TEXT) AS found FROM event_position p WHERE NOT EXISTS ( \
             SELECT 1 FROM event e WHERE e.directory_key = p.directory_key AND e.key = p.event_key)",
    ),
    (
        "an event of nobody",
        "SELECT e.id AS found FROM event e WHERE NOT EXISTS ( \
             SELECT 1 FROM directory d WHERE d.key = e.directory_key)",
    ),
];

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    found: String,
}

#[derive(QueryableByName)]
struct Event {
    #[diesel(sql_type = Text)]
    event: String,
    /// The text on PostgreSQL, packed on SQLite.
    #[diesel(sql_type = Binary)]
    data: Vec<u8>,
}

/// The rows of a query with one column `found`.
pub fn rows(database: &str, text: &str) -> Vec<String> {
    let rows: Vec<Found> = match database.strip_prefix("sqlite://") {
        Some(path) => diesel::sql_query(text).load(&mut sqlite(path)),
        None => diesel::sql_query(text).load(&mut postgres(database)),
    }
    .expect(text);
    rows.into_iter().map(|row| row.found).collect()
}

fn sqlite(path: &str) -> SqliteConnection {
    SqliteConnection::establish(path).expect("the file opens")
}

fn postgres(url: &str) -> PgConnection {
    PgConnection::establish(url).expect("the database answers")
}

/// Everything that must not be in the tables of a database.
pub fn faults(database: &str) -> Vec<String> {
    let mut wrong: Vec<String> = FAULTS
        .iter()
        .flat_map(|(name, text)| {
            rows(database, text).into_iter().map(move |row| format!("{name}: {row}"))
        })
        .collect();
    if database.starts_with("sqlite:") {
        let checked = rows(database, "SELECT integrity_check AS found FROM pragma_integrity_check");
        wrong.extend(checked.into_iter().filter(|line| line != "ok"));
    }
    wrong
}

/// The events of a directory in the order in which readers see them, once a server has given each its
/// position.
pub fn events(database: &str, tenant: &Tenant) -> Vec<(String, Value)> {
    let waiting = format!(
        "SELECT e.id AS found FROM event e JOIN directory d ON d.key = e.directory_key \
         WHERE d.id = '{}' AND NOT EXISTS (SELECT 1 FROM event_position p \
         WHERE p.directory_key = e.directory_key AND p.event_key = e.key)",
        tenant.id
    );
    wait("every event has its position", || rows(database, &waiting).is_empty());
    let text = format!(
        "SELECT e.event, e.data FROM event e JOIN directory d ON d.key = e.directory_key \
         JOIN event_position p ON p.directory_key = e.directory_key AND p.event_key = e.key \
         WHERE d.id = '{}' ORDER BY p.position",
        tenant.id
    );
    let rows: Vec<Event> = match database.strip_prefix("sqlite://") {
        Some(path) => diesel::sql_query(text).load(&mut sqlite(path)),
        None => diesel::sql_query(text).load(&mut postgres(database)),
    }
    .expect("events");
    let event = |row: Event| {
        let data = unpack(row.data).expect("event data can be read");
        (row.event, serde_json::from_str(&data).expect("event data is JSON"))
    };
    rows.into_iter().map(event).collect()
}

/// Does what the events say, and compares the outcome with the resources.
pub fn replay(database: &str, tenant: &Tenant, stored: &Stored) -> Vec<String> {
    let consumer = Consumer::of(&events(database, tenant));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    let told: BTreeMap<String, (String, String, String)> = consumer
        .users
        .values()
        .map(|user| {
            (
                text(&user["username"]),
                (text(&user["id"]), text(&user["job_title"]), text(&user["state"])),
            )
        })
        .collect();
    let state = |user: &Value| if user["active"] == true { "active" } else { "inactive" };
    let there: BTreeMap<String, (String, String, String)> = stored
        .users
        .iter()
        .map(|(name, user)| {
            (name.clone(), (text(&user["id"]), text(&user["title"]), state(user).to_owned()))
        })
        .collect();
    for name in told.keys().chain(there.keys()).collect::<BTreeSet<_>>() {
        if told.get(name) != there.get(name) {
            let (told, there) = (told.get(name), there.get(name));
            wrong.push(format!("{name}: the events tell {told:?}, stored is {there:?}"));
        }
    }
    let groups: BTreeSet<String> = stored.groups.values().map(|group| text(&group["id"])).collect();
    let told: BTreeSet<String> = consumer.groups.keys().cloned().collect();
    for group in told.symmetric_difference(&groups) {
        wrong.push(format!("the group {group} is in the events or in the directory, not in both"));
    }
    let members: BTreeSet<(String, String)> = stored
        .groups
        .values()
        .flat_map(|group| {
            let members = group["members"].as_array().cloned().unwrap_or_default();
            members.into_iter().map(move |member| (text(&group["id"]), text(&member["value"])))
        })
        .collect();
    for (group, user) in consumer.members.symmetric_difference(&members) {
        wrong.push(format!("{user} in {group} is in the events or in the directory, not in both"));
    }
    wrong
}
