//! Statistics of PostgreSQL while tables grow.
//!
//! To the planner all indexes of an empty table are the same, and those of a table without statistics often
//! are: it takes a condition on the type of a resource for as good as one on a user's name, and walks the
//! directory for each name. A plan once made stays until the table is analysed. Autovacuum does that within
//! a minute or so, which is the minute of the first provisioning; this does it within seconds. From then on
//! autovacuum keeps up: what changes is five times the table no more.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use diesel::sql_types::Text;

use super::StoreError;
use super::conn::{AnyConn, open_postgres};
use super::dialect;
use super::sql::Tx;

/// How often tables are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// How long a database that has refused is left alone.
const REST: Duration = Duration::from_secs(60);

/// Tables that have 500 rows or more and five times as many as when they were analysed. Who does not own
/// them cannot analyse them, and a standby cannot either.
const GROWN: &str = "SELECT quote_ident(s.relname) FROM pg_stat_user_tables s \
     JOIN pg_class c ON c.oid = s.relid WHERE s.schemaname = current_schema() \
     AND s.n_live_tup >= GREATEST(500, 5 * c.reltuples) AND pg_has_role(c.relowner, 'USAGE') \
     AND NOT pg_is_in_recovery()";

/// Analyses tables that have grown until `stop` is closed.
pub(super) fn watch_loop(url: &str, stop: &Receiver<()>) {
    let (mut conn, mut pause) = (None, EVERY);
    while stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = EVERY;
        if let Err(error) = watch(url, &mut conn) {
            tracing::debug!(%error, "tables that have grown were not analysed");
            (conn, pause) = (None, REST);
        }
    }
}

fn watch(url: &str, conn: &mut Option<AnyConn>) -> Result<(), StoreError> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(open_postgres(url)?),
    };
    for table in Tx::new(conn).rows::<Text, String>(GROWN, &[])? {
        dialect::run(conn, &format!("ANALYZE {table}"))?;
    }
    Ok(())
}
