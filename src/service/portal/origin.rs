//! Origins of the operator's app (RFC 6454), and addresses that must be below one of them.
//!
//! Addresses are read by the rules of browsers (WHATWG URL): what is compared is what a browser goes to,
//! and what is stored is what was compared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use crate::service::error::AdminError;

/// Longest address, in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// Scheme, host and port of a web site: `https://app.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not an origin: scheme, host and, if it is not the usual one, port, \
                 such as https://app.example.com"
            )
        };
        let url = web_address(text).filter(|_| !text.contains('*')).ok_or_else(wrong)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        match is_bare {
            true => Ok(Self(url.origin().ascii_serialization())),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An `http` or `https` address without a user name.
fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (is_web && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// The address as a browser reads it, if its origin is one of these.
pub(super) fn checked(field: &str, text: &str, origins: &[Origin]) -> Result<String, AdminError> {
    if text.len() > MAX_URL_BYTES {
        let message = format!("it has {} bytes; allowed are {MAX_URL_BYTES}.", text.len());
        return Err(AdminError::invalid(field, message));
    }
    let Some(url) = web_address(text) else {
        let message = format!("\"{text}\" is not an http or https address.");
        return Err(AdminError::invalid(field, message));
    };
    let origin = url.origin().ascii_serialization();
    if origins.iter().any(|known| known.0 == origin) {
        return Ok(url.into());
    }
    let known: Vec<&str> = origins.iter().map(|known| known.0.as_str()).collect();
    let allowed = match known.is_empty() {
        true => "the operator has named none (ROLLBOOK_PORTAL_ORIGINS).".to_owned(),
        false => format!("allowed are {}.", known.join(", ")),
    };
    Err(AdminError::invalid(field, format!("its origin is {origin}; {allowed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        for (text, expected) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://APP.example.com/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<Origin>().expect(text).to_string(), expected);
        }
        for text in [
            "",
            "app.example.com",
            "https://",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://app.example.com/#x",
            "https://user@app.example.com",
            "https://*.example.com",
            "ftp://app.example.com",
            "javascript:alert(1)",
            "null",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_those_of_a_known_origin_as_browsers_read_them() {
        let origins: Vec<Origin> = ["https://app.example.com", "http://localhost:3000"]
            .iter()
            .map(|text| text.parse().expect("an origin"))
            .collect();
        for (text, expected) in [
            ("https://app.example.com", Some("https://app.example.com/")),
            ("https://app.example.com/a?b=c#d", Some("https://app.example.com/a?b=c#d")),
            ("HTTPS://App.Example.COM:443/a", Some("https://app.example.com/a")),
            ("http://localhost:3000/done", Some("http://localhost:3000/done")),
            (" https://app.example.com/a\n", Some("https://app.example.com/a")),
            ("https:\\\\app.example.com\\a", Some("https://app.example.com/a")),
            ("http://app.example.com", None),
            ("https://app.example.com:8443", None),
            ("http://localhost", None),
            ("https://app.example.com.evil.example", None),
            ("https://evil.example/https://app.example.com", None),
            ("https://evil.example\\@app.example.com/", None),
            ("https://app.example.com@evil.example/", None),
            ("https://app.example.com:pass@evil.example/", None),
            ("https://user@app.example.com/", None),
            ("https://evil.example#@app.example.com/", None),
            ("//app.example.com/", None),
            ("/done", None),
            ("javascript:alert(1)//https://app.example.com", None),
            ("data:text/html,x", None),
            ("", None),
        ] {
            let found = checked("return_url", text, &origins);
            assert_eq!(found.as_deref().ok(), expected, "{text:?}: {found:?}");
        }
        let long = format!("https://app.example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert!(checked("return_url", &long, &origins).is_err());
        let none = checked("return_url", "https://app.example.com", &[]).expect_err("no origin");
        assert!(none.message.contains("ROLLBOOK_PORTAL_ORIGINS"), "{}", none.message);
    }
}
