//! Cursors: only what the server sealed opens, for its own query, and it says what was sealed.
//!
//! The first bytes choose a change to the sealed text; the rest is the message in it.

use std::sync::LazyLock;

use rollbook::auth::{Seal, SecretKey};
use rollbook::scim::{ScimError, ScimType};
use rollbook::service::query::open_cursor;
use serde_json::Value;

const QUERY: [u8; 16] = *b"0123456789abcdef";
const OTHER: [u8; 16] = *b"0123456789abcdeF";

static KEY: LazyLock<SecretKey> = LazyLock::new(SecretKey::generate);
static SEAL: LazyLock<Seal> = LazyLock::new(|| KEY.seal("cursor"));
static FOREIGN: LazyLock<[Seal; 2]> =
    LazyLock::new(|| [KEY.seal("credential"), SecretKey::generate().seal("cursor")]);
pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_refused(open_cursor(&KEY, QUERY, text, 1, 0), ScimType::InvalidCursor);
    }
    let Some((edit, message)) = data.split_first_chunk::<3>() else { return };
    let (count, expires) = limits(message).unwrap_or((1, 1));
    let open = |text: &str| open_cursor(&KEY, QUERY, text, count, expires.saturating_sub(1));

    let sealed = SEAL.seal(&QUERY, message);
    for foreign in FOREIGN.iter() {
        assert_refused(open(&foreign.seal(&QUERY, message)), ScimType::InvalidCursor);
    }
    let changed = change(&sealed, *edit);
    if changed != sealed {
        assert_refused(open(&changed), ScimType::InvalidCursor);
    }
    let Ok(opened) = open(&sealed) else { return };
    // What the server writes into a cursor is what it reads from it.
    assert_eq!(open(&SEAL.seal(&QUERY, opened.as_bytes())).as_ref(), Ok(&opened));
    let (count, expires) = limits(opened.as_bytes()).expect("a cursor has both");
    let other = open_cursor(&KEY, OTHER, &sealed, count, expires - 1);
    assert_refused(other, ScimType::InvalidCursor);
    let larger = open_cursor(&KEY, QUERY, &sealed, count.wrapping_add(1), expires - 1);
    assert_refused(larger, ScimType::InvalidCount);
    let late = open_cursor(&KEY, QUERY, &sealed, count, expires);
    assert_refused(late, ScimType::ExpiredCursor);
}

/// The page size that a cursor is for, and when it expires.
fn limits(message: &[u8]) -> Option<(u32, i64)> {
    let message: Value = serde_json::from_slice(message).ok()?;
    Some((message.get("c")?.as_u64()?.try_into().ok()?, message.get("x")?.as_i64()?))
}

/// One change to a text that is all ASCII.
fn change(text: &str, [kind, place, byte]: [u8; 3]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let place = usize::from(place) % bytes.len();
    let byte = byte & 0x7f;
    match kind % 5 {
        0 => bytes[place] = byte,
        1 => bytes.insert(place, byte),
        2 => drop(bytes.remove(place)),
        3 => bytes.truncate(place),
        _ => bytes.push(byte),
    }
    String::from_utf8(bytes).expect("ASCII")
}

fn assert_refused(opened: Result<String, ScimError>, word: ScimType) {
    let error = opened.expect_err("refused");
    assert_eq!((error.status, error.scim_type), (400, Some(word)), "{error:?}");
}
