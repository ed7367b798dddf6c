//! Names of one directory's things by label, and where they stand in an answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Answer, encode};

/// Length of a ULID.
const ULID: usize = 26;

/// Label → name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    pub(super) fn insert(&mut self, label: &str, name: impl Into<String>) {
        self.0.insert(label.to_owned(), name.into());
    }

    #[track_caller]
    pub(super) fn get(&self, label: &str) -> &str {
        self.0.get(label).unwrap_or_else(|| panic!("nothing is called {label}"))
    }

    /// The text with each `{label}` replaced by its name, and each `{=label}` by its name as a query
    /// wants it.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (label, name)| {
            text.replace(&format!("{{{label}}}"), name)
                .replace(&format!("{{={label}}}"), &encode(name))
        })
    }

    /// The same for text inside JSON.
    pub(super) fn fill_json(&self, text: &str) -> String {
        let escaped = |name: &str| name.replace('"', "\\\"");
        Self(self.0.iter().map(|(label, name)| (label.clone(), escaped(name))).collect()).fill(text)
    }

    /// Names of the same form that nobody has: one other character in ids, other digits in marks.
    pub(super) fn ghosts(&self) -> Self {
        Self(self.0.iter().map(|(label, name)| (label.clone(), ghost(name))).collect())
    }

    /// What must not be seen: every id and every mark in these names, and the names themselves.
    pub(super) fn marks(&self) -> Vec<String> {
        let mut marks = Vec::new();
        for name in self.0.values() {
            let lower = name.to_lowercase();
            marks.extend(ulids(name).map(str::to_lowercase));
            marks.extend(lower.match_indices("zq").filter_map(|(at, _)| {
                lower.get(at..at + 8).filter(|mark| mark.ends_with("qz")).map(str::to_owned)
            }));
            // A tag says nothing by itself.
            if !lower.starts_with("w/") {
                marks.push(lower);
            }
        }
        marks.sort();
        marks.dedup();
        marks
    }
}

fn is_ulid(text: &str) -> bool {
    text.len() == ULID
        && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && text.starts_with('0')
}

/// Every ULID in a text.
fn ulids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| {
        let head = word.get(..ULID)?;
        is_ulid(head).then_some(head)
    })
}

fn ghost(name: &str) -> String {
    let mut ghost = name.to_owned();
    for ulid in ulids(name) {
        // Ids of one moment differ at their ends; this character they share.
        let (head, tail) = ulid.split_at(ULID - 4);
        let (changed, rest) = tail.split_at(1);
        let other = if changed == "Z" { "Y" } else { "Z" };
        ghost = ghost.replace(ulid, &format!("{head}{other}{rest}"));
    }
    // The mark's first digit is 0; a ghost's is 9.
    ghost = ghost.replace("zq0", "zq9");
    if ghost == name {
        // A cursor, a tag: another one of the same length.
        let last = ghost.pop();
        ghost.push(if last == Some('"') { '"' } else { flipped(last) });
    }
    ghost
}

fn flipped(last: Option<char>) -> char {
    if last == Some('A') { 'B' } else { 'A' }
}

/// Marks of B that the answer shows and may not show. What the request named may stand in the sentence
/// of a refusal; with `stores` also in what A has stored.
pub(super) fn shown(b: &Names, sent: &str, answer: &Answer, stores: bool) -> Vec<String> {
    let sent = percent_encoding::percent_decode_str(sent).decode_utf8_lossy().to_lowercase();
    let headers: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id")
        .map(|(_, value)| value.as_str())
        .collect();
    let all = format!("{} {}", headers.join(" "), answer.text).to_lowercase();
    let plain = format!("{} {}", headers.join(" "), without_sentences(&answer.body)).to_lowercase();
    b.marks()
        .into_iter()
        .filter(|mark| {
            if !sent.contains(mark.as_str()) {
                return all.contains(mark.as_str());
            }
            let is_stored = stores && answer.status < 300;
            !is_stored && plain.contains(mark.as_str())
        })
        .collect()
}

/// The answer without the sentences of its refusals.
fn without_sentences(body: &Value) -> Value {
    match body {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| {
                !["detail", "message", "error_description"].contains(&name.as_str())
            })
            // The sentence of SCIM 1.1.
            .filter(|(name, _)| *name != "description" || body["code"].is_null())
            // A refused operation of a bulk request says which resource it named (RFC 7644 §3.7).
            .filter(|(name, _)| {
                let refused = body["status"].as_str().is_some_and(|status| status >= "400");
                *name != "location" || !refused
            })
            .map(|(name, value)| (name.clone(), without_sentences(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_sentences).collect(),
        other => other.clone(),
    }
}

/// The answer without anything that may differ between two requests of the same kind: the names, new
/// ids, secrets, tags.
pub(super) fn anonymous(names: &Names, answer: &Answer) -> String {
    let location = answer.header("location").unwrap_or_default();
    let mut text = format!("{location} {}", answer.text);
    if let Some(token) = answer.body["access_token"].as_str() {
        text = text.replace(token, "…");
    }
    let mut named: Vec<(&String, &String)> = names.0.iter().collect();
    // The longest first: a key is part of an id.
    named.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
    for (label, name) in named.iter().filter(|(_, name)| !name.starts_with("W/")) {
        for form in [(*name).clone(), name.to_lowercase(), name.to_uppercase()] {
            text = text.replace(&form, &format!("«{label}»"));
        }
    }
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(blurred).collect()
}

/// A word with its separator; ids, secrets and digests as a sign.
fn blurred(word: &str) -> String {
    let (body, end) = match word.char_indices().last() {
        Some((at, last)) if !last.is_ascii_alphanumeric() => word.split_at(at),
        _ => (word, ""),
    };
    let is_digest = body.len() == 12 && body.bytes().all(|b| b.is_ascii_hexdigit());
    if body.get(..ULID).is_some_and(is_ulid) || is_digest || body.len() > 40 {
        return format!("…{end}");
    }
    word.to_owned()
}

#[test]
fn ghosts_have_other_names_of_the_same_form() {
    let mut b = Names::default();
    b.insert("user", "directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    b.insert("user_name", "zq0001qz@example.com");
    b.insert("cursor", "abcA");
    let ghosts = b.ghosts();
    assert_eq!(ghosts.get("user"), "directory_user_01ARZ3NDEKTSV4RRFFQ69GZFAV");
    assert_eq!(ghosts.get("user_name"), "zq9001qz@example.com");
    assert_eq!(ghosts.get("cursor"), "abcB");
    assert_eq!(
        b.fill("/Users/{user}?x={=user_name}"),
        "/Users/directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV?x=zq0001qz%40example%2Ecom"
    );
    assert!(b.marks().contains(&"zq0001qz".to_owned()));
    assert!(b.marks().contains(&"01arz3ndektsv4rrffq69g5fav".to_owned()));
}
