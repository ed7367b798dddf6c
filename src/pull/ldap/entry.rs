//! An entry that a server lists. It stays as it came, in one piece of memory: a directory has many.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ber::{Malformed, OCTET_STRING, Reader, SEQUENCE, SET};
use super::wire::{Control, attribute};
use crate::scim::Object;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dn: String,
    pub controls: Vec<Control>,
    /// How many values all attributes have together.
    pub values_count: usize,
    /// The list of attributes, checked to be one.
    attributes: Box<[u8]>,
    /// Where each of them stands in it: an entry is asked for more attributes than it has.
    places: Box<[Place]>,
}

/// An attribute in the list: its name stands from `name` to `set`, its set of values from there to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    name: usize,
    set: usize,
    end: usize,
}

/// The values of an attribute.
#[derive(Clone, Debug)]
pub struct Values<'e>(Reader<'e>);

impl<'e> Iterator for Values<'e> {
    type Item = &'e [u8];

    fn next(&mut self) -> Option<&'e [u8]> {
        self.0.expect(OCTET_STRING).ok()
    }
}

fn values_of(mut set: Reader<'_>) -> Option<Values<'_>> {
    set.expect(SET).ok().map(|values| Values(Reader(values)))
}

impl Entry {
    /// Reads the content of a SearchResultEntry (RFC 4511 §4.5.2).
    pub fn parse(content: &[u8], controls: Vec<Control>) -> Result<Self, Malformed> {
        let mut reader = Reader(content);
        let dn = reader.text()?.to_owned();
        let attributes = reader.expect(SEQUENCE)?;
        let (mut rest, mut values_count, mut places) = (Reader(attributes), 0, Vec::new());
        while !rest.is_empty() {
            let (name, mut set) = attribute(&mut rest)?;
            std::str::from_utf8(name).map_err(|_| Malformed)?;
            let end = attributes.len() - rest.0.len();
            let start = end - set.0.len();
            places.push(Place { name: start - name.len(), set: start, end });
            let mut values = Reader(set.expect(SET)?);
            while !values.is_empty() {
                values.expect(OCTET_STRING)?;
                values_count += 1;
            }
        }
        Ok(Self {
            dn,
            controls,
            values_count,
            attributes: attributes.into(),
            places: places.into(),
        })
    }

    /// What it takes in memory, in bytes, near enough.
    pub fn size(&self) -> usize {
        let controls = self.controls.iter().filter_map(|control| control.value.as_ref());
        let controls: usize = controls.map(Vec::len).sum();
        let places = size_of_val(&*self.places);
        size_of::<Self>() + self.dn.len() + self.attributes.len() + places + controls
    }

    /// Every attribute by the name that the server gives it, with options (`member;range=0-1499`).
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Values<'_>)> {
        let named = |(name, set)| Some((std::str::from_utf8(name).ok()?, values_of(set)?));
        self.sets().filter_map(named)
    }

    /// Names and sets of values, as they stand there.
    fn sets(&self) -> impl Iterator<Item = (&[u8], Reader<'_>)> {
        self.places.iter().filter_map(|&Place { name, set, end }| {
            Some((self.attributes.get(name..set)?, Reader(self.attributes.get(set..end)?)))
        })
    }

    /// The values of an attribute, by its name in any letter case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let set = self.sets().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        set.and_then(|(_, set)| values_of(set)).into_iter().flatten()
    }

    /// Whether the attribute is there, with or without values.
    pub fn has(&self, name: &str) -> bool {
        self.sets().any(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The first value, of any bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values that are text and not empty.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let text = |value| std::str::from_utf8(value).ok().map(str::trim);
        self.values(name).filter_map(text).filter(|text| !text.is_empty())
    }

    /// The first value that is text and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// Whether the attribute is true (RFC 4517 §3.3.3), as servers write it.
    pub fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// The entry as filters and maps see it: `dn`, and attributes by their names; one value as a text,
    /// several as a list, and what is no text in Base64.
    pub fn payload(&self) -> Object {
        let shown = |value: &[u8]| match std::str::from_utf8(value) {
            Ok(text) if !text.contains('\0') => Value::from(text),
            _ => Value::from(STANDARD.encode(value)),
        };
        let mut payload = Object::new();
        payload.insert("dn".to_owned(), self.dn.as_str().into());
        for (name, values) in self.attributes() {
            let mut values: Vec<Value> = values.map(shown).collect();
            let value = match values.len() {
                0 => continue,
                1 => values.pop().unwrap_or_default(),
                _ => Value::Array(values),
            };
            payload.insert(name.to_owned(), value);
        }
        payload
    }
}

#[cfg(test)]
pub(in crate::pull) mod tests {
    use serde_json::json;

    use super::super::ber::{element, octets, sequence};
    use super::*;

    /// An entry as a server would send it.
    pub(in crate::pull) fn entry(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Entry {
        let listed: Vec<Vec<u8>> = attributes
            .iter()
            .map(|(name, values)| {
                let values: Vec<Vec<u8>> = values.iter().map(|value| octets(value)).collect();
                sequence(&[octets(name.as_bytes()), element(SET, &values.concat())])
            })
            .collect();
        let content = [octets(dn.as_bytes()), sequence(&listed)].concat();
        Entry::parse(&content, Vec::new()).expect("an entry")
    }

    #[test]
    fn attributes_are_found_in_any_letter_case_with_text_and_bytes() {
        let entry = entry(
            "uid=ada,dc=x",
            &[
                ("Mail", &[b"ada@example.com", b"a@example.com"]),
                ("objectGUID", &[b"\xff\x00"]),
                ("title", &[b" "]),
                ("empty", &[]),
                ("nsAccountLock", &[b"TRUE"]),
            ],
        );
        assert_eq!(entry.text("mail"), Some("ada@example.com"));
        assert_eq!(entry.texts("MAIL").count(), 2);
        assert_eq!(entry.bytes("objectguid"), Some(&b"\xff\x00"[..]));
        assert_eq!(
            (entry.text("objectGUID"), entry.text("title"), entry.text("sn")),
            (None, None, None)
        );
        assert!(entry.has("empty") && !entry.has("sn") && entry.is_true("nsaccountlock"));
        assert_eq!(
            Value::Object(entry.payload()),
            json!({
                "dn": "uid=ada,dc=x",
                "Mail": ["ada@example.com", "a@example.com"],
                "objectGUID": "/wA=",
                "title": " ",
                "nsAccountLock": "TRUE",
            })
        );
    }
}
