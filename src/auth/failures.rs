//! Limits on failed authentications, so that guessing costs the server nothing.

use std::net::{IpAddr, Ipv6Addr};

use quick_cache::sync::Cache;

/// Length of a window in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Failures in a window after which one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong secrets for one id.
    pub per_id: u32,
    /// From one address, or one /64 of IPv6.
    pub per_address: u32,
}

/// Of bearer secrets. Many from one address, because identity providers send the requests of many customers from few
/// addresses and one of them may have a wrong token.
const BEARERS: Limits = Limits { per_id: 10, per_address: 600 };

/// Whom an address stands for: one network of IPv6 has as many addresses as it wants.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// Failures counted by id and by address.
pub struct Failures {
    limits: Limits,
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
        Self::within(BEARERS)
    }
}

impl Failures {
    pub fn within(limits: Limits) -> Self {
        Self { limits, ids: Cache::new(10_000), addresses: Cache::new(10_000) }
    }

    /// Seconds to wait if the id or the address has failed too often.
    pub fn blocked(&self, id: Option<&str>, address: Option<IpAddr>, now: i64) -> Option<u64> {
        let wait = |window: Window, limit: u32| {
            let left = window.started + WINDOW_MS - now;
            (window.count >= limit && left > 0)
                .then(|| u64::try_from(left).unwrap_or(0).div_ceil(1_000))
        };
        let by_id = id.and_then(|id| self.ids.get(id)).and_then(|w| wait(w, self.limits.per_id));
        let by_address = address
            .and_then(|a| self.addresses.get(&network(a)))
            .and_then(|w| wait(w, self.limits.per_address));
        by_id.max(by_address)
    }

    /// Counts a failure.
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

    /// Takes back what was counted before it turned out right: all of the id, one of the address.
    pub fn forgive(&self, id: &str, address: Option<IpAddr>) {
        self.ids.remove(id);
        self.forgive_address(address);
    }

    /// The same where only the address was counted.
    pub fn forgive_address(&self, address: Option<IpAddr>) {
        if let Some(address) = address.map(network)
            && let Some(window) = self.addresses.get(&address)
        {
            let count = window.count.saturating_sub(1);
            self.addresses.insert(address, Window { count, ..window });
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
        for n in 0..BEARERS.per_address {
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
        for _ in 0..BEARERS.per_id {
            assert_eq!(failures.blocked(Some("a"), None, 0), None);
            failures.count(Some("a"), None, 0);
        }
        assert_eq!(failures.blocked(Some("a"), None, 1_000), Some(59));
        assert_eq!(failures.blocked(Some("b"), None, 1_000), None);
        assert_eq!(failures.blocked(Some("a"), None, WINDOW_MS), None);
    }
}
