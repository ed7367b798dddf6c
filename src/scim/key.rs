//! Comparison keys: the form in which values are indexed and compared.
//!
//! A key is made when a value is written and when a filter is resolved, never by the database. Two
//! values are equal exactly when their keys are (RFC 7643 §2.2 `caseExact`, RFC 7644 §7.8).

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use unicode_normalization::char::decompose_compatible;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::schema::{Attribute, DataType};

/// The comparison key of text.
///
/// With `case_exact` it is the text in NFC. Without, full-width and half-width forms are mapped to
/// the usual ones, letters are lower-cased (not case-folded: `straße` stays apart from `strasse`)
/// and outer white space goes.
pub fn text_key(value: &str, case_exact: bool) -> String {
    if case_exact {
        return part_key(value, true);
    }
    let key = part_key(value, false);
    match key.trim() {
        trimmed if trimmed.len() == key.len() => key,
        trimmed => trimmed.to_owned(),
    }
}

/// Like [`text_key`], with outer white space kept: what `co`, `sw` and `ew` look for inside a key
/// may begin or end with a space that counts.
pub fn part_key(value: &str, case_exact: bool) -> String {
    match (case_exact, value.is_ascii()) {
        (true, true) => value.to_owned(),
        (true, false) => composed(value.into()).into_owned(),
        (false, true) => value.to_ascii_lowercase(),
        (false, false) => {
            let value = match value.chars().any(has_other_width) {
                true => composed(value.chars().flat_map(width_mapped).collect()),
                false => composed(value.into()),
            };
            // Lower-casing can leave a pair that has a composed form: J and a caron.
            composed(value.chars().flat_map(char::to_lowercase).collect()).into_owned()
        }
    }
}

/// In NFC. Most text is already.
fn composed(text: Cow<'_, str>) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

/// Whether [`width_mapped`] makes something else of it.
fn has_other_width(c: char) -> bool {
    matches!(c, '\u{3000}' | '\u{FF00}'..='\u{FFEF}')
}

/// The decomposition mapping of full-width and half-width forms, one step, as in RFC 8265 §3.3.1;
/// any other character as it is.
fn width_mapped(c: char) -> impl Iterator<Item = char> {
    let mut mapped = Vec::with_capacity(1);
    match c {
        // A full decomposition would go on, past the character of normal width.
        '\u{FFE3}' => mapped.push('\u{AF}'),
        '\u{FFA0}'..='\u{FFDC}' => mapped.push(wide_hangul(c).unwrap_or(c)),
        '\u{3000}' | '\u{FF00}'..='\u{FFEF}' => decompose_compatible(c, |part| mapped.push(part)),
        _ => mapped.push(c),
    }
    mapped.into_iter()
}

/// The letter of normal width for a half-width Hangul letter.
fn wide_hangul(c: char) -> Option<char> {
    let runs = [
        ('\u{FFA0}'..='\u{FFA0}', '\u{3164}'),
        ('\u{FFA1}'..='\u{FFBE}', '\u{3131}'),
        ('\u{FFC2}'..='\u{FFC7}', '\u{314F}'),
        ('\u{FFCA}'..='\u{FFCF}', '\u{3155}'),
        ('\u{FFD2}'..='\u{FFD7}', '\u{315B}'),
        ('\u{FFDA}'..='\u{FFDC}', '\u{3161}'),
    ];
    let (run, wide) = runs.into_iter().find(|(run, _)| run.contains(&c))?;
    char::from_u32(u32::from(wide) + (u32::from(c) - u32::from(*run.start())))
}

/// How whole text values of an attribute are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    AnyCase,
    CaseExact,
    /// Case exact, and the same in every version of the protocol.
    ResourceUri,
}

impl TextForm {
    /// References and binary values are case exact whatever the schema says (RFC 7643 §2.3.6, §2.3.7);
    /// registered schema URIs are found in any letter case everywhere.
    pub fn of(attribute: &Attribute) -> Self {
        match attribute.data_type {
            _ if attribute.name == "schemas" => Self::AnyCase,
            _ if refers_to_resources(attribute) => Self::ResourceUri,
            DataType::Reference | DataType::Binary => Self::CaseExact,
            _ if attribute.case_exact => Self::CaseExact,
            _ => Self::AnyCase,
        }
    }

    pub fn is_case_exact(self) -> bool {
        self != Self::AnyCase
    }

    /// The comparison key of a whole value.
    pub fn key(self, text: &str) -> String {
        let key = text_key(text, self.is_case_exact());
        match self {
            Self::AnyCase | Self::CaseExact => key,
            Self::ResourceUri => resource_uri_key(&key).into_owned(),
        }
    }
}

/// True for references to what a SCIM API serves. What is `external`, such as a photo, is not
/// versioned by this protocol.
pub fn refers_to_resources(attribute: &Attribute) -> bool {
    let types = &attribute.reference_types;
    attribute.data_type == DataType::Reference
        && (types.is_empty() || types.iter().any(|t| !t.eq_ignore_ascii_case("external")))
}

/// The comparison key of a URI of a SCIM resource: the URI without the version of the protocol, so
/// that `https://example.com/v2/Users/1` is `https://example.com/Users/1` (RFC 7643 §2.4).
///
/// A version is a path segment of `v` and digits with another segment behind it (RFC 7644 §3.13);
/// the last one is a resource's id or name.
pub fn resource_uri_key(uri: &str) -> Cow<'_, str> {
    let is_version = |segment: &str| {
        segment.strip_prefix('v').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    let (before_query, query) = uri.split_at(uri.find(['?', '#']).unwrap_or(uri.len()));
    let host = before_query.find("://").map_or(0, |at| at + "://".len());
    let (authority, path) = match (host, before_query.get(host..)) {
        (1.., Some(rest)) => before_query.split_at(host + rest.find('/').unwrap_or(rest.len())),
        _ => ("", before_query),
    };
    let Some((folders, last)) = path.rsplit_once('/') else { return uri.into() };
    if !folders.split('/').any(is_version) {
        return uri.into();
    }
    let mut segments: Vec<&str> = folders.split('/').filter(|part| !is_version(part)).collect();
    segments.push(last);
    format!("{authority}{}{query}", segments.join("/")).into()
}

/// Milliseconds since 1970 UTC of an xsd:dateTime (RFC 7643 §2.3.5), `None` for any other text.
///
/// Date, `T`, time with seconds, then any number of fraction digits, then `Z`, `±hh:mm` or nothing,
/// which is read as UTC. What is finer than a millisecond is cut off.
pub fn instant_ms(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let (time, offset) = split_offset(time)?;
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, milliseconds(fraction)?),
        None => (time, 0),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let civil = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        i32::from(fraction) * 1_000_000,
    )
    .ok()?;
    let local = civil.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_millis();
    i64::try_from(local - i128::from(offset.seconds()) * 1_000).ok()
}

fn split_offset(time: &str) -> Option<(&str, Offset)> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some((time, Offset::UTC));
    }
    let Some(sign) = time.find(['+', '-']) else { return Some((time, Offset::UTC)) };
    let (time, offset) = time.split_at_checked(sign)?;
    let [hours, minutes] = numbers(offset.get(1..)?, ':', [2, 2])?;
    let total = hours * 60 + minutes;
    // XML Schema allows offsets up to 14:00.
    if minutes > 59 || total > 14 * 60 {
        return None;
    }
    let seconds = i32::from(total) * 60;
    let seconds = if offset.starts_with('-') { -seconds } else { seconds };
    Some((time, Offset::from_seconds(seconds).ok()?))
}

/// The first three digits of a fraction of a second.
fn milliseconds(fraction: &str) -> Option<i16> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    fraction.bytes().chain("00".bytes()).take(3).try_fold(0, |ms, digit| {
        let digit = i16::from(digit.checked_sub(b'0')?);
        Some(ms * 10 + digit)
    })
}

/// Exactly `N` unsigned numbers of exactly those widths.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i16; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Milliseconds since 1970 UTC as `2021-06-25T19:07:33.155Z`, always with three digits.
///
/// What lies outside the years that can be written is moved to the nearest that can.
pub fn instant_text(ms: i64) -> String {
    let nearest = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let instant = Timestamp::from_millisecond(ms).unwrap_or(nearest);
    format!("{instant:.3}")
}

/// A whole number as text of fixed width: the order of the text is the order of the numbers.
pub fn integer_key(value: i128) -> String {
    // Every number that a document can hold lies between i64::MIN and u64::MAX.
    format!("{:017x}", value - i128::from(i64::MIN))
}

/// A decimal number as text of fixed width, in the order of the numbers.
pub fn decimal_key(value: f64) -> String {
    // Both zeros are equal.
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    let negative = bits >> 63 == 1;
    format!("{:016x}", if negative { !bits } else { bits | 1 << 63 })
}

/// An instant in milliseconds as text of fixed width, in the order of time.
pub fn instant_key(ms: i64) -> String {
    integer_key(i128::from(ms))
}

/// True for base64 (RFC 4648 §4 or §5), padded or not.
pub fn is_base64(text: &str) -> bool {
    base64_bytes(text).is_some()
}

/// The bytes that base64 stands for, in either alphabet, padded or not.
pub fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_without_case() {
        let same = [
            ("BJensen", "bjensen"),
            ("  bjensen\t", "bjensen"),
            ("Jose\u{301}", "jos\u{e9}"),
            ("J\u{30C}", "\u{1F0}"),
            ("ＢＪｅｎｓｅｎ\u{3000}", "bjensen"),
            ("ｶﾞ", "ガ"),
            ("\u{FFA1}", "\u{3131}"),
            ("\u{FFDC}", "\u{3163}"),
            ("￣", "\u{AF}"),
            ("ΣΑΣ", "σασ"),
            ("\u{212B}", "\u{E5}"),
        ];
        for (value, key) in same {
            assert_eq!(text_key(value, false), key, "{value}");
        }
        assert_ne!(text_key("straße", false), text_key("strasse", false));
        assert_eq!(text_key("ﬁ ²", false), "ﬁ ²", "only width is mapped");
    }

    #[test]
    fn text_with_case() {
        assert_eq!(text_key(" Jose\u{301} ", true), " Jos\u{e9} ");
        assert_eq!(text_key("Ａ", true), "Ａ");
    }

    #[test]
    fn uris_of_resources_have_no_version() {
        let table = [
            ("https://example.com/v2/Users/12345", "https://example.com/Users/12345"),
            ("https://example.com/Users/12345", "https://example.com/Users/12345"),
            ("https://example.com/v1/Users/12345", "https://example.com/Users/12345"),
            ("https://example.com/scim/v2/Users/v2", "https://example.com/scim/Users/v2"),
            ("https://example.com/scim/v2/key/Users/1", "https://example.com/scim/key/Users/1"),
            ("https://v2/Users/1", "https://v2/Users/1"),
            ("https://v2", "https://v2"),
            ("/v2/Users/1", "/Users/1"),
            ("v2/Users/1", "Users/1"),
            ("../v2/Users/1", "../Users/1"),
            ("../Users/1", "../Users/1"),
            ("https://x.org/v2/Users?next=/v2/a#/v2/b", "https://x.org/Users?next=/v2/a#/v2/b"),
            ("https://x.org?next=https://y.org/v2/a", "https://x.org?next=https://y.org/v2/a"),
            ("https://x.org/V2/Users/1", "https://x.org/V2/Users/1"),
            ("https://x.org/v/Users/v10b/1", "https://x.org/v/Users/v10b/1"),
            (
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "urn:ietf:params:scim:schemas:core:2.0:User",
            ),
            ("", ""),
        ];
        for (uri, key) in table {
            assert_eq!(resource_uri_key(uri), key, "{uri}");
        }
    }

    #[test]
    fn instants() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00", Some(0)),
            ("2021-06-25T19:07:33.155Z", Some(1_624_648_053_155)),
            ("2021-06-25T19:07:33.1559999Z", Some(1_624_648_053_155)),
            ("2021-06-25T19:07:33.1Z", Some(1_624_648_053_100)),
            ("2021-06-25T21:07:33.155+02:00", Some(1_624_648_053_155)),
            ("2021-06-25T05:07:33-14:00", Some(1_624_648_053_000)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("2021-06-25", None),
            ("2021-06-25 19:07:33Z", None),
            ("2021-06-25t19:07:33z", None),
            ("2021-06-25T19:07Z", None),
            ("2021-06-25T19:07:33.Z", None),
            ("2021-06-25T19:07:33+0200", None),
            ("2021-06-25T19:07:33+14:01", None),
            ("2021-06-25T19:07:33+01:60", None),
            ("2021-02-30T00:00:00Z", None),
            ("2021-06-25T24:00:01Z", None),
            ("+021-06-25T19:07:33Z", None),
            ("2021-06-25T19:07:33Z[UTC]", None),
            ("T", None),
            ("", None),
        ];
        for (text, ms) in table {
            assert_eq!(instant_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn instants_are_written_with_three_digits() {
        assert_eq!(instant_text(1_624_648_053_155), "2021-06-25T19:07:33.155Z");
        assert_eq!(instant_text(0), "1970-01-01T00:00:00.000Z");
        assert!(instant_text(i64::MAX).starts_with("9999-12-30T"));
        assert!(instant_text(i64::MIN).starts_with("-009999-"));
    }

    #[test]
    fn base64_of_both_alphabets() {
        for text in ["", "TWFu", "TWE=", "TWE", "-_-_", "+/+/"] {
            assert!(is_base64(text), "{text}");
        }
        for text in ["a", "TWE==", "TW E", "+_", "ü"] {
            assert!(!is_base64(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn key_of_key_is_key(value in any::<String>(), case_exact: bool) {
            let key = text_key(&value, case_exact);
            prop_assert_eq!(text_key(&key, case_exact), key);
        }

        #[test]
        fn uri_key_is_one_for_every_version(
            base in "https://[a-z]{1,4}(/[a-z]{1,3}){0,2}",
            version in 0..30_u8,
            rest in "[A-Z][a-z]{0,3}/[a-zA-Z0-9]{1,5}([?#][a-z/0-9]{0,6})?",
        ) {
            let key = resource_uri_key(&format!("{base}/v{version}/{rest}")).into_owned();
            prop_assert_eq!(&key, &format!("{base}/{rest}"));
            prop_assert_eq!(resource_uri_key(&key), key.as_str());
        }

        #[test]
        fn uri_key_never_panics_and_is_its_own_key(text in "[v0-9/:?#é.]{0,16}") {
            let key = resource_uri_key(&text).into_owned();
            prop_assert!(key.len() <= text.len());
            prop_assert_eq!(resource_uri_key(&key), key.as_str());
        }

        #[test]
        fn composed_and_decomposed_have_one_key(value in any::<String>(), case_exact: bool) {
            let decomposed: String = value.nfd().collect();
            prop_assert_eq!(text_key(&decomposed, case_exact), text_key(&value, case_exact));
        }

        #[test]
        fn instant_text_reads_back(ms in -62_000_000_000_000_i64..253_000_000_000_000) {
            prop_assert_eq!(instant_ms(&instant_text(ms)), Some(ms));
        }

        #[test]
        fn instant_never_panics(text in "[0-9TZ:.+\\-é]{0,40}") {
            let _ = instant_ms(&text);
        }
    }
}
