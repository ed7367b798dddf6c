//! POST requests with an `Idempotency-Key`: who is at one, and what it answered.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

/// Which request, and which run of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub api_key_id: String,
    pub key: String,
    /// Of this run alone.
    pub runner: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct IdempotentRow {
    pub fingerprint: String,
    pub runner: String,
    /// Until when the runner is believed to be at it.
    pub lease: i64,
    /// What the request does is in the database.
    pub committed: bool,
    pub status: Option<i32>,
    /// Sealed.
    pub answer: Option<String>,
    pub created: i64,
}

impl Claim {
    fn binds(&self) -> [Bind<'_>; 3] {
        [Bind::Text(&self.api_key_id), Bind::Text(&self.key), Bind::Text(&self.runner)]
    }
}

impl Tx<'_> {
    /// Takes the key for this run if nobody has it; answers the row that holds.
    pub fn idempotent_claim(
        &mut self,
        claim: &Claim,
        fingerprint: &str,
        lease: i64,
        now: i64,
    ) -> Result<Option<IdempotentRow>, StoreError> {
        let [api_key_id, key, runner] = claim.binds();
        self.execute(
            "INSERT INTO idempotent_request (api_key_id, key, runner, fingerprint, lease, \
             committed, created) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            &[
                api_key_id,
                key,
                runner,
                Bind::Text(fingerprint),
                Bind::Int(lease),
                Bind::Bool(false),
                Bind::Int(now),
            ],
        )?;
        let lock = self.dialect.pick("", " FOR UPDATE");
        self.row::<(Text, Text, BigInt, Bool, Nullable<Integer>, Nullable<Text>, BigInt), _>(
            &format!(
                "SELECT fingerprint, runner, lease, committed, status, answer, created \
                 FROM idempotent_request WHERE api_key_id = ? AND key = ?{lock}"
            ),
            &[Bind::Text(&claim.api_key_id), Bind::Text(&claim.key)],
        )
    }

    /// Forgets the key, whoever has it; the unit has locked the row.
    pub fn idempotent_forget(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM idempotent_request WHERE api_key_id = ? AND key = ?",
            &[Bind::Text(&claim.api_key_id), Bind::Text(&claim.key)],
        )?;
        Ok(())
    }

    /// Notes in a unit that what the request does commits with it; false when another run has the key.
    pub fn idempotent_commit(&mut self, claim: &Claim) -> Result<bool, StoreError> {
        let [api_key_id, key, runner] = claim.binds();
        let noted = self.execute(
            "UPDATE idempotent_request SET committed = ? WHERE api_key_id = ? AND key = ? \
             AND runner = ?",
            &[Bind::Bool(true), api_key_id, key, runner],
        )?;
        Ok(noted == 1)
    }

    /// Keeps the answer of the run.
    pub fn idempotent_finish(
        &mut self,
        claim: &Claim,
        status: i32,
        answer: &str,
    ) -> Result<(), StoreError> {
        let [api_key_id, key, runner] = claim.binds();
        self.execute(
            "UPDATE idempotent_request SET status = ?, answer = ? WHERE api_key_id = ? \
             AND key = ? AND runner = ?",
            &[Bind::Small(status), Bind::Text(answer), api_key_id, key, runner],
        )?;
        Ok(())
    }

    /// Lets the key go of a run that has done nothing.
    pub fn idempotent_release(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM idempotent_request WHERE api_key_id = ? AND key = ? AND runner = ? \
             AND NOT committed",
            &claim.binds(),
        )?;
        Ok(())
    }

    /// Ends the lease of every run that has kept no answer.
    pub fn idempotent_end_leases(&mut self) -> Result<(), StoreError> {
        self.execute(
            "UPDATE idempotent_request SET lease = 0 WHERE answer IS NULL AND lease > 0",
            &[],
        )?;
        Ok(())
    }

    /// Forgets some requests that are older; answers how many.
    pub fn idempotent_prune(&mut self, before: i64, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM idempotent_request WHERE (api_key_id, key) IN (SELECT api_key_id, key \
             FROM idempotent_request WHERE created < ? ORDER BY created LIMIT ?)",
            &[Bind::Int(before), Bind::Int(limit)],
        )
    }
}
