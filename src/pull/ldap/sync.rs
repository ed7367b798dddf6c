//! Messages of content synchronization (RFC 4533): what has changed since a cookie was given, in one
//! search.

use super::ber::{
    BOOLEAN, ENUMERATED, Malformed, OCTET_STRING, Reader, SEQUENCE, SET, number, octets, sequence,
};
use super::wire::Control;

/// The control that asks for it, and what a server that knows it lists in `supportedControl`.
pub const REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";

/// e-syncRefreshRequired: the cookie is not known any more (§2.5).
pub const REFRESH_REQUIRED: i64 = 4096;

/// Asks once for what has changed (refreshOnly).
pub fn request(cookie: &[u8]) -> Control {
    let value = sequence(&[number(ENUMERATED, 1), octets(cookie)]);
    Control::new(REQUEST, true, Some(value))
}

/// What an entry of the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Unchanged, and there.
    Present,
    /// New or changed; it comes whole.
    Changed,
    Deleted,
}

/// The state of an entry and its `entryUUID`.
pub fn state(controls: &[Control]) -> Result<(State, String), Malformed> {
    let value = super::wire::control(controls, STATE).ok_or(Malformed)?;
    let mut reader = Reader(Reader(value).expect(SEQUENCE)?);
    let state = match reader.number(ENUMERATED)? {
        0 => State::Present,
        1 | 2 => State::Changed,
        3 => State::Deleted,
        _ => return Err(Malformed),
    };
    Ok((state, uuid(reader.expect(OCTET_STRING)?)?))
}

/// What an intermediate message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// Entries that are gone.
    Deleted(Vec<String>),
    /// The server lists what is there: what it does not list is gone.
    Present,
    /// Of no meaning here.
    Other,
}

/// An intermediate message (§2.6).
pub fn info(oid: &str, value: &[u8]) -> Result<Info, Malformed> {
    if oid != INFO {
        return Ok(Info::Other);
    }
    let (tag, content) = Reader(value).take()?;
    let mut reader = Reader(content);
    match tag {
        // A new cookie, or the end of what was deleted.
        0x80 | 0xa1 => Ok(Info::Other),
        0xa2 => Ok(Info::Present),
        0xa3 => {
            reader.optional(OCTET_STRING)?;
            let deletes = reader.optional(BOOLEAN)?.is_some_and(|content| content != [0]);
            let mut set = Reader(reader.expect(SET)?);
            let mut uuids = Vec::new();
            while !set.is_empty() {
                uuids.push(uuid(set.expect(OCTET_STRING)?)?);
            }
            Ok(if deletes { Info::Deleted(uuids) } else { Info::Present })
        }
        _ => Err(Malformed),
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Where the next one goes on.
    pub cookie: Option<Vec<u8>>,
    /// Whether the server has named what is gone; otherwise it has listed what is there.
    pub names_deleted: bool,
}

pub fn done(controls: &[Control]) -> Result<Done, Malformed> {
    let Some(value) = super::wire::control(controls, DONE) else {
        return Ok(Done { cookie: None, names_deleted: false });
    };
    let mut reader = Reader(Reader(value).expect(SEQUENCE)?);
    let cookie = reader.optional(OCTET_STRING)?.map(<[u8]>::to_vec);
    let names_deleted = reader.optional(BOOLEAN)?.is_some_and(|content| content != [0]);
    Ok(Done { cookie, names_deleted })
}

/// A UUID as text (RFC 4122 §3).
pub fn uuid(bytes: &[u8]) -> Result<String, Malformed> {
    if bytes.len() != 16 {
        return Err(Malformed);
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ber::{boolean, element};
    use super::*;

    const BYTES: [u8; 16] =
        [0x5e, 0xb1, 0x4e, 0x8a, 0x5a, 0x5c, 0x10, 0x40, 0x9b, 0x53, 0, 1, 2, 3, 4, 0xff];
    const TEXT: &str = "5eb14e8a-5a5c-1040-9b53-0001020304ff";

    fn control(oid: &str, value: Vec<u8>) -> [Control; 1] {
        [Control::new(oid, false, Some(value))]
    }

    #[test]
    fn states_of_entries_are_read() {
        for (number_of_state, expected) in
            [(0, State::Present), (1, State::Changed), (2, State::Changed), (3, State::Deleted)]
        {
            let value = sequence(&[number(ENUMERATED, number_of_state), octets(&BYTES)]);
            assert_eq!(state(&control(STATE, value)), Ok((expected, TEXT.to_owned())));
        }
        let short = sequence(&[number(ENUMERATED, 1), octets(&[1, 2])]);
        assert_eq!(state(&control(STATE, short)), Err(Malformed));
        assert_eq!(state(&[]), Err(Malformed));
    }

    #[test]
    fn messages_say_what_is_gone_or_what_is_there() {
        let set = |deletes: Vec<u8>| {
            let set = element(SET, &octets(&BYTES));
            element(0xa3, &[octets(b"cookie"), deletes, set].concat())
        };
        let deleted = Info::Deleted(vec![TEXT.to_owned()]);
        for (value, expected) in [
            (set(boolean(true)), deleted),
            (set(boolean(false)), Info::Present),
            (set(Vec::new()), Info::Present),
            (element(0xa2, &[]), Info::Present),
            (element(0xa1, &[]), Info::Other),
            (element(0x80, b"cookie"), Info::Other),
        ] {
            assert_eq!(info(INFO, &value), Ok(expected));
        }
        assert_eq!(info("1.2.3", b""), Ok(Info::Other));
    }

    #[test]
    fn the_end_has_a_cookie_and_whether_deletes_were_named() {
        let value = sequence(&[octets(b"csn=1"), boolean(true)]);
        let expected = Done { cookie: Some(b"csn=1".to_vec()), names_deleted: true };
        assert_eq!(done(&control(DONE, value)), Ok(expected));
        let expected = Done { cookie: None, names_deleted: false };
        assert_eq!(done(&control(DONE, sequence(&[]))), Ok(expected));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = info(INFO, &value);
            let _ = state(&control(STATE, value.clone()));
            let _ = done(&control(DONE, value));
        }
    }
}
