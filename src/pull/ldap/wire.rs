//! Messages of LDAP (RFC 4511 §4): what is asked, as bytes, and what a server answers.

use super::ber::{
    BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTET_STRING, Reader, SEQUENCE, boolean, element,
    number, octets, sequence,
};
use super::entry::Entry;

const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;
const CONTROLS: u8 = 0xa0;
const REFERRAL: u8 = 0xa3;

/// Names of extensions.
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// Most controls of an answer.
const MAX_CONTROLS: usize = 20;

/// A control of a request or an answer (RFC 4511 §4.1.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    pub oid: String,
    pub critical: bool,
    pub value: Option<Vec<u8>>,
}

impl Control {
    pub fn new(oid: &str, critical: bool, value: Option<Vec<u8>>) -> Self {
        Self { oid: oid.to_owned(), critical, value }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut elements = vec![octets(self.oid.as_bytes())];
        if self.critical {
            elements.push(boolean(true));
        }
        elements.extend(self.value.as_deref().map(octets));
        sequence(&elements)
    }
}

/// The value of a control that an answer has.
pub fn control<'c>(controls: &'c [Control], oid: &str) -> Option<&'c [u8]> {
    controls.iter().find(|control| control.oid == oid)?.value.as_deref()
}

/// How an operation ended (RFC 4511 §4.1.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: i64,
    /// What the server says about it.
    pub text: String,
    pub controls: Vec<Control>,
}

impl Outcome {
    /// The code as people know it.
    pub fn name(&self) -> &'static str {
        match self.code {
            0 => "success",
            1 => "operationsError",
            2 => "protocolError",
            3 => "timeLimitExceeded",
            4 => "sizeLimitExceeded",
            7 => "authMethodNotSupported",
            8 => "strongerAuthRequired",
            10 => "referral",
            11 => "adminLimitExceeded",
            12 => "unavailableCriticalExtension",
            13 => "confidentialityRequired",
            16 => "noSuchAttribute",
            17 => "undefinedAttributeType",
            18 => "inappropriateMatching",
            19 => "constraintViolation",
            21 => "invalidAttributeSyntax",
            32 => "noSuchObject",
            34 => "invalidDNSyntax",
            48 => "inappropriateAuthentication",
            49 => "invalidCredentials",
            50 => "insufficientAccessRights",
            51 => "busy",
            52 => "unavailable",
            53 => "unwillingToPerform",
            80 => "other",
            4096 => "e-syncRefreshRequired",
            _ => "unknown",
        }
    }

    /// What whoever runs the server can do about a limit of it; empty for what is none.
    pub fn remedy(&self) -> &'static str {
        match self.code {
            3 => {
                "give the account more time for a search: time in the limits of OpenLDAP, nsTimeLimit in 389 \
                 Directory Server, MaxQueryDuration in Active Directory"
            }
            4 => {
                "let the account read all entries: size=unlimited in the limits of OpenLDAP, nsSizeLimit -1 in \
                 389 Directory Server"
            }
            11 => {
                "let the account search all entries: size.unchecked in the limits of OpenLDAP, \
                 nsLookThroughLimit -1 in 389 Directory Server"
            }
            _ => "",
        }
    }
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Entry(Entry),
    /// Elsewhere; it is not followed.
    Reference,
    Intermediate {
        oid: String,
        value: Vec<u8>,
    },
    /// The end of a search, a bind or an extended operation.
    Done(Outcome),
}

fn message(id: i64, operation: Vec<u8>, controls: &[Control]) -> Vec<u8> {
    let mut elements = vec![number(INTEGER, id), operation];
    if !controls.is_empty() {
        let controls: Vec<Vec<u8>> = controls.iter().map(Control::encoded).collect();
        elements.push(element(CONTROLS, &controls.concat()));
    }
    sequence(&elements)
}

/// A simple bind (§4.2).
pub fn bind(id: i64, dn: &str, password: &str) -> Vec<u8> {
    let parts = [number(INTEGER, 3), octets(dn.as_bytes()), element(0x80, password.as_bytes())];
    message(id, element(BIND_REQUEST, &parts.concat()), &[])
}

/// StartTLS (§4.14).
pub fn start_tls(id: i64) -> Vec<u8> {
    let name = element(0x80, START_TLS.as_bytes());
    message(id, element(EXTENDED_REQUEST, &name), &[])
}

pub fn unbind(id: i64) -> Vec<u8> {
    message(id, element(UNBIND_REQUEST, &[]), &[])
}

/// What a search asks for (§4.5.1). `filter` is encoded.
pub struct SearchRequest<'s> {
    pub base: &'s str,
    pub scope: i64,
    pub filter: &'s [u8],
    pub attributes: &'s [String],
}

pub fn search(id: i64, request: &SearchRequest<'_>, controls: &[Control]) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> =
        request.attributes.iter().map(|name| octets(name.as_bytes())).collect();
    let parts = [
        octets(request.base.as_bytes()),
        number(ENUMERATED, request.scope),
        // Aliases are not followed: what they lead to is listed where it is.
        number(ENUMERATED, 0),
        // No limits of size and time but those of the server.
        number(INTEGER, 0),
        number(INTEGER, 0),
        boolean(false),
        request.filter.to_vec(),
        sequence(&attributes),
    ];
    message(id, element(SEARCH_REQUEST, &parts.concat()), controls)
}

/// Reads a message: the number of the request that it answers, and what it says.
pub fn answer(bytes: &[u8]) -> Result<(i64, Answer), Malformed> {
    let mut message = Reader(Reader(bytes).expect(SEQUENCE)?);
    let id = message.number(INTEGER)?;
    let (tag, content) = message.take()?;
    let controls = match message.optional(CONTROLS)? {
        Some(content) => controls(content)?,
        None => Vec::new(),
    };
    let answer = match tag {
        SEARCH_ENTRY => Answer::Entry(Entry::parse(content, controls)?),
        SEARCH_REFERENCE => Answer::Reference,
        SEARCH_DONE | BIND_RESPONSE | EXTENDED_RESPONSE => {
            Answer::Done(outcome(content, controls)?)
        }
        INTERMEDIATE => {
            let mut reader = Reader(content);
            let oid = reader.optional(0x80)?.unwrap_or_default();
            let value = reader.optional(0x81)?.unwrap_or_default().to_vec();
            Answer::Intermediate { oid: String::from_utf8_lossy(oid).into_owned(), value }
        }
        _ => return Err(Malformed),
    };
    Ok((id, answer))
}

fn controls(content: &[u8]) -> Result<Vec<Control>, Malformed> {
    let (mut reader, mut controls) = (Reader(content), Vec::new());
    while !reader.is_empty() {
        if controls.len() >= MAX_CONTROLS {
            return Err(Malformed);
        }
        let mut control = Reader(reader.expect(SEQUENCE)?);
        let oid = control.text()?.to_owned();
        let critical = control.optional(BOOLEAN)?.is_some_and(|content| content != [0]);
        let value = control.optional(OCTET_STRING)?.map(<[u8]>::to_vec);
        controls.push(Control { oid, critical, value });
    }
    Ok(controls)
}

fn outcome(content: &[u8], controls: Vec<Control>) -> Result<Outcome, Malformed> {
    let mut reader = Reader(content);
    let code = reader.number(ENUMERATED)?;
    reader.expect(OCTET_STRING)?;
    let text = String::from_utf8_lossy(reader.expect(OCTET_STRING)?).into_owned();
    reader.optional(REFERRAL)?;
    Ok(Outcome { code, text, controls })
}

/// The next of the attributes of an entry: its name, and its set of values (§4.5.2), which is not read yet.
pub fn attribute<'b>(reader: &mut Reader<'b>) -> Result<(&'b [u8], Reader<'b>), Malformed> {
    let mut attribute = Reader(reader.expect(SEQUENCE)?);
    let name = attribute.expect(OCTET_STRING)?;
    Ok((name, attribute))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_those_of_the_rfc() {
        let bytes = bind(1, "cn=a", "x");
        assert_eq!(
            bytes,
            b"\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04cn=a\x80\x01x".map(|byte| byte)
        );
        assert_eq!(unbind(2), [0x30, 5, 2, 1, 2, 0x42, 0]);
        let done = b"\x30\x10\x02\x01\x07\x65\x0b\x0a\x01\x04\x04\x00\x04\x04full";
        let outcome = Outcome { code: 4, text: "full".into(), controls: Vec::new() };
        assert_eq!(answer(done), Ok((7, Answer::Done(outcome))));
    }

    #[test]
    fn controls_come_back() {
        let sent =
            [Control::new("1.2.3", true, Some(vec![1, 2])), Control::new("1.2.4", false, None)];
        let encoded: Vec<Vec<u8>> = sent.iter().map(Control::encoded).collect();
        assert_eq!(controls(&encoded.concat()), Ok(sent.to_vec()));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), tag: u8) {
            let _ = answer(&bytes);
            let _ = answer(&sequence(&[number(INTEGER, 1), element(tag, &bytes)]));
        }
    }
}
