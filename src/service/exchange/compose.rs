//! From an exchange to its record. Pure but for the keys.
//!
//! The record is a JSON object, in the form in which the API shows it:
//! `{id, client_request_id, directory_id, at, method, path, scim, status, duration_ms, client, user_agent,
//! profile, resource, received, received_note, rewritten, ignored, changes, event_ids, error,
//! operations?}`. `docs/requests.md` says what each member is.

use std::collections::{BTreeSet, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::changes::{self, Values};
use super::redact::{REMOVED, Redactor, hidden_names};
use super::settings::Bodies;
use super::trace::Finding;
use super::{Exchange, GONE, Listed};
use crate::profile::rewrite::Fired;
use crate::scim::Object;
use crate::scim::key::instant_text;
use crate::scim::message::{UniqueJson, member};

/// Largest body that is kept whole, in bytes; of a larger one the beginning is kept.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Longest path with its query, `User-Agent` and detail of an error, in bytes.
const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Names by which one record can be found.
const MAX_NAMES: usize = 200;

/// Members of an error that hold nothing that was sent.
const OF_SERVER: [&str; 4] = ["schemas", "status", "scimType", "code"];

/// Events that one record names.
pub(in crate::service) const MAX_EVENTS: usize = 1_000;

/// A record, not yet sealed.
pub(super) struct Composed {
    pub(super) record: Object,
    /// Everything that says who the request is about, in lower case.
    pub(super) names: BTreeSet<String>,
}

pub(super) fn compose(exchange: &Exchange) -> Composed {
    let directory = &exchange.directory;
    let hidden = hidden_names(&directory.registry);
    let mut composer = Composer {
        exchange,
        redactor: Redactor::new(&hidden),
        names: Names::default(),
        keeps_bodies: match directory.records.bodies {
            Bodies::All => true,
            Bodies::Errors => exchange.status >= 400,
            Bodies::Off => false,
        },
    };
    composer.compose()
}

struct Composer<'e> {
    exchange: &'e Exchange,
    redactor: Redactor<'e>,
    names: Names,
    keeps_bodies: bool,
}

impl Composer<'_> {
    fn compose(&mut self) -> Composed {
        let exchange = self.exchange;
        let findings = exchange.trace.take();
        let (received, note) = self.received(findings.received.as_deref());
        let path = cut(&self.redactor.request_path(&exchange.path));
        // Names are searched for: whoever can search must not be able to guess a secret.
        self.names.of_filter(&exchange.path, |filter| !self.redactor.is_secret(filter));
        // A refused request changed nothing, whatever its unit did before that.
        let refused = exchange.status >= 400 && exchange.status != GONE;
        let mut findings = findings.operations;
        let is_bulk = findings.values().any(|finding| finding.outcome.is_some());
        let alone =
            if is_bulk { Finding::default() } else { findings.remove(&0).unwrap_or_default() };
        let documents = Documents::of(&alone);
        let mut whole = self.finding(&alone, &documents, refused);
        let operations = is_bulk.then(|| self.operations(&findings, &mut whole));
        let resource = self.resource(&alone, &documents, &received);
        let mut record = Object::new();
        let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
        put("id", exchange.id.clone().into());
        put("client_request_id", exchange.client_id.clone().into());
        put("directory_id", exchange.directory.id.clone().into());
        put("at", instant_text(exchange.at).into());
        put("method", exchange.method.clone().into());
        put("path", path.into());
        put("scim", exchange.scim.into());
        put("status", exchange.status.into());
        put("duration_ms", milliseconds(exchange.duration));
        put("client", exchange.client.into());
        put("user_agent", cut(&self.redactor.scrub(&exchange.user_agent)).into());
        put("profile", exchange.directory.provider.into());
        put("resource", resource.clone().into());
        put("received", received);
        put("received_note", note.into());
        put("rewritten", whole.rewritten);
        put("ignored", whole.ignored);
        put("changes", whole.changes.into());
        put("event_ids", whole.events.first.into());
        put("error", self.error());
        if let Some(operations) = operations {
            put("operations", operations);
        }
        self.names.add(resource.as_ref().and_then(|resource| resource["id"].as_str()));
        Composed { record, names: std::mem::take(&mut self.names.0) }
    }

    /// The body without secrets, and what is to be said of it.
    fn received(&mut self, body: Option<&[u8]>) -> (Value, Option<String>) {
        let Some(body) = body else { return (Value::Null, None) };
        if !self.keeps_bodies {
            // Who it is about can still be found.
            if let Ok(UniqueJson(value)) = serde_json::from_slice(body) {
                self.names.of_body(&value);
                // Secrets in it are known to what is recorded besides.
                self.redactor.value(&mut value.clone());
            }
            return (Value::Null, Some("The directory keeps no bodies of such requests.".into()));
        }
        let Ok(UniqueJson(mut value)) = serde_json::from_slice(body) else {
            return match self.redactor.unreadable(&String::from_utf8_lossy(body)) {
                Some(text) => {
                    let note = format!("It is not JSON that can be read; {} bytes.", body.len());
                    (beginning(&text, MAX_BODY_BYTES).into(), Some(note))
                }
                None => {
                    let note = format!(
                        "It is not JSON that can be read, and may hold a secret, so none of its {} \
                         bytes are kept.",
                        body.len()
                    );
                    (Value::Null, Some(note))
                }
            };
        };
        self.names.of_body(&value);
        self.redactor.value(&mut value);
        let text = value.to_string();
        if text.len() <= MAX_BODY_BYTES {
            return (value, None);
        }
        let note = format!("Cut: the first {MAX_BODY_BYTES} of {} bytes are kept.", text.len());
        (beginning(&text, MAX_BODY_BYTES).into(), Some(note))
    }

    /// What is shown of an operation.
    fn finding(&mut self, finding: &Finding, documents: &Documents, refused: bool) -> Shown {
        let changed = finding.changed.as_ref().filter(|_| !refused);
        let values = if self.keeps_bodies { Values::Shown } else { Values::Hidden };
        if let Some(changed) = changed {
            self.names.add(Some(&changed.id));
            self.names.of_object(&documents.before);
            self.names.of_object(&documents.after);
            let related = changed.joined.first.iter().chain(&changed.left.first);
            for id in related.chain(&changed.waiting.first) {
                self.names.add(Some(id));
            }
        }
        self.names.of_object(&documents.met);
        Shown {
            rewritten: finding.rewritten.iter().map(|fired| self.fired(fired)).collect(),
            ignored: finding.ignored.iter().map(|path| cut(&self.redactor.scrub(path))).collect(),
            changes: changed
                .map(|changed| {
                    let (before, after) = (&documents.before, &documents.after);
                    changes::of(changed, (before, after), values, &mut self.redactor)
                })
                .unwrap_or_default(),
            events: changed.map(|changed| changed.event_ids.clone()).unwrap_or_default(),
        }
    }

    /// The operations of a bulk request that were noted; their events are those of the request.
    fn operations(
        &mut self,
        findings: &std::collections::BTreeMap<usize, Finding>,
        whole: &mut Shown,
    ) -> Value {
        let mut operations = Vec::with_capacity(findings.len());
        for (index, finding) in findings {
            let outcome = finding.outcome.clone().unwrap_or_default();
            let refused = outcome.get("response").is_some();
            let refused = refused || finding.outcome.is_none();
            let shown = self.finding(finding, &Documents::of(finding), refused);
            whole.events.count += shown.events.count;
            let room = MAX_EVENTS.saturating_sub(whole.events.first.len());
            whole.events.first.extend(shown.events.first.into_iter().take(room));
            let mut error = outcome.get("response").cloned().unwrap_or_default();
            self.scrub_detail(&mut error);
            operations.push(json!({
                "operation": index,
                "method": outcome.get("method"),
                "bulkId": outcome.get("bulkId"),
                "location": outcome.get("location"),
                "status": outcome.get("status"),
                "rewritten": shown.rewritten,
                "ignored": shown.ignored,
                "changes": shown.changes,
                "error": error,
            }));
        }
        operations.into()
    }

    /// The resource that the request is about, if it is one.
    fn resource(
        &mut self,
        finding: &Finding,
        documents: &Documents,
        received: &Value,
    ) -> Option<Value> {
        // A refused create has made no resource.
        let changed =
            finding.changed.as_ref().filter(|_| matches!(self.exchange.status, ..400 | GONE));
        let of_path = self.exchange.resource.as_ref();
        let (kind, id) = match (changed, of_path) {
            (Some(changed), _) => (&changed.resource_type, &changed.id),
            (None, Some((kind, id))) => (kind, id),
            (None, None) => return None,
        };
        // What a refused request would have made is not there.
        let made = changed.map(|_| [&documents.after, &documents.before]);
        let stored = made.into_iter().flatten().chain([&documents.met]);
        let stored = stored
            .filter_map(|document| document.get("userName")?.as_str())
            .map(str::to_owned)
            .next();
        let sent = || received.as_object().and_then(|body| member(body, "userName")?.as_str());
        let user_name = stored.or_else(|| sent().map(str::to_owned));
        Some(json!({"type": kind, "id": (!id.is_empty()).then_some(id), "user_name": user_name}))
    }

    /// The body of an answer that is an error; a message may repeat what was sent.
    fn error(&self) -> Value {
        let Some(body) = &self.exchange.error else { return Value::Null };
        let mut error: Value = serde_json::from_slice(body)
            .unwrap_or_else(|_| cut(&String::from_utf8_lossy(body)).into());
        self.scrub_detail(&mut error);
        error
    }

    fn fired(&self, fired: &Fired) -> Value {
        json!({"rule": fired.rule, "path": cut(&self.redactor.scrub(&fired.path))})
    }

    fn scrub_detail(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = cut(&self.redactor.scrub(text)),
            Value::Array(elements) => elements.iter_mut().for_each(|e| self.scrub_detail(e)),
            // What the server itself says is no secret, whatever was sent.
            Value::Object(members) => members
                .iter_mut()
                .filter(|(name, _)| !OF_SERVER.contains(&name.as_str()))
                .for_each(|(_, member)| self.scrub_detail(member)),
            _ => {}
        }
    }
}

/// The documents of a finding; empty where there is none.
struct Documents {
    before: Object,
    after: Object,
    met: Object,
}

impl Documents {
    fn of(finding: &Finding) -> Self {
        let document = |text: Option<&String>| -> Object {
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
        };
        let changed = finding.changed.as_ref();
        Self {
            before: document(changed.and_then(|changed| changed.before.as_ref())),
            after: document(changed.and_then(|changed| changed.after.as_ref())),
            met: document(finding.met.as_ref()),
        }
    }
}

struct Shown {
    rewritten: Value,
    ignored: Value,
    changes: Vec<Value>,
    events: Listed,
}

fn milliseconds(duration: std::time::Duration) -> Value {
    let tenths = duration.as_micros() / 100;
    json!(f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0)
}

fn cut(text: &str) -> String {
    beginning(text, MAX_TEXT_BYTES).to_owned()
}

/// The first bytes of a text, whole characters only.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// By what a record can be found: the id, userName and externalId of whom it is about.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn add(&mut self, name: Option<&str>) {
        if let Some(name) = name.filter(|name| !name.is_empty() && *name != REMOVED)
            && self.0.len() < MAX_NAMES
        {
            self.0.insert(name_key(name));
        }
    }

    fn of_object(&mut self, object: &Object) {
        for name in ["userName", "externalId"] {
            self.add(member(object, name).and_then(Value::as_str));
        }
    }

    /// A resource, or the resources of a bulk request.
    fn of_body(&mut self, body: &Value) {
        let Some(body) = body.as_object() else { return };
        self.of_object(body);
        let operations = member(body, "Operations").and_then(Value::as_array);
        for operation in operations.into_iter().flatten().filter_map(Value::as_object) {
            for part in ["data", "value"] {
                if let Some(inner) = member(operation, part).and_then(Value::as_object) {
                    self.of_object(inner);
                }
            }
        }
    }

    /// What the filter of a query compares with.
    fn of_filter(&mut self, path: &str, allowed: impl Fn(&str) -> bool) {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let filters = query.split('&').filter_map(|pair| pair.split_once('='));
        for (_, filter) in filters.filter(|(name, _)| name.eq_ignore_ascii_case("filter")) {
            let filter = filter.replace('+', " ");
            let filter = percent_decode_str(&filter).decode_utf8_lossy();
            if !allowed(&filter) {
                continue;
            }
            let literals: HashSet<&str> = filter.split('"').skip(1).step_by(2).take(10).collect();
            literals.into_iter().for_each(|literal| self.add(Some(literal)));
        }
    }
}

/// The form in which names are compared.
pub(super) fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}
