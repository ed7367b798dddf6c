//! Changes to inputs that keep their form: what is changed byte by byte is hardly ever read.

use std::str;

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value, json};

/// Makes an element of `Operations`.
pub type Element = fn(&mut Random, &[String]) -> Value;

/// A custom mutation of libFuzzer for messages with `Operations`: makes a new one, adds an operation to
/// the one in the first `size` bytes of `data`, or changes its tree in up to four places, and returns
/// the new size. `words` are names and texts that mean something to the target.
///
/// Every fourth input, and what is no JSON, is changed by libFuzzer itself.
pub fn json(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    words: &[String],
    element: Element,
) -> usize {
    let mut random = Random(seed.into());
    let tree = serde_json::from_slice(&data[..size]);
    let (Ok(mut tree), false) = (tree, random.below(4) == 0) else {
        return fuzzer_mutate(data, size, max_size);
    };
    match (random.below(6), operations(&mut tree)) {
        (0, _) => {
            let made: Vec<Value> =
                (0..=random.below(3)).map(|_| element(&mut random, words)).collect();
            tree = json!({"Operations": made});
        }
        (1, Some(operations)) => {
            let at = random.below(operations.len() + 1);
            operations.insert(at, element(&mut random, words));
        }
        _ => (0..=random.below(4)).for_each(|_| change(&mut tree, &mut random, words)),
    }
    let text = tree.to_string();
    fill(data, &text, max_size).unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
}

fn operations(tree: &mut Value) -> Option<&mut Vec<Value>> {
    tree.get_mut("Operations")?.as_array_mut()
}

/// What may stand before and behind a piece of text, so that what could be read still can.
pub type Frames = [(&'static str, &'static str)];

/// The words of a dictionary of libFuzzer: a line each, in quotation marks, with `\\`, `\"` and `\x00`
/// to escape bytes.
pub fn words(dictionary: &str) -> Vec<String> {
    let lines = dictionary.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    lines.map(|line| unescaped(line).expect("a dictionary of UTF-8")).collect()
}

fn unescaped(line: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (first, after) {
            (b'\\', [b'x', digits @ ..]) => {
                let (hex, after) = digits.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok()?
            }
            (b'\\', [escaped, after @ ..]) => {
                rest = after;
                *escaped
            }
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A custom mutation of libFuzzer: changes the names, signs and strings of a filter or path in up to
/// three places, or puts a frame around some or all of them, and returns the new size.
///
/// Every fourth input, and what is no text, is changed by libFuzzer itself.
pub fn text(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    words: &[String],
    frames: &Frames,
) -> usize {
    let mut random = Random(seed.into());
    let text = str::from_utf8(&data[..size]);
    let (Ok(text), false) = (text, random.below(4) == 0) else {
        return fuzzer_mutate(data, size, max_size);
    };
    let mut pieces = pieces(text);
    for _ in 0..=random.below(3) {
        change_pieces(&mut pieces, &mut random, words, frames);
    }
    let text = pieces.concat();
    fill(data, &text, max_size).unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
}

/// Puts the text where the input is, if there is room for it.
fn fill(data: &mut [u8], text: &str, max_size: usize) -> Option<usize> {
    let room = data.get_mut(..text.len()).filter(|room| room.len() <= max_size)?;
    room.copy_from_slice(text.as_bytes());
    Some(text.len())
}

/// Names, runs of space, quoted strings, and single characters of any other kind.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "$_-:".contains(c);
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            ' ' => rest.find(|c| c != ' ').unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces
}

fn change_pieces(pieces: &mut Vec<String>, random: &mut Random, words: &[String], frames: &Frames) {
    let (one, other) = (random.below(pieces.len() + 1), random.below(pieces.len() + 1));
    let (start, end) = (one.min(other), one.max(other));
    let to = random.below(pieces.len() + 1);
    let (before, behind) = random.one_of(frames);
    match random.below(9) {
        0 => drop(pieces.drain(start..end)),
        1 => {
            let copy = pieces[start..end].to_vec();
            drop(pieces.splice(to..to, copy));
        }
        2 => pieces.insert(to, random.one_of(words)),
        3 if to < pieces.len() => pieces[to] = random.one_of(words),
        4 if to < pieces.len() => change_text(&mut pieces[to], random, words),
        5 if to < pieces.len() => drop(pieces.remove(to)),
        6 => {
            pieces.insert(end, behind.to_owned());
            pieces.insert(start, before.to_owned());
        }
        _ => {
            pieces.push(behind.to_owned());
            pieces.insert(0, before.to_owned());
        }
    }
}

/// SplitMix64: the same seed makes the same changes.
pub struct Random(u64);

impl Random {
    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }

    /// A copy of one of them; there must be one.
    pub fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

fn change(tree: &mut Value, random: &mut Random, words: &[String]) {
    let count = nodes(tree);
    let other = nth(tree, &mut random.below(count)).cloned();
    let Some(node) = nth(tree, &mut random.below(count)) else { return };
    let fresh = match random.below(3) {
        0 => value(random, words),
        _ => other.unwrap_or_default(),
    };
    match (random.below(6), node) {
        (0, node) => *node = fresh,
        (1, node) => *node = leaf(random, words),
        (2, node) => *node = json!([node.take()]),
        (_, Value::Array(elements)) => change_array(elements, fresh, random),
        (_, Value::Object(members)) => change_object(members, fresh, random, words),
        (_, Value::String(text)) => change_text(text, random, words),
        (_, node) => *node = leaf(random, words),
    }
}

fn change_array(elements: &mut Vec<Value>, fresh: Value, random: &mut Random) {
    let (at, other) = (random.below(elements.len()), random.below(elements.len()));
    match random.below(4) {
        _ if elements.is_empty() => elements.push(fresh),
        0 => drop(elements.remove(at)),
        1 => elements.swap(at, other),
        2 => elements.insert(at, elements[other].clone()),
        _ => elements.insert(at, fresh),
    }
}

fn change_object(
    members: &mut Map<String, Value>,
    fresh: Value,
    random: &mut Random,
    words: &[String],
) {
    let name = members.keys().nth(random.below(members.len())).cloned().unwrap_or_default();
    match random.below(4) {
        0 => drop(members.remove(&name)),
        1 => {
            let value = members.remove(&name).unwrap_or_default();
            members.insert(random.one_of(words), value);
        }
        2 => {
            let value = members.remove(&name).unwrap_or_default();
            members.insert(name.to_ascii_uppercase(), value);
        }
        _ => drop(members.insert(random.one_of(words), fresh)),
    }
}

/// Characters with a meaning in paths, and some that other code trips over.
const PUNCTUATION: [&str; 9] = ["\"", "[", "]", ".", ":", " ", "\u{0}", "é", "İ"];

fn change_text(text: &mut String, random: &mut Random, words: &[String]) {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let at = starts.get(random.below(starts.len() + 1)).copied().unwrap_or(text.len());
    match random.below(5) {
        0 => text.truncate(at),
        1 => text.insert_str(at, &random.one_of(words)),
        2 if at < text.len() => drop(text.remove(at)),
        3 => text.insert_str(at, random.one_of(&PUNCTUATION)),
        _ => *text = random.one_of(words),
    }
}

/// A small value of any shape.
pub fn value(random: &mut Random, words: &[String]) -> Value {
    let members = |random: &mut Random| -> Value {
        let count = random.below(4);
        (0..count).map(|_| (random.one_of(words), leaf(random, words))).collect()
    };
    match random.below(6) {
        0 => members(random),
        1 => json!([members(random)]),
        2 => json!([leaf(random, words), leaf(random, words)]),
        _ => leaf(random, words),
    }
}

fn leaf(random: &mut Random, words: &[String]) -> Value {
    match random.below(10) {
        0 => Value::Null,
        1 => random.below(2).eq(&0).into(),
        2 => json!(random.below(4)),
        3 => json!(-0.1),
        4 => json!(u64::MAX),
        5 => json!([]),
        6 => json!({}),
        _ => random.one_of(words).into(),
    }
}

fn children(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Array(elements) => elements.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    }
}

fn nodes(value: &mut Value) -> usize {
    1 + children(value).into_iter().map(nodes).sum::<usize>()
}

/// The node that comes after `left` others, in the order of the text.
fn nth<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    children(value).into_iter().find_map(|child| nth(child, left))
}
