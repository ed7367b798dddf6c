//! The data of an event as an embedded database keeps it: a third of its length.
//!
//! The first byte says the form. `{` is the JSON text itself: rows of earlier versions have it, and texts that
//! do not get shorter. 1 is the number of the dictionary that the text was packed with; behind it stand the
//! length of the text, as four bytes with the least first, and an LZ4 block.
//!
//! A dictionary never changes: what was packed with it could not be read any more. A better one gets the next
//! number.

use std::fmt;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_with_dict};

const FIRST: u8 = 1;

/// An event of the usual shape without its values, and some members that others have: what a text has in
/// common with it takes three bytes.
const FIRST_DICTIONARY: &[u8] = include_bytes!("packed/1.json");

/// No byte of a block stands for more than so many of the text.
const MOST: usize = 255;

/// What is kept is not what [`pack`] has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The form with this number is not known here.
    Form(u8),
    Damaged,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(number) => write!(f, "the data of an event has the unknown form {number}"),
            Self::Damaged => f.write_str("the data of an event is damaged"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The text in as few bytes as it takes.
pub fn pack(text: &str) -> Vec<u8> {
    let block = compress_prepend_size_with_dict(text.as_bytes(), FIRST_DICTIONARY);
    match text.starts_with('{') && block.len() >= text.len() {
        true => text.as_bytes().to_vec(),
        false => [&[FIRST], block.as_slice()].concat(),
    }
}

/// The text that was packed.
pub fn unpack(kept: Vec<u8>) -> Result<String, Unreadable> {
    let text = match kept.split_first() {
        Some((b'{', _)) => kept,
        Some((&FIRST, block)) => text_of(block).ok_or(Unreadable::Damaged)?,
        Some((&form, _)) => return Err(Unreadable::Form(form)),
        None => return Err(Unreadable::Damaged),
    };
    String::from_utf8(text).map_err(|_| Unreadable::Damaged)
}

/// The bytes of a block behind their length. A length that cannot be takes no memory.
fn text_of(block: &[u8]) -> Option<Vec<u8>> {
    let (length, block) = block.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > block.len().saturating_mul(MOST) {
        return None;
    }
    let text = decompress_with_dict(block, length, FIRST_DICTIONARY).ok()?;
    (text.len() == length).then_some(text)
}
