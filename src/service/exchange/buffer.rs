//! What waits to be written: bounded by number and by bytes. Nothing here waits for anything.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::{Exchange, Kind};

/// Exchanges that wait at most.
const MAX_WAITING: usize = 4_096;

/// About how many bytes they hold at most.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Exchanges, and their bytes, that are written together.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// One directory has no more than this part of the places and bytes.
const SHARE: usize = 2;

/// What is kept of one directory in a second where every request would be too much. A failure always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rated {
    /// Successful reads.
    Read,
    /// Successful writes. As many as the default rate limit lets through, so these are all; above it the
    /// directory's ring would turn over within seconds, and a record costs a third of a create.
    Write,
    /// Refused whatever it was.
    Refused,
}

impl Rated {
    /// Requests a second that are kept of a directory.
    fn limit(self) -> u32 {
        match self {
            Self::Read | Self::Refused => 20,
            Self::Write => 500,
        }
    }

    /// Requests a second that are kept of all directories together.
    fn limit_of_all(self) -> u32 {
        match self {
            Self::Read | Self::Refused => 200,
            // No directory's changes go unseen because of another one's.
            Self::Write => u32::MAX,
        }
    }
}

/// Directories whose reads are counted before those of past seconds are forgotten.
const MAX_COUNTED: usize = 1_024;

/// Counters of request records; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct RecordMetrics {
    /// Records that were written.
    pub written: Counter,
    /// Requests without a record because the buffer was full or the write failed.
    pub dropped: Counter,
    /// Requests that succeeded, or were refused unseen, without a record because there were many.
    pub skipped: Counter,
}

impl RecordMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "request_records_written",
            "Request records that were written",
            self.written.clone(),
        );
        registry.register(
            "request_records_dropped",
            "Requests without a record: the buffer was full or writing failed",
            self.dropped.clone(),
        );
        registry.register(
            "request_records_skipped",
            "Requests that succeeded or were refused, without a record: more than are kept in a second",
            self.skipped.clone(),
        );
    }
}

#[derive(Debug, Default)]
pub(super) struct Buffer {
    waiting: VecDeque<(usize, Exchange)>,
    bytes: usize,
    /// Directory → how many of them are its own, and their bytes.
    shares: HashMap<i64, (usize, usize)>,
}

impl Buffer {
    /// False when there is no room, or no more for that directory. One that is large may have all room
    /// for itself.
    pub(super) fn push(&mut self, exchange: Exchange) -> bool {
        let size = exchange.size();
        if self.waiting.len() >= MAX_WAITING || self.bytes + size > MAX_BYTES {
            return false;
        }
        let (count, bytes) = self.shares.entry(exchange.directory.key).or_default();
        let over = *count >= MAX_WAITING / SHARE || *bytes + size > MAX_BYTES / SHARE;
        if *count > 0 && over {
            return false;
        }
        *count += 1;
        *bytes += size;
        self.bytes += size;
        self.waiting.push_back((size, exchange));
        true
    }

    /// The next exchanges to write, oldest first.
    pub(super) fn batch(&mut self) -> Vec<Exchange> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some((size, exchange)) = self.waiting.pop_front() else { break };
            self.bytes -= size;
            if let Entry::Occupied(mut share) = self.shares.entry(exchange.directory.key) {
                let (count, held) = share.get_mut();
                *count -= 1;
                *held -= size;
                if *count == 0 {
                    share.remove();
                }
            }
            bytes += size;
            batch.push(exchange);
        }
        batch
    }
}

/// Counts what is kept only so often, by directory and second.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// Directory (none: all together), and what the request was → second, and requests kept in it.
    counted: HashMap<(Option<i64>, Rated), (i64, u32)>,
    /// How many there are when past seconds are forgotten next.
    forget_at: usize,
}

impl Sampler {
    /// True when a request is to be kept. A directory that is not served refuses every request.
    pub(super) fn keeps(
        &mut self,
        (directory_key, is_served): (i64, bool),
        kind: Kind,
        status: u16,
        now: i64,
    ) -> bool {
        let rated = match kind {
            _ if status == 429 || (!is_served && status >= 400) => Rated::Refused,
            _ if status >= 400 => return true,
            Kind::Read => Rated::Read,
            Kind::Write => Rated::Write,
        };
        let second = now.div_euclid(1_000);
        if self.counted.len() >= self.forget_at {
            self.counted.retain(|_, (counted, _)| *counted == second);
            // Many directories in one second are not looked through for each of their requests.
            self.forget_at = self.counted.len().saturating_mul(2).max(MAX_COUNTED);
        }
        let mut count = |whose, limit| {
            let (counted, kept) = self.counted.entry((whose, rated)).or_insert((second, 0));
            if *counted != second {
                (*counted, *kept) = (second, 0);
            }
            let keeps = *kept < limit;
            *kept += u32::from(keeps);
            keeps
        };
        count(Some(directory_key), rated.limit()) && count(None, rated.limit_of_all())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::Trace;
    use super::*;
    use crate::scim::Registry;
    use crate::service::Directory;
    use crate::store::directory::DirectoryRow;

    fn exchange(key: i64, body: usize) -> Exchange {
        let text = |text: &str| text.to_owned();
        let row = DirectoryRow {
            key,
            id: text("directory_1"),
            organization_id: text("org_1"),
            external_key: text("1"),
            name: text("D"),
            kind: text("scim.generic"),
            state: text("linked"),
            settings: text("{}"),
            config: text("{}"),
            created: 0,
            modified: 0,
            last_request: None,
            schema_version: 0,
            policy_cursor: None,
            identities: None,
            primary: false,
            attribute_map: None,
            role_map: None,
            mapping_cursor: None,
        };
        let trace = Trace::on();
        trace.received(&vec![b' '; body]);
        Exchange {
            directory: Arc::new(Directory::from_row(&row, Registry::builtin())),
            id: text("req_1"),
            client_id: None,
            at: 0,
            kind: Kind::Write,
            method: text("POST"),
            path: text("/Users"),
            scim: "2.0",
            client: None,
            user_agent: String::new(),
            status: 201,
            duration: Duration::ZERO,
            resource: None,
            error: None,
            trace,
        }
    }

    #[test]
    fn buffer_is_bounded_by_number_and_by_bytes() {
        let mut buffer = Buffer::default();
        let (one, other) = (exchange(1, 0).directory, exchange(2, 0).directory);
        fn exchange_of(directory: &Arc<Directory>) -> Exchange {
            Exchange {
                directory: Arc::clone(directory),
                id: String::new(),
                client_id: None,
                at: 0,
                kind: Kind::Read,
                method: String::new(),
                path: String::new(),
                scim: "2.0",
                client: None,
                user_agent: String::new(),
                status: 200,
                duration: Duration::ZERO,
                resource: None,
                error: None,
                trace: Trace::off(),
            }
        }
        for _ in 0..MAX_WAITING / SHARE {
            assert!(buffer.push(exchange_of(&one)));
        }
        assert!(!buffer.push(exchange_of(&one)), "the other half is not its own");
        for _ in 0..MAX_WAITING / SHARE {
            assert!(buffer.push(exchange_of(&other)));
        }
        assert!(!buffer.push(exchange(3, 0)), "there is no place left");
        assert_eq!(buffer.batch().len(), BATCH);
        assert!(buffer.push(exchange_of(&one)));

        let mut buffer = Buffer::default();
        let large = 9 * 1024 * 1024;
        let pushed = [1, 1, 2, 3, 4].map(|key| buffer.push(exchange(key, large)));
        assert_eq!(pushed, [true, false, true, true, false]);
        assert_eq!(buffer.batch().len(), 1, "a large one is written alone");
        assert!(buffer.push(exchange(1, large)));
        assert_eq!(std::iter::from_fn(|| buffer.batch().pop()).count(), 3);
        assert_eq!((buffer.bytes, buffer.shares.len()), (0, 0));
        assert!(buffer.push(exchange(1, MAX_BYTES - 4_096)), "alone, also more than half");
    }

    #[test]
    fn twenty_reads_a_second_are_kept_and_every_failure() {
        let mut sampler = Sampler::default();
        let mut keep = |key, kind, status, now| sampler.keeps((key, true), kind, status, now);
        for n in 0..25 {
            assert_eq!(keep(1, Kind::Read, 200, 1_500), n < 20);
        }
        assert!(keep(1, Kind::Read, 404, 1_500), "a failure");
        assert!(keep(1, Kind::Write, 200, 1_500), "a write");
        assert!(keep(2, Kind::Read, 200, 1_500), "another directory");
        assert!(!keep(1, Kind::Read, 304, 1_999));
        assert!(keep(1, Kind::Read, 200, 2_000), "another second");
        for key in 10..3_000 {
            assert!(keep(key, Kind::Read, 200, 3_000 + key * 10));
        }
        assert!(sampler.counted.len() <= MAX_COUNTED + 2);
    }

    #[test]
    fn two_hundred_reads_a_second_are_kept_of_all_directories() {
        let mut sampler = Sampler::default();
        for key in 0..250 {
            assert_eq!(sampler.keeps((key, true), Kind::Read, 200, 1_500), key < 200);
            assert!(sampler.keeps((key, true), Kind::Write, 201, 1_500), "a write");
            assert!(sampler.keeps((key, true), Kind::Read, 404, 1_500), "a failure");
        }
        assert!(sampler.keeps((1, true), Kind::Read, 200, 2_000), "another second");
    }

    #[test]
    fn five_hundred_writes_a_second_are_kept() {
        let mut sampler = Sampler::default();
        for n in 0..510 {
            assert_eq!(sampler.keeps((1, true), Kind::Write, 201, 1_500), n < 500);
        }
        assert!(sampler.keeps((1, true), Kind::Write, 409, 1_500), "a failure");
        assert!(sampler.keeps((2, true), Kind::Write, 201, 1_500), "another directory");
        assert!(sampler.keeps((1, true), Kind::Write, 201, 2_000), "another second");
    }

    #[test]
    fn twenty_refused_requests_a_second_are_kept() {
        let mut sampler = Sampler::default();
        for (key, is_served, status) in [(1, true, 429), (2, false, 503), (3, false, 403)] {
            for n in 0..25 {
                let kept = sampler.keeps((key, is_served), Kind::Write, status, 1_500);
                assert_eq!(kept, n < 20, "{status}");
            }
            assert!(sampler.keeps((key, true), Kind::Read, 200, 1_500), "reads count apart");
            assert!(sampler.keeps((key, true), Kind::Write, 409, 1_500), "and failures do not");
            assert!(sampler.keeps((key, is_served), Kind::Write, status, 2_000));
        }
    }
}
