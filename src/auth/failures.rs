//! Limits on failed authentications, so that guessing costs the server nothing.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use quick_cache::sync::Cache;

/// Length of a window in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Wrong bearer secrets for one id in a window after which one waits.
const PER_ID: u32 = 10;

/// The same from one address, or one /64 of IPv6. Many, because identity providers send the requests of many
/// customers from few addresses and one of them may have a wrong token.
const PER_ADDRESS: u32 = 600;

/// Whom an address stands for: one network of IPv6 has as many addresses as it wants.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// Failures of each key in windows of one length; about 10,000 keys are remembered.
pub struct Windows<K> {
    limit: u32,
    length_ms: i64,
    windows: Cache<K, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    started: i64,
    count: u32,
}

impl<K: Clone + Eq + Hash> Windows<K> {
    /// After `limit` failures in `length_ms` milliseconds one waits for the end of the window.
    pub fn of(limit: u32, length_ms: i64) -> Self {
        Self { limit, length_ms, windows: Cache::new(10_000) }
    }

    /// Seconds to wait if the key has failed too often.
    pub fn wait(&self, key: &K, now: i64) -> Option<u64> {
        let window = self.windows.get(key)?;
        let left = window.started + self.length_ms - now;
        (window.count >= self.limit && left > 0)
            .then(|| u64::try_from(left).unwrap_or(0).div_ceil(1_000))
    }

    /// Counts a failure.
    pub fn count(&self, key: &K, now: i64) {
        let next = match self.windows.get(key) {
            Some(window) if now - window.started < self.length_ms => {
                Window { count: window.count + 1, ..window }
            }
            _ => Window { started: now, count: 1 },
        };
        self.windows.insert(key.clone(), next);
    }

    /// Takes back one that was counted before it turned out right.
    pub fn take_back(&self, key: &K) {
        if let Some(window) = self.windows.get(key) {
            let count = window.count.saturating_sub(1);
            self.windows.insert(key.clone(), Window { count, ..window });
        }
    }

    /// Takes back everything that was counted.
    pub fn forget(&self, key: &K) {
        self.windows.remove(key);
    }
}

/// Failures counted by id and by address.
pub struct Failures {
    ids: Windows<String>,
    addresses: Windows<IpAddr>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { ids: Windows::of(PER_ID, WINDOW_MS), addresses: Windows::of(PER_ADDRESS, WINDOW_MS) }
    }
}

impl Failures {
    /// Seconds to wait if the id or the address has failed too often.
    pub fn blocked(&self, id: Option<&str>, address: Option<IpAddr>, now: i64) -> Option<u64> {
        let by_id = id.and_then(|id| self.ids.wait(&id.to_owned(), now));
        let by_address = address.and_then(|a| self.addresses.wait(&network(a), now));
        by_id.max(by_address)
    }

    /// Counts a failure.
    pub fn count(&self, id: Option<&str>, address: Option<IpAddr>, now: i64) {
        if let Some(id) = id {
            self.ids.count(&id.to_owned(), now);
        }
        if let Some(address) = address {
            self.addresses.count(&network(address), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let failures = Failures::default();
        let at = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        for n in 0..PER_ADDRESS {
            failures.count(None, at(&format!("2001:db8::{n:x}")), 0);
            failures.count(None, at("::ffff:192.0.2.1"), 0);
        }
        for (address, blocked) in [
            ("2001:db8::1", true),
            ("2001:db8::ffff:1:2:3", true),
            ("2001:db8:0:1::1", false),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.2", false),
            ("192.0.2.2", false),
            ("::1", false),
        ] {
            assert_eq!(failures.blocked(None, at(address), 0).is_some(), blocked, "{address}");
        }
    }

    #[test]
    fn eleventh_wrong_secret_in_a_minute_waits() {
        let failures = Failures::default();
        for _ in 0..PER_ID {
            assert_eq!(failures.blocked(Some("a"), None, 0), None);
            failures.count(Some("a"), None, 0);
        }
        assert_eq!(failures.blocked(Some("a"), None, 1_000), Some(59));
        assert_eq!(failures.blocked(Some("b"), None, 1_000), None);
        assert_eq!(failures.blocked(Some("a"), None, WINDOW_MS), None);
    }
}
