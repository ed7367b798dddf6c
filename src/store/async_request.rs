//! Requests that are answered before they are done, and what became of their operations.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, Queryable)]
pub struct AsyncRow {
    pub directory_key: i64,
    pub id: String,
    /// `bulk` or `single`.
    pub form: String,
    /// The SCIM base URL for links.
    pub base: String,
    /// The bulk request as JSON, sealed.
    pub body: String,
    /// JSON object: bulkId → id of the new resource.
    pub ids: String,
    /// Who is at it.
    pub runner: String,
    /// Until when the runner is believed to be at it.
    pub lease: i64,
    pub created: i64,
    pub finished: Option<i64>,
}

type Sql = (BigInt, Text, Text, Text, Text, Text, Text, BigInt, BigInt, Nullable<BigInt>);

const COLUMNS: &str = "SELECT directory_key, id, form, base, body, ids, runner, lease, created, \
     finished FROM async_request";

impl Tx<'_> {
    pub fn async_insert(&mut self, row: &AsyncRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO async_request (directory_key, id, form, base, body, ids, runner, lease, \
             created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Int(row.directory_key),
                Bind::Text(&row.id),
                Bind::Text(&row.form),
                Bind::Text(&row.base),
                Bind::Text(&row.body),
                Bind::Text(&row.ids),
                Bind::Text(&row.runner),
                Bind::Int(row.lease),
                Bind::Int(row.created),
            ],
        )?;
        Ok(())
    }

    pub fn async_get(
        &mut self,
        directory_key: i64,
        id: &str,
    ) -> Result<Option<AsyncRow>, StoreError> {
        self.row::<Sql, _>(
            &format!("{COLUMNS} WHERE directory_key = ? AND id = ?"),
            &[Bind::Int(directory_key), Bind::Text(id)],
        )
    }

    /// Requests of the directory that are not done.
    pub fn async_pending(&mut self, directory_key: i64) -> Result<i64, StoreError> {
        let pending = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM async_request WHERE directory_key = ? AND finished IS NULL",
            &[Bind::Int(directory_key)],
        )?;
        Ok(pending.unwrap_or(0))
    }

    /// Takes over a request whose runner has not been heard of since its lease ended.
    pub fn async_take_over(
        &mut self,
        runner: &str,
        now: i64,
        lease: i64,
    ) -> Result<Option<AsyncRow>, StoreError> {
        let found = self.row::<Sql, AsyncRow>(
            &format!(
                "{COLUMNS} WHERE finished IS NULL AND lease < ? ORDER BY lease LIMIT 1 {}",
                self.dialect.pick("", "FOR UPDATE SKIP LOCKED")
            ),
            &[Bind::Int(now)],
        )?;
        if let Some(row) = &found {
            self.execute(
                "UPDATE async_request SET runner = ?, lease = ? WHERE directory_key = ? AND id = ?",
                &[
                    Bind::Text(runner),
                    Bind::Int(lease),
                    Bind::Int(row.directory_key),
                    Bind::Text(&row.id),
                ],
            )?;
        }
        Ok(found)
    }

    /// Ends every lease at that time.
    pub fn async_release(&mut self, at: i64) -> Result<(), StoreError> {
        let text = "UPDATE async_request SET lease = ? WHERE finished IS NULL";
        self.execute(text, &[Bind::Int(at)])?;
        Ok(())
    }

    /// Holds the request for this unit and renews the lease; false when another runner has it or it
    /// is done.
    pub fn async_hold(
        &mut self,
        directory_key: i64,
        id: &str,
        runner: &str,
        lease: i64,
    ) -> Result<bool, StoreError> {
        let held = self.execute(
            "UPDATE async_request SET lease = ? WHERE directory_key = ? AND id = ? AND runner = ? \
             AND finished IS NULL",
            &[Bind::Int(lease), Bind::Int(directory_key), Bind::Text(id), Bind::Text(runner)],
        )?;
        Ok(held == 1)
    }

    pub fn async_note(
        &mut self,
        directory_key: i64,
        id: &str,
        operation: i32,
        outcome: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO async_result (directory_key, request_id, operation, outcome) \
             VALUES (?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Text(id),
                Bind::Small(operation),
                Bind::Text(outcome),
            ],
        )?;
        Ok(())
    }

    /// What became of operations, by their place in the request.
    pub fn async_results(
        &mut self,
        directory_key: i64,
        id: &str,
    ) -> Result<Vec<(i32, String)>, StoreError> {
        self.rows::<(Integer, Text), _>(
            "SELECT operation, outcome FROM async_result WHERE directory_key = ? \
             AND request_id = ? ORDER BY operation",
            &[Bind::Int(directory_key), Bind::Text(id)],
        )
    }

    /// Ends a request; its body is no longer needed.
    pub fn async_finish(
        &mut self,
        directory_key: i64,
        id: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE async_request SET finished = ?, body = '', ids = '' WHERE directory_key = ? \
             AND id = ?",
            &[Bind::Int(now), Bind::Int(directory_key), Bind::Text(id)],
        )?;
        Ok(())
    }

    /// Removes requests that were done before `until`, a few at a time; answers how many.
    pub fn async_prune(&mut self, until: i64, limit: i64) -> Result<usize, StoreError> {
        let old = self.rows::<(BigInt, Text), (i64, String)>(
            "SELECT directory_key, id FROM async_request WHERE finished < ? ORDER BY finished \
             LIMIT ?",
            &[Bind::Int(until), Bind::Int(limit)],
        )?;
        for (directory_key, id) in &old {
            let binds = [Bind::Int(*directory_key), Bind::Text(id)];
            self.execute(
                "DELETE FROM async_result WHERE directory_key = ? AND request_id = ?",
                &binds,
            )?;
            self.execute("DELETE FROM async_request WHERE directory_key = ? AND id = ?", &binds)?;
        }
        Ok(old.len())
    }
}
