//! How values are written on pages: filters of the templates (`use crate::http::web::text as filters`).

use std::fmt::Display;

use askama::filters::Safe;
use askama::{Result, Values, filter_fn};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::scim::key::instant_text;

/// An instant, as milliseconds since 1970 or as RFC 3339 text.
pub(in crate::http) trait Instant {
    fn rfc3339(&self) -> String;
}

impl Instant for i64 {
    fn rfc3339(&self) -> String {
        instant_text(*self)
    }
}

impl Instant for str {
    fn rfc3339(&self) -> String {
        self.to_owned()
    }
}

impl Instant for String {
    fn rfc3339(&self) -> String {
        self.clone()
    }
}

impl<T: Instant + ?Sized> Instant for &T {
    fn rfc3339(&self) -> String {
        (*self).rfc3339()
    }
}

/// `2026-11-21T17:30:05.000Z` as people write it.
pub(in crate::http) fn plain_time(at: &str) -> String {
    let (day, time) = at.split_once('T').unwrap_or((at, ""));
    let time = time.split(['.', 'Z']).next().unwrap_or_default();
    format!("{day} {time} UTC")
}

/// `invalid_credentials` as `invalid credentials`.
pub(in crate::http) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A value for the query of a link.
pub(in crate::http) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// `<time>` with the instant in UTC; the script shows it in the reader's zone.
#[filter_fn]
pub(in crate::http) fn instant<T: Instant>(at: T, _: &dyn Values) -> Result<Safe<String>> {
    let at: String = at.rfc3339().chars().filter(|c| !"\"'<>&".contains(*c)).collect();
    Ok(Safe(format!("<time datetime=\"{at}\">{}</time>", plain_time(&at))))
}

/// `1234567` as `1,234,567`.
#[filter_fn]
pub(in crate::http) fn grouped<T: Display>(number: T, _: &dyn Values) -> Result<String> {
    Ok(grouped_text(&number.to_string()))
}

pub(in crate::http) fn grouped_text(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let (whole, rest) = digits.split_once('.').map_or((digits, None), |(w, r)| (w, Some(r)));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(rest) = rest {
        text.push('.');
        text.push_str(rest);
    }
    text
}

/// `1|plural("user")` is `1 user`, `2000|plural("user")` is `2,000 users`.
#[filter_fn]
pub(in crate::http) fn plural<T: Display>(number: T, _: &dyn Values, word: &str) -> Result<String> {
    let number = number.to_string();
    let end = if number == "1" { "" } else { "s" };
    Ok(format!("{} {word}{end}", grouped_text(&number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_plain() {
        assert_eq!(plain_time("2026-11-21T17:30:05.000Z"), "2026-11-21 17:30:05 UTC");
        assert_eq!(plain_time("2026-11-21T17:30:05Z"), "2026-11-21 17:30:05 UTC");
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("1234567", "1,234,567"),
            ("-1234.5678", "-1,234.5678"),
        ] {
            assert_eq!(grouped_text(number), text);
        }
    }
}
