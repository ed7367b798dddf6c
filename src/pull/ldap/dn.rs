//! Distinguished names (RFC 4514): the same entry is named in several ways, by letter case, by escapes
//! and by spaces.

use std::collections::HashMap;
use std::sync::Arc;

/// A name as a key: types and values in lower case, no escapes but where they are needed, parts of an RDN
/// with several in order. `None` for what is no name.
pub fn key(dn: &str) -> Option<String> {
    if is_plain(dn) { Some(dn.to_ascii_lowercase()) } else { prepared(dn) }
}

/// Whether a name is one as most are, of which nothing has to be changed but letter case.
fn is_plain(dn: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=,.-_@".contains(&byte);
    let has_type = |part: &str| part.find('=').is_some_and(|at| at > 0);
    dn.bytes().all(is_plain) && dn.split(',').all(has_type)
}

/// [`key`] of any name.
fn prepared(dn: &str) -> Option<String> {
    let mut parts = Parts { rest: dn.chars().peekable() };
    let mut key = String::with_capacity(dn.len());
    if dn.trim().is_empty() {
        return Some(key);
    }
    loop {
        let mut rdn = Vec::new();
        let end = loop {
            let (part, end) = parts.next()?;
            rdn.push(part);
            if end != Some('+') {
                break end;
            }
        };
        rdn.sort_unstable();
        key.push_str(&rdn.join("+"));
        match end {
            Some(_) => key.push(','),
            None => return Some(key),
        }
    }
}

/// Whether a name is that of `base` or of something below it; both are keys.
pub fn is_below(key: &str, base: &str) -> bool {
    match key.strip_suffix(base) {
        Some(rest) if rest.is_empty() || base.is_empty() => true,
        // A comma that belongs to a value has an odd number of backslashes before it.
        Some(rest) => rest.strip_suffix(',').is_some_and(|rest| {
            rest.chars().rev().take_while(|c| *c == '\\').count().is_multiple_of(2)
        }),
        None => false,
    }
}

struct Parts<'d> {
    rest: std::iter::Peekable<std::str::Chars<'d>>,
}

impl Parts<'_> {
    /// The next `type=value` and what follows it.
    fn next(&mut self) -> Option<(String, Option<char>)> {
        let mut name = String::new();
        loop {
            match self.rest.next()? {
                '=' => break,
                ',' | '+' | ';' | '"' | '\\' => return None,
                c => name.push(c),
            }
        }
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            return None;
        }
        let (value, end) = self.value()?;
        Some((format!("{name}={value}"), end))
    }

    fn value(&mut self) -> Option<(String, Option<char>)> {
        // Bytes, as an escape of two digits may be a part of a character.
        let mut value: Vec<u8> = Vec::new();
        // How much of it is not to be trimmed.
        let mut kept = 0;
        let mut quoted = false;
        let mut buffer = [0; 4];
        let end = loop {
            match self.rest.next() {
                None if quoted => return None,
                None => break None,
                Some('"') => quoted = !quoted,
                Some(c @ (',' | ';' | '+')) if !quoted => {
                    break Some(if c == ';' { ',' } else { c });
                }
                Some('\\') => {
                    let first = self.rest.next()?;
                    match (first.to_digit(16), self.rest.peek().and_then(|c| c.to_digit(16))) {
                        (Some(high), Some(low)) => {
                            self.rest.next();
                            value.push(u8::try_from(high * 16 + low).ok()?);
                        }
                        _ => value.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes()),
                    }
                    kept = value.len();
                }
                Some(' ') if value.is_empty() && !quoted => {}
                Some(c) => {
                    value.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                    if quoted || c != ' ' {
                        kept = value.len();
                    }
                }
            }
        };
        value.truncate(kept);
        let value = String::from_utf8(value).ok()?;
        // Several spaces are one, and none counts at the ends (RFC 4518 §2.6.1).
        let mut plain = String::with_capacity(value.len());
        for word in value.split(' ').filter(|word| !word.is_empty()) {
            if !plain.is_empty() {
                plain.push(' ');
            }
            for c in word.chars().flat_map(char::to_lowercase) {
                if matches!(c, ',' | '+' | '\\' | '"' | ';') {
                    plain.push('\\');
                }
                plain.push(c);
            }
        }
        Some((plain, end))
    }
}

/// Finds the source's id of an entry by its name.
#[derive(Debug, Default)]
pub struct Names {
    ids: HashMap<Box<str>, Arc<str>>,
}

impl Names {
    pub fn insert(&mut self, dn: &str, id: Arc<str>) {
        if let Some(key) = key(dn) {
            self.ids.insert(key.into(), id);
        }
    }

    pub fn get(&self, dn: &str) -> Option<&str> {
        self.shared(dn).map(AsRef::as_ref)
    }

    /// The same, for those who keep many.
    pub fn shared(&self, dn: &str) -> Option<&Arc<str>> {
        self.ids.get(key(dn)?.as_str())
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ways_to_write_a_name_are_one_key() {
        for (one, other) in [
            (
                "CN=Doe\\, Jane \\+ Co,OU=People,dc=corp",
                "cn=Doe\\2C Jane \\2b Co, ou=people,DC=Corp",
            ),
            ("cn=\"Doe, Jane\",dc=x", "cn=Doe\\, Jane,dc=x"),
            ("cn=Nguyễn Zoë,dc=x", "CN=nguy\\E1\\BB\\85n zo\\C3\\AB;DC=X"),
            ("cn=a  b ,dc=x", "cn=A B,dc=x"),
            ("uid=a+cn=b,dc=x", "CN=B+UID=a,dc=x"),
            ("cn=\\20a\\20,dc=x", "cn=a,dc=x"),
        ] {
            assert_eq!(key(one), key(other), "{one}");
            assert!(key(one).is_some(), "{one}");
        }
        for (one, other) in [
            ("cn=a\\,dc=x", "cn=a,dc=x"),
            ("cn=a\\+uid=b,dc=x", "cn=a+uid=b,dc=x"),
            ("cn=a,dc=x", "cn=a,dc=x,dc=y"),
        ] {
            assert_ne!(key(one), key(other), "{one}");
        }
        for wrong in ["a", "cn=a,b", "=a", "cn=\"a", "cn=a\\", "cn=\\ff,dc=x", "cn=a,"] {
            assert_eq!(key(wrong), None, "{wrong}");
        }
        assert_eq!(key(""), Some(String::new()));
    }

    #[test]
    fn names_below_a_base_are_told_from_others() {
        for (name, base, below) in [
            ("uid=a,dc=x", "dc=x", true),
            ("dc=x", "dc=x", true),
            ("uid=a,adc=x", "dc=x", false),
            ("uid=a,dc=x", "", true),
            ("dc=y", "dc=x", false),
            ("cn=a\\,dc=x", "dc=x", false),
            ("cn=a\\\\,dc=x", "dc=x", true),
        ] {
            assert_eq!(is_below(name, base), below, "{name} {base}");
        }
    }

    proptest! {
        #[test]
        fn plain_names_have_the_key_of_any_name(dn in "[A-Za-c=,.@ -]{0,12}(,[a-c]{0,2}=?[A-Za-c.]{0,3}){0,2}") {
            if is_plain(&dn) {
                prop_assert_eq!(prepared(&dn), Some(dn.to_ascii_lowercase()), "{}", dn);
            }
        }

        #[test]
        fn a_key_is_its_own_key(dn in "(?:[a-z]{1,3}=[ -~ë]{1,8},){0,3}cn=[ -~ß]{1,8}") {
            if let Some(once) = key(&dn) {
                prop_assert_eq!(key(&once), Some(once.clone()), "{}", dn);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}") {
            let _ = key(&text);
        }
    }
}
