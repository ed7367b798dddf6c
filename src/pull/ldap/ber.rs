//! The subset of the Basic Encoding Rules that LDAP uses (RFC 4511 §5.1): definite lengths, tags of one
//! byte. Reading follows the known structure of a message, one level at a time.

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const OCTET_STRING: u8 = 0x04;
pub const ENUMERATED: u8 = 0x0a;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// Something that is no BER, or not what stands there by the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// An element with its content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 6);
    bytes.push(tag);
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => {
            let length = u64::try_from(content.len()).unwrap_or(u64::MAX).to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let (count, digits) = (length.len() - zeros, length.iter().skip(zeros));
            bytes.push(0x80 | u8::try_from(count).unwrap_or(8));
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// A whole number, as an INTEGER or an ENUMERATED.
pub fn number(tag: u8, value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let is_needless = |pair: &&[u8]| match pair {
        [first, second] => *first == sign && (second ^ sign) & 0x80 == 0,
        _ => false,
    };
    let needless = bytes.windows(2).take_while(is_needless).count();
    element(tag, bytes.get(needless..).unwrap_or(&bytes))
}

pub fn octets(value: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, value)
}

pub fn boolean(value: bool) -> Vec<u8> {
    element(BOOLEAN, &[if value { 0xff } else { 0 }])
}

pub fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &elements.concat())
}

/// Reads elements one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: its tag and its content.
    pub fn take(&mut self) -> Result<(u8, &'b [u8]), Malformed> {
        let tag = self.peek().ok_or(Malformed)?;
        let (head, length) = size(self.0)?.ok_or(Malformed)?;
        let end = head.checked_add(length).ok_or(Malformed)?;
        let content = self.0.get(head..end).ok_or(Malformed)?;
        self.0 = self.0.get(end..).ok_or(Malformed)?;
        Ok((tag, content))
    }

    /// The content of the next element, which has that tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'b [u8], Malformed> {
        match self.take()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// The content of the next element if it has that tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'b [u8]>, Malformed> {
        match self.peek() {
            Some(found) if found == tag => self.expect(tag).map(Some),
            _ => Ok(None),
        }
    }

    pub fn text(&mut self) -> Result<&'b str, Malformed> {
        std::str::from_utf8(self.expect(OCTET_STRING)?).map_err(|_| Malformed)
    }

    pub fn number(&mut self, tag: u8) -> Result<i64, Malformed> {
        number_of(self.expect(tag)?)
    }
}

/// The value of an INTEGER or ENUMERATED.
pub fn number_of(content: &[u8]) -> Result<i64, Malformed> {
    let first = content.first().ok_or(Malformed)?;
    if content.len() > 8 {
        return Err(Malformed);
    }
    let start = if first & 0x80 == 0 { 0 } else { -1 };
    Ok(content.iter().fold(start, |value, byte| (value << 8) | i64::from(*byte)))
}

/// How long the head of an element is, and its content; `None` while the head is not there yet.
pub fn size(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let (Some(tag), Some(first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    // Tags of several bytes occur nowhere in LDAP.
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    if first & 0x80 == 0 {
        return Ok(Some((2, usize::from(*first))));
    }
    let count = usize::from(first & 0x7f);
    // Neither a length without an end nor one that no machine holds.
    if count == 0 || count > 8 {
        return Err(Malformed);
    }
    let Some(digits) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = digits.iter().fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    Ok(Some((2 + count, length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (value, bytes) in [
            (0, vec![2, 1, 0]),
            (127, vec![2, 1, 0x7f]),
            (128, vec![2, 2, 0, 0x80]),
            (256, vec![2, 2, 1, 0]),
            (-1, vec![2, 1, 0xff]),
            (-128, vec![2, 1, 0x80]),
            (-129, vec![2, 2, 0xff, 0x7f]),
        ] {
            assert_eq!(number(INTEGER, value), bytes, "{value}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in [
            &[4, 0x80, 0, 0][..],
            &[4, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1][..],
            &[4, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[4, 5, 1, 2][..],
            &[0x1f, 1, 1][..],
            &[4][..],
            &[][..],
        ] {
            assert_eq!(Reader(bytes).take(), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64, content in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(Reader(&number(INTEGER, value)).number(INTEGER), Ok(value));
            let written = octets(&content);
            let mut reader = Reader(&written);
            prop_assert_eq!(reader.expect(OCTET_STRING), Ok(content.as_slice()));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = Reader(&bytes);
            while reader.take().is_ok() {}
            let _ = number_of(&bytes);
        }
    }
}
