//! Units of one statement on PostgreSQL.
//!
//! A statement outside a transaction is a transaction by itself: it goes to the server and back once,
//! where BEGIN, each statement and COMMIT go once each. What it decides it decides in its own text; it
//! answers `None` where that does not suffice, has then done nothing, and the unit runs as usual.

use super::StoreError;
use super::conn::AnyConn;
use super::exec::Lease;
use super::sql::{Answers, Bind, Statement, Tx};

/// A connection for one statement: its functions consume it.
pub struct Single<'c> {
    tx: Tx<'c>,
    /// What the statement has to find, beside everything else.
    pub(super) lease: Option<&'c Lease>,
}

impl<'c> Single<'c> {
    pub(super) fn new(conn: &'c mut AnyConn) -> Self {
        Self { tx: Tx::new(conn), lease: None }
    }

    /// The same for whoever works under a lease.
    pub(super) fn under<'l>(self, lease: Option<&'l Lease>) -> Single<'l>
    where
        'c: 'l,
    {
        Single { tx: self.tx, lease }
    }

    /// The only row of the statement, if there is one.
    pub(super) fn row<Sql, Out>(
        mut self,
        text: &str,
        binds: &[Bind<'_>],
    ) -> Result<Option<Out>, StoreError>
    where
        for<'q> Statement<'q, Sql>: Answers<'q, Out>,
    {
        self.tx.row::<Sql, Out>(text, binds)
    }
}
