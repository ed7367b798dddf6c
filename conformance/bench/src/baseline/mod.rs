//! What a create costs the bare database: the statements that Rollbook runs for one, and nothing else.
//!
//! The texts name every value, `:user_name_key`, where the server binds one. A test of the server
//! compares them with what it runs, so that both do the same work.

#[path = "../../../../src/store/packed.rs"]
pub mod packed;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod template;

/// The statements of one create on SQLite, inside the transaction.
pub const SQLITE: &str = include_str!("create.sqlite.sql");

/// The statements of one create on PostgreSQL, with those that begin and end the transaction.
pub const POSTGRES: &str = include_str!("create.postgres.sql");

/// The read of one user on PostgreSQL.
const POSTGRES_GET: &str = include_str!("get.postgres.sql");

/// The statements of a text, on one line each, without comments.
pub fn statements(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with("--"));
    let code = lines.collect::<Vec<_>>().join(" ");
    let parts = code.split(';').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    parts.filter(|statement| !statement.is_empty()).collect()
}

/// The statement with `name(…)` of every `:name` in the place of it. Casts are written `CAST`.
pub fn with_values(statement: &str, mut name: impl FnMut(&str) -> String) -> String {
    let mut text = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once(':') {
        text.push_str(before);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let (word, behind) = after.split_at(end);
        match word {
            "" => text.push(':'),
            word => text.push_str(&name(word)),
        }
        rest = behind;
    }
    text.push_str(rest);
    text
}

/// The user whose create the statements are of, as SCIM.
pub fn user() -> String {
    template::user().1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_taken_apart_and_values_put_in() {
        let text = "-- why\nSELECT a\n  FROM b WHERE c = :c;\n\nDELETE FROM d WHERE e = :e_1;\n";
        let found = statements(text);
        assert_eq!(found, ["SELECT a FROM b WHERE c = :c", "DELETE FROM d WHERE e = :e_1"]);
        let marked: Vec<String> =
            found.iter().map(|s| with_values(s, |name| format!("<{name}>"))).collect();
        assert_eq!(marked, ["SELECT a FROM b WHERE c = <c>", "DELETE FROM d WHERE e = <e_1>"]);
    }
}
