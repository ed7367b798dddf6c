//! Limits on guessing passwords.
//!
//! A stranger's wrong passwords must not keep an administrator out. So a browser in which the account has
//! signed in before is counted by itself, whatever strangers do; it is known by a mark that it keeps. Strangers
//! are counted by account and network, by network over all accounts, and slowly by account over all networks:
//! who has many networks guesses no faster than that.

use std::net::IpAddr;

use crate::auth::failures::{Windows, network};
use crate::auth::{Mac, secret};

const MINUTE_MS: i64 = 60_000;

/// What the mark of a browser is made for, with the account.
fn context(account: &str) -> String {
    format!("known browser {account}")
}

/// The mark that a browser keeps once the account with that address has signed in there.
pub(super) fn browser_mark(mac: &Mac, email_key: &str) -> String {
    mac.marked(&context(email_key), &secret::random_text())
}

/// Somebody who enters a password for an account.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// As long as another, whatever was sent.
    account: String,
    by: By,
}

#[derive(Clone, Debug)]
enum By {
    /// A browser in which the account has signed in before.
    Known(String),
    Stranger(Option<IpAddr>),
}

impl Attempt {
    /// In a browser that keeps this mark, or something else, or nothing.
    pub(super) fn outside(mac: &Mac, email_key: &str, mark: &str, address: Option<IpAddr>) -> Self {
        let by = match mac.is_marked(&context(email_key), mark) {
            true => By::Known(secret::text_digest(mark)),
            false => By::Stranger(address.map(network)),
        };
        Self { account: secret::text_digest(email_key), by }
    }

    /// In a session of the account.
    pub(super) fn inside(email_key: &str, session_id: &str) -> Self {
        let by = By::Known(session_id.to_owned());
        Self { account: secret::text_digest(email_key), by }
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self.by, By::Known(_))
    }
}

/// Wrong passwords of the last time.
pub(super) struct Guesses {
    browsers: Windows<String>,
    pairs: Windows<(String, Option<IpAddr>)>,
    networks: Windows<IpAddr>,
    accounts: Windows<String>,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self {
            browsers: Windows::of(10, MINUTE_MS),
            pairs: Windows::of(10, 5 * MINUTE_MS),
            networks: Windows::of(30, MINUTE_MS),
            accounts: Windows::of(500, 60 * MINUTE_MS),
        }
    }

    /// Counts the attempt as a wrong one before it is known, so that many at once are not many guesses. Fails
    /// with the seconds to wait.
    pub(super) fn begin(&self, attempt: &Attempt, now: i64) -> Result<(), u64> {
        let Attempt { account, by } = attempt;
        match by {
            By::Known(browser) => {
                self.browsers.wait(browser, now).map_or(Ok(()), Err)?;
                self.browsers.count(browser, now);
            }
            By::Stranger(network) => {
                let pair = (account.clone(), *network);
                let waits = [
                    self.pairs.wait(&pair, now),
                    network.and_then(|network| self.networks.wait(&network, now)),
                    self.accounts.wait(account, now),
                ];
                waits.into_iter().flatten().max().map_or(Ok(()), Err)?;
                self.pairs.count(&pair, now);
                self.accounts.count(account, now);
                if let Some(network) = network {
                    self.networks.count(network, now);
                }
            }
        }
        Ok(())
    }

    /// It was right: whoever knows the password is no guesser. What others have tried still counts.
    pub(super) fn was_right(&self, attempt: &Attempt) {
        let Attempt { account, by } = attempt;
        match by {
            By::Known(browser) => self.browsers.forget(browser),
            By::Stranger(network) => {
                self.pairs.forget(&(account.clone(), *network));
                self.accounts.take_back(account);
                if let Some(network) = network {
                    self.networks.take_back(network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn stranger(account: &str, network: u32) -> Attempt {
        let address = IpAddr::from(Ipv4Addr::from_bits(network));
        Attempt { account: account.to_owned(), by: By::Stranger(Some(address)) }
    }

    /// How many attempts in a row are let through at that time.
    fn let_through(guesses: &Guesses, attempt: &Attempt, now: i64) -> usize {
        (0..10_000).take_while(|_| guesses.begin(attempt, now).is_ok()).count()
    }

    #[test]
    fn strangers_wait_by_account_and_network_and_known_browsers_by_themselves() {
        let guesses = Guesses::new();
        assert_eq!(let_through(&guesses, &stranger("ada", 1), 0), 10);
        assert_eq!(guesses.begin(&stranger("ada", 1), 1_000), Err(299));
        // Others of the network, until it has tried too much altogether.
        assert_eq!(let_through(&guesses, &stranger("ben", 1), 0), 10);
        assert_eq!(let_through(&guesses, &stranger("cy", 1), 0), 10);
        assert_eq!(guesses.begin(&stranger("dee", 1), 0), Err(60));
        assert_eq!(let_through(&guesses, &stranger("ada", 2), 0), 10);
        let known = Attempt::inside("ada", "session");
        assert_eq!(let_through(&guesses, &known, 0), 10);
        assert_eq!(guesses.begin(&known, 0), Err(60));
        assert_eq!(let_through(&guesses, &Attempt::inside("ada", "other"), 0), 10);
    }

    #[test]
    fn many_networks_guess_no_faster_than_the_account_allows_and_stop_nobody_who_is_known() {
        let guesses = Guesses::new();
        let tried: usize = (0..200).map(|n| let_through(&guesses, &stranger("ada", n), 0)).sum();
        assert_eq!(tried, 500);
        assert_eq!(guesses.begin(&stranger("ada", 999), 0), Err(3_600));
        assert_eq!(guesses.begin(&stranger("ben", 999), 0), Ok(()));
        assert_eq!(guesses.begin(&Attempt::inside("ada", "session"), 0), Ok(()));
        assert_eq!(guesses.begin(&stranger("ada", 999), 3_600_000), Ok(()));
    }

    #[test]
    fn right_password_takes_back_what_it_has_counted() {
        let guesses = Guesses::new();
        let (one, known) = (stranger("ada", 1), Attempt::inside("ada", "session"));
        for attempt in [&one, &known] {
            for _ in 0..100 {
                assert_eq!(guesses.begin(attempt, 0), Ok(()));
                guesses.was_right(attempt);
            }
        }
        // What others have tried is not forgotten with it.
        let tried: usize = (2..200).map(|n| let_through(&guesses, &stranger("ada", n), 0)).sum();
        assert_eq!(tried, 500);
        guesses.was_right(&one);
        assert_eq!(let_through(&guesses, &one, 0), 1);
    }
}
