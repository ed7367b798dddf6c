//! What Active Directory adds to LDAP (MS-ADTS §3.1.1.3): ids, names that hold them, values that come in
//! parts, times, and its own synchronization. Pure.

use super::ber::{INTEGER, Malformed, OCTET_STRING, Reader, SEQUENCE, number, octets, sequence};
use super::entry::{Entry, Values};
use super::wire::{Control, control};

const DIRSYNC: &str = "1.2.840.113556.1.4.841";
const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// Milliseconds from 1601, where FILETIME begins, to 1970.
const EPOCH_MS: i64 = 11_644_473_600_000;

/// FILETIME counts tenths of a microsecond.
const TICKS_PER_MS: i64 = 10_000;

/// Asks for names with the ids of their entries (§3.1.1.3.4.1.5).
pub fn extended_names() -> Control {
    // With ids as text, not in hexadecimal digits.
    Control::new(EXTENDED_DN, true, Some(sequence(&[number(INTEGER, 1)])))
}

/// Asks for what was deleted, too (§3.1.1.3.4.1.14).
pub fn show_deleted() -> Control {
    Control::new(SHOW_DELETED, true, None)
}

/// Asks for what has changed since a cookie was given (§3.1.1.3.4.1.3). Of members only those who come and
/// go are sent.
pub fn dirsync(cookie: &[u8]) -> Control {
    // LDAP_DIRSYNC_INCREMENTAL_VALUES, of 32 bits with a sign.
    let flags = i64::from(i32::MIN);
    let parts = [number(INTEGER, flags), number(INTEGER, i64::from(i32::MAX)), octets(cookie)];
    Control::new(DIRSYNC, true, Some(sequence(&parts)))
}

/// Where synchronization goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Whether there is more to be asked for at once.
    pub more: bool,
    pub cookie: Vec<u8>,
}

/// The end of an answer to [`dirsync`].
pub fn synced(controls: &[Control]) -> Result<Synced, Malformed> {
    let mut reader = Reader(Reader(control(controls, DIRSYNC).ok_or(Malformed)?).expect(SEQUENCE)?);
    let more = reader.number(INTEGER)? != 0;
    reader.expect(INTEGER)?;
    Ok(Synced { more, cookie: reader.expect(OCTET_STRING)?.to_vec() })
}

/// A name with what it holds beside: `<GUID=…>;<SID=…>;CN=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'n> {
    /// `objectGUID` as text.
    pub guid: Option<&'n str>,
    /// The last part of `objectSid`, which counts within a domain.
    pub rid: Option<u32>,
    pub dn: &'n str,
}

impl<'n> Name<'n> {
    pub fn parse(text: &'n str) -> Self {
        let mut name = Self { guid: None, rid: None, dn: text };
        while let Some((part, rest)) = name.dn.strip_prefix('<').and_then(|dn| dn.split_once('>')) {
            match part.split_once('=') {
                Some(("GUID", guid)) => name.guid = Some(guid),
                Some(("SID", sid)) => {
                    name.rid = sid.rsplit('-').next().and_then(|rid| rid.parse().ok());
                }
                _ => {}
            }
            name.dn = rest.strip_prefix(';').unwrap_or(rest);
        }
        name
    }
}

/// `objectGUID` as text. The first three of its parts have their bytes the other way round (MS-DTYP §2.3.4).
pub fn guid(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    super::sync::uuid(&[[d, c, b, a, f, e, h, g], rest].concat()).ok()
}

/// A filter for the entry of that id; `None` for what is none.
pub fn guid_filter(guid: &str) -> Option<String> {
    let digits: Vec<char> = guid.chars().filter(|c| *c != '-').collect();
    let bytes: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    let is_hex = digits.iter().all(char::is_ascii_hexdigit);
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes.as_slice() else { return None };
    let order = [d, c, b, a, f, e, h, g].into_iter().chain(rest);
    let value: String = order.map(|byte| format!("\\{byte}")).collect();
    (is_hex && digits.len() == 32).then(|| format!("(objectGUID={value})"))
}

/// A part of the values of an attribute.
#[derive(Clone, Debug)]
pub struct Part<'e> {
    pub from: u64,
    /// Where the next part begins; `None` after the last one.
    pub next: Option<u64>,
    pub values: Values<'e>,
}

/// The values that an entry has of an attribute, which was asked for in parts (§3.1.1.3.1.3.3): the server
/// names it `member;range=0-1499`, or `member;range=0-*` where it is the last part. `None` where there are
/// no values.
pub fn part<'e>(entry: &'e Entry, attribute: &str) -> Option<Part<'e>> {
    entry.attributes().find_map(|(name, values)| {
        let (name, range) = name.split_once(';')?;
        let (from, to) = range.split_once('=')?.1.split_once('-')?;
        if !name.eq_ignore_ascii_case(attribute) {
            return None;
        }
        let next = match to {
            "*" => None,
            to => Some(to.parse::<u64>().ok()?.checked_add(1)?),
        };
        Some(Part { from: from.parse().ok()?, next, values })
    })
}

/// The name under which so many values from a place on are asked for.
pub fn part_name(attribute: &str, from: u64, count: u64) -> String {
    format!("{attribute};range={from}-{}", from.saturating_add(count).saturating_sub(1))
}

/// A time since 1970 as FILETIME.
pub fn filetime(ms: i64) -> i64 {
    ms.saturating_add(EPOCH_MS).saturating_mul(TICKS_PER_MS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pull::ldap::check_filter;
    use crate::pull::ldap::entry::tests::entry;

    const BYTES: [u8; 16] = [
        0x9c, 0xcb, 0x55, 0xf5, 0x8d, 0x79, 0x49, 0x4e, 0x8d, 0xaa, 0x6a, 0x10, 0x2d, 0x15, 0x57,
        0xf0,
    ];
    const TEXT: &str = "f555cb9c-798d-4e49-8daa-6a102d1557f0";

    #[test]
    fn ids_are_text_as_administrators_see_them() {
        assert_eq!(guid(&BYTES).as_deref(), Some(TEXT));
        assert_eq!(guid(&BYTES[1..]), None);
        let filter = r"(objectGUID=\9c\cb\55\f5\8d\79\49\4e\8d\aa\6a\10\2d\15\57\f0)";
        assert_eq!(guid_filter(TEXT).as_deref(), Some(filter));
        assert_eq!(check_filter(filter), Ok(()));
        for wrong in [
            "",
            "f555cb9c",
            "f555cb9c-798d-4e49-8daa-6a102d1557f0-00",
            "*)(a=*)(b=*)(c=*)(d=*)(e=f",
        ] {
            assert_eq!(guid_filter(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_hold_ids() {
        let name = Name::parse(
            "<GUID=f555cb9c-798d-4e49-8daa-6a102d1557f0>;<SID=S-1-5-21-37-91-25-1107>;CN=A\\, <b>,DC=x",
        );
        assert_eq!(name, Name { guid: Some(TEXT), rid: Some(1107), dn: "CN=A\\, <b>,DC=x" });
        let plain = Name { guid: None, rid: None, dn: "CN=A;B,DC=x" };
        assert_eq!(Name::parse("CN=A;B,DC=x"), plain);
        assert_eq!(Name::parse("<GUID").dn, "<GUID");
    }

    #[test]
    fn parts_of_values_say_where_the_next_one_begins() {
        let parts = |name: &str| {
            let entry = entry("cn=g", &[("member", &[]), (name, &[b"a", b"b"])]);
            part(&entry, "member").map(|part| (part.from, part.next, part.values.count()))
        };
        assert_eq!(parts("member;range=0-1499"), Some((0, Some(1_500), 2)));
        assert_eq!(parts("Member;Range=1500-*"), Some((1_500, None, 2)));
        for other in [
            "member",
            "memberOf;range=0-*",
            "member;range=a-*",
            "member;range=0-18446744073709551615",
        ] {
            assert_eq!(parts(other), None, "{other}");
        }
        assert_eq!(part_name("member", 1_500, 1_500), "member;range=1500-2999");
    }

    #[test]
    fn times_are_counted_from_1601() {
        // 2020-01-01T00:00:00Z
        assert_eq!(filetime(1_577_836_800_000), 132_223_104_000_000_000);
    }

    #[test]
    fn synchronization_is_asked_for_and_goes_on() {
        let asked = dirsync(b"c").value.expect("a value");
        assert_eq!(asked, b"\x30\x0f\x02\x04\x80\x00\x00\x00\x02\x04\x7f\xff\xff\xff\x04\x01c");
        let answer = sequence(&[number(INTEGER, 1), number(INTEGER, 0), octets(b"next")]);
        let answer = [Control::new(DIRSYNC, false, Some(answer))];
        assert_eq!(synced(&answer), Ok(Synced { more: true, cookie: b"next".to_vec() }));
        assert_eq!(synced(&[]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Name::parse(&text), guid_filter(&text), guid(&bytes));
            let _ = synced(&[Control::new(DIRSYNC, false, Some(bytes))]);
        }
    }
}
