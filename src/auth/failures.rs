//! Limits on failed authentications, so that guessing costs the server nothing.

use std::net::{IpAddr, Ipv6Addr};

use quick_cache::sync::Cache;

/// Length of a window in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Wrong secrets for one known id in a window.
const PER_ID: u32 = 10;

/// Failures from one address, or one /64 of IPv6, in a window. High, because identity providers send the requests of
/// many customers from few addresses and one of them may have a wrong token.
const PER_ADDRESS: u32 = 600;

/// Whom an address stands for: one network of IPv6 has as many addresses as it wants.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// Failures counted by id and by address.
pub struct Failures {
    ids: Cache<String, Window>,
    addresses: Cache<IpAddr, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    started: i64,
    count: u32,
}

impl Default for Failures {
    fn default() -> Self {
        Self { ids: Cache::new(10_000), addresses: Cache::new(10_000) }
    }
}

impl Failures {
    /// Seconds to wait if the id or the address has failed too often.
    pub fn blocked(&self, id: Option<&str>, address: Option<IpAddr>, now: i64) -> Option<u64> {
        let wait = |window: Window, limit: u32| {
            let left = window.started + WINDOW_MS - now;
            (window.count >= limit && left > 0)
                .then(|| u64::try_from(left).unwrap_or(0).div_ceil(1_000))
        };
        let by_id = id.and_then(|id| self.ids.get(id)).and_then(|w| wait(w, PER_ID));
        let by_address = address
            .and_then(|a| self.addresses.get(&network(a)))
            .and_then(|w| wait(w, PER_ADDRESS));
        by_id.max(by_address)
    }

    /// Counts a failure. `id` is given only when a row with that id exists.
    pub fn count(&self, id: Option<&str>, address: Option<IpAddr>, now: i64) {
        let next = |window: Option<Window>| match window {
            Some(w) if now - w.started < WINDOW_MS => Window { count: w.count + 1, ..w },
            _ => Window { started: now, count: 1 },
        };
        if let Some(id) = id {
            self.ids.insert(id.to_owned(), next(self.ids.get(id)));
        }
        if let Some(address) = address.map(network) {
            self.addresses.insert(address, next(self.addresses.get(&address)));
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
