//! X.509 certificates as RFC 7643 §4.1.2 wants them: base64 of one certificate in DER.
//!
//! Only the outermost structure is read (RFC 5280 §4.1): a sequence of a sequence, a sequence and a
//! bit string, and nothing behind it. Whether a certificate can be trusted is not asked here.

use serde_json::Value;

use super::key::base64_bytes;
use super::{Object, ScimError};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Checks every value of `x509Certificates` of a user.
pub fn check(document: &Object) -> Result<(), ScimError> {
    let certificates = document.get("x509Certificates").and_then(Value::as_array);
    let mut values = certificates.into_iter().flatten().filter_map(|c| c.get("value")?.as_str());
    let is_one = |text: &str| base64_bytes(text).is_some_and(|bytes| is_certificate(&bytes));
    match values.any(|text| !is_one(text)) {
        false => Ok(()),
        true => Err(ScimError::invalid_value(
            "The attribute \"x509Certificates.value\" must be base64 of exactly one X.509 \
             certificate in DER, but a value is not.",
        )),
    }
}

fn is_certificate(bytes: &[u8]) -> bool {
    let Some((SEQUENCE, content, [])) = element(bytes) else { return false };
    let Some((SEQUENCE, _, rest)) = element(content) else { return false };
    let Some((SEQUENCE, _, rest)) = element(rest) else { return false };
    matches!(element(rest), Some((BIT_STRING, _, [])))
}

/// The first element in DER: its tag, its content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (digits.iter().fold(0, |n, digit| (n << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_certificate_and_nothing_else() {
        let part = |tag: u8, content: &[u8]| {
            let mut bytes = vec![tag, 0x81, u8::try_from(content.len()).expect("short")];
            bytes.extend(content);
            bytes
        };
        let inner = [
            part(SEQUENCE, b"to be signed"),
            part(SEQUENCE, b"algorithm"),
            part(BIT_STRING, b"signature"),
        ];
        let whole = part(SEQUENCE, &inner.concat());
        assert!(is_certificate(&whole));
        let half = &whole[..whole.len() / 2];
        let missing = part(SEQUENCE, &inner[..2].concat());
        for wrong in [half, &whole.repeat(2), &missing, b"no certificate", b"", &[SEQUENCE, 0x80]] {
            assert!(!is_certificate(wrong), "{wrong:?}");
        }
    }
}
