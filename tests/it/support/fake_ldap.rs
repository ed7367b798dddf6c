//! A server of LDAP whose entries, change numbers and faults a test sets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rollbook::pull::ldap::ber::{
    BOOLEAN, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE, SET, element, number, octets,
    sequence, size,
};
use rollbook::pull::ldap::sync;
use serde_json::{Value, json};

const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// Where each page but the first begins.
const COOKIE: &str = "more";

const BIND_REQUEST: u8 = 0x60;
const SEARCH_REQUEST: u8 = 0x63;

/// The attributes of an entry with their values.
pub type Attributes = BTreeMap<String, Vec<String>>;

/// What is wrong with lists of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wrong {
    #[default]
    Nothing,
    /// The same page again and again.
    SamePage,
    /// Pages without entries.
    EmptyPages,
    /// A page that goes on as long as somebody listens.
    EndlessPage,
    /// An entry of a million values and one.
    ManyValues,
    /// The second page ends with this result behind its first entry.
    Ends(i64),
}

/// What the server says with a result that is none of success.
pub const WORDS: &str = "no more for this account";

type Turn = Box<dyn FnOnce(&mut World) + Send>;

#[derive(Default)]
pub struct World {
    /// By names.
    pub entries: BTreeMap<String, Attributes>,
    /// `contextCSN` of `dc=x`; without it there is no content synchronization.
    pub csn: Vec<String>,
    pub wrong: Wrong,
    /// Results of the next tries to log in; without them all are let in.
    pub binds: Vec<i64>,
    /// What happens once everything below an entry was listed.
    turn: Option<(String, Turn)>,
}

impl World {
    /// An entry in JSON, with texts and lists of them.
    pub fn put(&mut self, dn: &str, attributes: &Value) {
        let values = |value: &Value| match value {
            Value::Array(values) => values.iter().map(text).collect(),
            one => vec![text(one)],
        };
        let attributes = attributes.as_object().expect("an object").iter();
        let attributes = attributes.map(|(name, value)| (name.clone(), values(value)));
        self.entries.insert(dn.to_owned(), attributes.collect());
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        let entry = self.entries.remove(from).expect("an entry");
        self.entries.insert(to.to_owned(), entry);
        for value in self.entries.values_mut().flat_map(BTreeMap::values_mut).flatten() {
            if value == from {
                to.clone_into(value);
            }
        }
    }

    pub fn after_list(&mut self, base: &str, turn: impl FnOnce(&mut Self) + Send + 'static) {
        self.turn = Some((base.to_owned(), Box::new(turn)));
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

pub struct FakeLdap {
    port: u16,
    world: Arc<Mutex<World>>,
}

impl FakeLdap {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let world = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &world));
            }
        });
        Self { port, world }
    }

    pub fn url(&self) -> String {
        format!("ldap://localhost:{}", self.port)
    }

    /// A configuration that reads all of it.
    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "url": self.url(), "tls": "none", "bind_dn": "cn=reader,dc=x",
            "bind_password": "pw", "user_base": "ou=p,dc=x", "group_base": "ou=g,dc=x",
            "allow_private_network": true,
        });
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        config
    }

    pub fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.world.lock().expect("no test has failed in it"))
    }
}

/// Answers until the other side is gone.
fn serve(mut stream: TcpStream, world: &Mutex<World>) {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..count]);
        while let Some((head, content)) = size(&buffer).expect("BER") {
            let Some(message) = buffer.get(..head + content) else { break };
            let mut reader = Reader(Reader(message).expect(SEQUENCE).expect("a message"));
            let id = reader.number(INTEGER).expect("a number");
            let (tag, operation) = reader.take().expect("an operation");
            let mut answer: Box<dyn Iterator<Item = Vec<u8>>> = match tag {
                BIND_REQUEST => {
                    let mut world = world.lock().expect("no test has failed in it");
                    let code = if world.binds.is_empty() { 0 } else { world.binds.remove(0) };
                    Box::new(std::iter::once(done(id, 0x61, code, None)))
                }
                SEARCH_REQUEST => {
                    let asked = Asked::read(id, operation, reader);
                    world.lock().expect("no test has failed in it").answer(&asked)
                }
                _ => return,
            };
            if answer.any(|message| stream.write_all(&message).is_err()) {
                return;
            }
            drop(answer);
            buffer.drain(..head + content);
        }
    }
}

struct Asked {
    id: i64,
    base: String,
    /// Only the entry itself.
    is_base: bool,
    filter: Vec<u8>,
    wants_sync: bool,
    /// A page that is not the first one.
    goes_on: bool,
}

impl Asked {
    fn read(id: i64, operation: &[u8], mut rest: Reader<'_>) -> Self {
        let mut reader = Reader(operation);
        let base = reader.text().expect("a base").to_owned();
        let is_base = reader.number(ENUMERATED).expect("a scope") == 0;
        for tag in [ENUMERATED, INTEGER, INTEGER, BOOLEAN] {
            reader.expect(tag).expect("as the RFC has it");
        }
        let (tag, content) = reader.take().expect("a filter");
        let controls = rest.optional(0xa0).expect("controls").unwrap_or_default();
        let holds = |text: &str| controls.windows(text.len()).any(|found| found == text.as_bytes());
        let (wants_sync, goes_on) = (holds(sync::REQUEST), holds(COOKIE));
        Self { id, base, is_base, filter: element(tag, content), wants_sync, goes_on }
    }
}

impl World {
    fn answer(&mut self, asked: &Asked) -> Box<dyn Iterator<Item = Vec<u8>>> {
        let id = asked.id;
        let end = done(id, 0x65, 0, None);
        if asked.wants_sync {
            // e-syncRefreshRequired
            return Box::new(std::iter::once(done(id, 0x65, 4096, None)));
        }
        if asked.is_base {
            let found = match asked.base.as_str() {
                "" => Some(attributes(&[
                    ("supportedControl", &[sync::REQUEST.to_owned()]),
                    ("namingContexts", &["dc=x".to_owned()]),
                ])),
                "dc=x" => Some(attributes(&[("contextCSN", &self.csn)])),
                other => self.entries.get(other).cloned(),
            };
            let Some(found) = found else {
                return Box::new(std::iter::once(done(id, 0x65, 32, None)));
            };
            return Box::new([entry(id, &asked.base, &found), end].into_iter());
        }
        let below = format!(",{}", asked.base);
        let listed = self.entries.iter().filter(|(dn, _)| dn.ends_with(&below));
        let listed = listed.filter(|(_, found)| meets(found, Reader(&asked.filter)));
        let mut messages: Vec<Vec<u8>> = listed.map(|(dn, found)| entry(id, dn, found)).collect();
        let wrong = self.wrong;
        if let Some((_, turn)) = self.turn.take_if(|(base, _)| *base == asked.base) {
            turn(self);
        }
        match wrong {
            Wrong::Nothing => messages.push(end),
            Wrong::SamePage => messages.push(done(id, 0x65, 0, Some(COOKIE))),
            Wrong::EmptyPages => messages = vec![done(id, 0x65, 0, Some(COOKIE))],
            Wrong::EndlessPage => {
                let numbered = move |number: u64| {
                    entry(id, &format!("uid=n{number},ou=p,dc=x"), &Attributes::new())
                };
                return Box::new((0..).map(numbered));
            }
            Wrong::ManyValues => {
                let values = vec![String::new(); 1_000_001];
                messages.push(entry(id, "uid=many,ou=p,dc=x", &attributes(&[("mail", &values)])));
                messages.push(end);
            }
            Wrong::Ends(code) => {
                let last = match asked.goes_on {
                    true => done(id, 0x65, code, None),
                    false => done(id, 0x65, 0, Some(COOKIE)),
                };
                let shown = messages.into_iter().skip(usize::from(asked.goes_on)).take(1);
                messages = shown.chain([last]).collect();
            }
        }
        Box::new(messages.into_iter())
    }
}

fn attributes(all: &[(&str, &[String])]) -> Attributes {
    all.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect()
}

/// Whether a filter of comparisons, all of which or one of which has to hold, or not, is met.
fn meets(entry: &Attributes, mut filter: Reader<'_>) -> bool {
    let (tag, content) = filter.take().expect("a filter");
    let mut parts = Reader(content);
    match tag {
        0xa0 => {
            let mut all = true;
            while !parts.is_empty() {
                let (tag, content) = parts.take().expect("a filter");
                all &= meets(entry, Reader(&element(tag, content)));
            }
            all
        }
        0xa2 => !meets(entry, parts),
        0xa3 => {
            let [name, value] = [(); 2].map(|()| parts.text().expect("text"));
            let values = entry.get(name).into_iter().flatten();
            values.into_iter().any(|found| found.eq_ignore_ascii_case(value))
        }
        _ => true,
    }
}

fn entry(id: i64, dn: &str, attributes: &Attributes) -> Vec<u8> {
    let listed: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(name, values)| {
            let values: Vec<Vec<u8>> =
                values.iter().map(|value| octets(value.as_bytes())).collect();
            sequence(&[octets(name.as_bytes()), element(SET, &values.concat())])
        })
        .collect();
    let content = [octets(dn.as_bytes()), sequence(&listed)].concat();
    sequence(&[number(INTEGER, id), element(0x64, &content)])
}

/// The end of an operation; with where the next page begins.
fn done(id: i64, tag: u8, code: i64, cookie: Option<&str>) -> Vec<u8> {
    let said = if code == 0 { "" } else { WORDS };
    let content = [number(ENUMERATED, code), octets(b""), octets(said.as_bytes())].concat();
    let mut parts = vec![number(INTEGER, id), element(tag, &content)];
    if let Some(cookie) = cookie {
        let value = sequence(&[number(INTEGER, 0), octets(cookie.as_bytes())]);
        let control = sequence(&[octets(PAGED_RESULTS.as_bytes()), element(OCTET_STRING, &value)]);
        parts.push(element(0xa0, &control));
    }
    sequence(&parts)
}
