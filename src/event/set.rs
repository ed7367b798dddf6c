//! Security Event Tokens of a change (RFC 8417): which ones follow from an event of the log, and what
//! they say. CAEP 1.0 and RISC 1.0 name the account, RFC 9967 the SCIM resource.
//!
//! Each token tells of one event (SSF 1.0 §4.1.2); all that follow from one change have its event as
//! `txn`. The same event makes the same tokens at every attempt, with the same `jti`, so a receiver
//! recognises one that comes again.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Reason, name};
use crate::scim::Object;

pub const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
pub const TOKEN_CLAIMS_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
pub const ACCOUNT_DISABLED: &str =
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
pub const ACCOUNT_ENABLED: &str =
    "https://schemas.openid.net/secevent/risc/event-type/account-enabled";
pub const ACCOUNT_PURGED: &str =
    "https://schemas.openid.net/secevent/risc/event-type/account-purged";
pub const CREATE_NOTICE: &str = "urn:ietf:params:scim:event:prov:create:notice";
pub const CREATE_FULL: &str = "urn:ietf:params:scim:event:prov:create:full";
pub const PUT_NOTICE: &str = "urn:ietf:params:scim:event:prov:put:notice";
pub const PUT_FULL: &str = "urn:ietf:params:scim:event:prov:put:full";
pub const DELETE: &str = "urn:ietf:params:scim:event:prov:delete";
pub const ACTIVATE: &str = "urn:ietf:params:scim:event:prov:activate";
pub const DEACTIVATE: &str = "urn:ietf:params:scim:event:prov:deactivate";

/// Of the stream itself; sent to every receiver, whatever it has asked for.
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
pub const STREAM_UPDATED: &str =
    "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

/// What a stream may ask for.
pub const SUPPORTED: [&str; 12] = [
    SESSION_REVOKED,
    TOKEN_CLAIMS_CHANGE,
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    ACCOUNT_PURGED,
    CREATE_NOTICE,
    CREATE_FULL,
    PUT_NOTICE,
    PUT_FULL,
    DELETE,
    ACTIVATE,
    DEACTIVATE,
];

/// Events of the log that tokens follow from.
pub const LOGGED: [&str; 3] = [name::USER_CREATED, name::USER_UPDATED, name::USER_DELETED];

/// Those of them that a stream needs which gets these URIs.
pub fn logged(delivered: &[String]) -> Vec<String> {
    let needs = |event: &str| {
        delivered.iter().any(|uri| match uri.as_str() {
            SESSION_REVOKED => event != name::USER_CREATED,
            ACCOUNT_PURGED | DELETE => event == name::USER_DELETED,
            CREATE_NOTICE | CREATE_FULL => event == name::USER_CREATED,
            _ => event == name::USER_UPDATED,
        })
    };
    LOGGED.iter().filter(|event| needs(event)).map(|event| (*event).to_owned()).collect()
}

/// The URIs among them that RFC 9967 names.
pub fn scim_events() -> impl Iterator<Item = &'static str> {
    SUPPORTED.into_iter().filter(|uri| uri.starts_with(SCIM))
}

/// What the URIs of SCIM begin with.
const SCIM: &str = "urn:ietf:params:scim:event:";

/// Whether the event carries the whole resource; only who asks by name gets such.
pub fn is_full(uri: &str) -> bool {
    uri == CREATE_FULL || uri == PUT_FULL
}

/// How CAEP and RISC events name the account (RFC 9493).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectFormat {
    /// The id of the directory user, with this server as its issuer.
    IssSub,
    /// The e-mail address; the id where there is none.
    Email,
}

impl SubjectFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IssSub => "iss_sub",
            Self::Email => "email",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::IssSub, Self::Email].into_iter().find(|format| format.as_str() == text)
    }
}

/// Whom tokens are for.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub stream_id: &'a str,
    pub subject_format: SubjectFormat,
    /// The URIs that it gets.
    pub delivered: &'a [String],
}

/// An event of the log about a user.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'h> {
    pub id: &'h str,
    pub event: &'h str,
    /// The `directory_user`, with `previous_attributes` where it was updated.
    pub data: &'h Value,
    pub reason: Option<&'h str>,
    /// Milliseconds since 1970.
    pub at: i64,
    /// The SCIM resource as an answer shows it, where somebody wants it whole.
    pub resource: Option<&'h Object>,
}

/// A token before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    pub jti: String,
    /// The URI of its event.
    pub event: &'static str,
    pub claims: Value,
}

/// The id of a token: the same for the same stream, event of the log and kind of event.
pub fn jti(stream_id: &str, event_id: &str, uri: &str) -> String {
    let digest = Sha256::digest(format!("{stream_id}\0{event_id}\0{uri}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What follows from the event for that audience, what is most urgent first.
pub fn sets(happened: &Happened<'_>, audience: &Audience<'_>) -> Vec<Set> {
    following(happened)
        .into_iter()
        .filter(|uri| audience.delivered.iter().any(|wanted| wanted == uri))
        .filter_map(|uri| Some(happened.set(uri, &happened.payload(uri)?, audience)))
        .collect()
}

/// The token that a receiver asks for to see whether its stream works (SSF 1.0 §8.1.4).
pub fn verification(audience: &Audience<'_>, at: i64, state: Option<&str>) -> Set {
    let payload = state.map_or_else(|| json!({}), |state| json!({"state": state}));
    of_stream(audience, VERIFICATION, at, &payload)
}

/// The token that says that this server has changed the status of the stream (SSF 1.0 §8.1.5).
pub fn stream_updated(audience: &Audience<'_>, at: i64, status: &str, reason: &str) -> Set {
    of_stream(audience, STREAM_UPDATED, at, &json!({"status": status, "reason": reason}))
}

fn of_stream(audience: &Audience<'_>, event: &'static str, at: i64, payload: &Value) -> Set {
    let at_text = at.to_string();
    let jti = jti(audience.stream_id, &at_text, event);
    let claims = json!({
        "iss": audience.issuer,
        "aud": audience.audience,
        "iat": seconds(at),
        "jti": jti,
        "sub_id": {"format": "opaque", "id": audience.stream_id},
        "events": {event: payload},
    });
    Set { jti, event, claims }
}

fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1_000)
}

/// The events that the change amounts to.
fn following(happened: &Happened<'_>) -> Vec<&'static str> {
    match happened.event {
        name::USER_CREATED => vec![CREATE_NOTICE, CREATE_FULL],
        // The person goes on under another id; only the resource is gone.
        name::USER_DELETED if happened.reason == Some(Reason::HandedOver.as_str()) => vec![DELETE],
        name::USER_DELETED => vec![SESSION_REVOKED, ACCOUNT_PURGED, DELETE],
        name::USER_UPDATED => {
            let mut uris = Vec::new();
            match (happened.before("state").and_then(Value::as_str), happened.text("state")) {
                (Some("active"), Some("inactive")) => {
                    uris.extend([SESSION_REVOKED, ACCOUNT_DISABLED, DEACTIVATE]);
                }
                (Some("inactive"), Some("active")) => uris.extend([ACCOUNT_ENABLED, ACTIVATE]),
                _ => {}
            }
            uris.extend(happened.has_lost_role().then_some(TOKEN_CLAIMS_CHANGE));
            if !happened.changed().is_empty() {
                uris.extend([PUT_NOTICE, PUT_FULL]);
            }
            uris
        }
        _ => Vec::new(),
    }
}

impl Happened<'_> {
    fn text(&self, member: &str) -> Option<&str> {
        self.data.get(member)?.as_str()
    }

    /// The old value of what has changed.
    fn before(&self, member: &str) -> Option<&Value> {
        self.data.get("previous_attributes")?.get(member)
    }

    fn raw(&self) -> Option<&Object> {
        self.data.get("raw_attributes")?.as_object()
    }

    fn has_lost_role(&self) -> bool {
        let now = slugs(self.data.get("roles"));
        slugs(self.before("roles")).iter().any(|slug| !now.contains(slug))
    }

    /// Paths of the SCIM attributes that were changed. `active` has events of its own.
    fn changed(&self) -> Vec<String> {
        let Some(before) = self.before("raw_attributes").and_then(Value::as_object) else {
            return Vec::new();
        };
        let now = |name: &str| self.raw().and_then(|raw| raw.get(name));
        let names = before.iter().filter(|(name, _)| !is_besides(name));
        names.flat_map(|(name, old)| paths(name, Some(old), now(name))).collect()
    }

    /// Paths of everything that there is.
    fn present(&self) -> Vec<String> {
        let members = self.raw().into_iter().flatten();
        let names = members.filter(|(name, _)| !matches!(name.as_str(), "schemas" | "id"));
        let paths = names.flat_map(|(name, value)| paths(name, None, Some(value)));
        std::iter::once("id".to_owned()).chain(paths).collect()
    }

    /// What the event says; nothing where it would have to say more than is known.
    fn payload(&self, uri: &str) -> Option<Value> {
        Some(match uri {
            SESSION_REVOKED => self.caep(json!({})),
            TOKEN_CLAIMS_CHANGE => {
                let roles = slugs(self.data.get("roles"));
                self.caep(json!({"claims": {"role": roles.first(), "roles": roles}}))
            }
            CREATE_NOTICE => json!({"attributes": self.present()}),
            PUT_NOTICE => json!({"attributes": self.changed()}),
            CREATE_FULL | PUT_FULL => json!({"data": self.resource?}),
            _ => json!({}),
        })
    }

    /// With what all events of CAEP have (CAEP 1.0 §2). The interoperability profile wants a reason.
    fn caep(&self, mut payload: Value) -> Value {
        let (entity, reason) = match self.reason {
            Some(reason) if reason == Reason::ScimActiveFalse.as_str() => {
                (Some("admin"), "The identity provider has deactivated the account.")
            }
            Some(reason) if reason == Reason::ScimDelete.as_str() => {
                (Some("admin"), "The identity provider has deleted the account.")
            }
            Some(reason) if reason == Reason::OutOfScope.as_str() => {
                (Some("policy"), "No group has had the account for as long as the policy allows.")
            }
            _ if self.event == name::USER_DELETED => (None, "The account was deleted."),
            _ if self.before("state").is_some() => (None, "The account was deactivated."),
            _ => (None, "The account has lost a role."),
        };
        if let Some(members) = payload.as_object_mut() {
            members.insert("event_timestamp".to_owned(), seconds(self.at).into());
            if let Some(entity) = entity {
                members.insert("initiating_entity".to_owned(), entity.into());
            }
            members.insert("reason_admin".to_owned(), json!({"en": reason}));
        }
        payload
    }

    fn set(&self, event: &'static str, payload: &Value, audience: &Audience<'_>) -> Set {
        let jti = jti(audience.stream_id, self.id, event);
        let sub_id = match event.starts_with(SCIM) {
            true => self.scim_subject(),
            false => self.account(audience),
        };
        let claims = json!({
            "iss": audience.issuer,
            "aud": audience.audience,
            "iat": seconds(self.at),
            "jti": jti,
            "txn": self.id,
            "sub_id": sub_id,
            "events": {event: payload},
        });
        Set { jti, event, claims }
    }

    /// RFC 9967 §2.1.
    fn scim_subject(&self) -> Value {
        let uri = format!("/Users/{}", self.text("id").unwrap_or_default());
        let mut subject = json!({"format": "scim", "uri": uri});
        let external_id = self.raw().and_then(|raw| raw.get("externalId"));
        if let (Some(external_id), Some(members)) = (external_id, subject.as_object_mut()) {
            members.insert("externalId".to_owned(), external_id.clone());
        }
        subject
    }

    /// RFC 9493 §3.2.2, §3.2.4.
    fn account(&self, audience: &Audience<'_>) -> Value {
        match (audience.subject_format, self.text("email")) {
            (SubjectFormat::Email, Some(email)) => json!({"format": "email", "email": email}),
            _ => json!({
                "format": "iss_sub",
                "iss": audience.issuer,
                "sub": self.text("id").unwrap_or_default(),
            }),
        }
    }

    /// The names by which a receiver may have taken the user out of its stream.
    pub fn subjects(&self) -> Vec<String> {
        let id = self.text("id").unwrap_or_default();
        let email = self.text("email").map(|email| subject_key("email", email));
        [subject_key("iss_sub", id)].into_iter().chain(email).collect()
    }
}

/// A subject as it is stored.
pub fn subject_key(format: &str, name: &str) -> String {
    match format {
        // Receivers and directories write addresses in their own case.
        "email" => format!("email:{}", name.to_lowercase()),
        _ => format!("{format}:{name}"),
    }
}

/// What is no attribute whose change is told by its name.
fn is_besides(name: &str) -> bool {
    matches!(name, "active" | "schemas" | "id")
}

fn slugs(roles: Option<&Value>) -> Vec<&str> {
    let roles = roles.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    roles.iter().filter_map(|role| role.get("slug")?.as_str()).collect()
}

/// The path of an attribute, or the paths of those of an extension that differ.
fn paths(name: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    match name.starts_with("urn:").then(|| (members(old), members(new))) {
        None | Some((None, None)) => vec![name.to_owned()],
        Some((old, new)) => {
            let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
            let both = old.keys().chain(new.keys().filter(|inner| !old.contains_key(*inner)));
            let differ = both.filter(|inner| old.get(*inner) != new.get(*inner));
            differ.map(|inner| format!("{name}:{inner}")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_750_000_000_123;
    const EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn user(state: &str, previous: Value) -> Value {
        let mut user = json!({
            "object": "directory_user", "id": "directory_user_1", "email": "Ada@example.com",
            "state": state, "roles": [{"slug": "viewer"}],
            "raw_attributes": {
                "schemas": ["x"], "userName": "ada", "externalId": "e1", "title": "Lead",
                (EXTENSION): {"department": "R", "costCenter": "1"},
            },
        });
        if !previous.is_null() {
            user["previous_attributes"] = previous;
        }
        user
    }

    fn made(event: &str, data: &Value, reason: Option<Reason>) -> Vec<Set> {
        let resource = json!({"userName": "ada"});
        let happened = Happened {
            id: "event_1",
            event,
            data,
            reason: reason.map(Reason::as_str),
            at: AT,
            resource: resource.as_object(),
        };
        let all: Vec<String> = SUPPORTED.map(str::to_owned).to_vec();
        sets(&happened, &audience(&all, SubjectFormat::IssSub))
    }

    fn audience(delivered: &[String], subject_format: SubjectFormat) -> Audience<'_> {
        Audience {
            issuer: "https://r.example.com",
            audience: "https://r.example.com/ssf/streams/s",
            stream_id: "s",
            subject_format,
            delivered,
        }
    }

    /// Every row: what happens, and what follows from it.
    #[test]
    fn events_that_follow_from_a_change() {
        let created = user("active", Value::Null);
        let off = user("inactive", json!({"state": "active", "raw_attributes": {"active": true}}));
        let on = user("active", json!({"state": "inactive", "raw_attributes": {"active": false}}));
        let both = user("inactive", json!({"state": "active", "raw_attributes": {"title": "A"}}));
        let less = user("active", json!({"roles": [{"slug": "admin"}, {"slug": "viewer"}]}));
        let more = user("active", json!({"roles": null, "role": null}));
        let order = user("active", json!({"roles": [{"slug": "viewer"}], "role": null}));
        let custom = user("active", json!({"custom_attributes": {"a": 1}}));
        let leaver = user("inactive", json!({"state": "active", "roles": [{"slug": "admin"}]}));
        let rows: [(&str, &Value, &[&str]); 13] = [
            (name::USER_CREATED, &created, &[CREATE_NOTICE, CREATE_FULL]),
            (name::USER_DELETED, &created, &[SESSION_REVOKED, ACCOUNT_PURGED, DELETE]),
            (name::USER_UPDATED, &off, &[SESSION_REVOKED, ACCOUNT_DISABLED, DEACTIVATE]),
            (name::USER_UPDATED, &on, &[ACCOUNT_ENABLED, ACTIVATE]),
            (
                name::USER_UPDATED,
                &both,
                &[SESSION_REVOKED, ACCOUNT_DISABLED, DEACTIVATE, PUT_NOTICE, PUT_FULL],
            ),
            (name::USER_UPDATED, &less, &[TOKEN_CLAIMS_CHANGE]),
            (name::USER_UPDATED, &more, &[]),
            (name::USER_UPDATED, &order, &[]),
            (name::USER_UPDATED, &custom, &[]),
            (
                name::USER_UPDATED,
                &leaver,
                &[SESSION_REVOKED, ACCOUNT_DISABLED, DEACTIVATE, TOKEN_CLAIMS_CHANGE],
            ),
            (name::GROUP_CREATED, &created, &[]),
            (name::GROUP_USER_REMOVED, &created, &[]),
            (name::DELETED, &created, &[]),
        ];
        for (event, data, expected) in rows {
            let made = made(event, data, None);
            for set in &made {
                assert!(logged(&[set.event.to_owned()]).iter().any(|e| e == event), "{event}");
            }
            let uris: Vec<&str> = made.iter().map(|set| set.event).collect();
            assert_eq!(uris, expected, "{event} {data}");
            for set in &made {
                let claims = set.claims.as_object().expect("an object");
                let names: Vec<&str> = claims.keys().map(String::as_str).collect();
                // Neither `sub` nor `exp` (SSF 1.0 §4.1.1, §4.1.7).
                assert_eq!(names, ["iss", "aud", "iat", "jti", "txn", "sub_id", "events"]);
                assert_eq!(set.claims["txn"], "event_1");
                assert_eq!(set.claims["iat"], 1_750_000_000);
                assert_eq!(set.claims["events"].as_object().expect("events").len(), 1);
            }
        }
    }

    #[test]
    fn payloads_say_what_their_standards_ask_for() {
        let off = user("inactive", json!({"state": "active"}));
        let sets = made(name::USER_UPDATED, &off, Some(Reason::ScimActiveFalse));
        let revoked = json!({
            "event_timestamp": 1_750_000_000, "initiating_entity": "admin",
            "reason_admin": {"en": "The identity provider has deactivated the account."},
        });
        assert_eq!(sets[0].claims["events"], json!({(SESSION_REVOKED): revoked}));
        let account =
            json!({"format": "iss_sub", "iss": "https://r.example.com", "sub": "directory_user_1"});
        assert_eq!(sets[0].claims["sub_id"], account);
        assert_eq!(sets[1].claims["events"], json!({(ACCOUNT_DISABLED): {}}));
        assert_eq!(sets[1].claims["sub_id"], account);
        let resource =
            json!({"format": "scim", "uri": "/Users/directory_user_1", "externalId": "e1"});
        assert_eq!(sets[2].claims["sub_id"], resource);
        assert_eq!(sets[2].claims["events"], json!({(DEACTIVATE): {}}));

        let less = user("active", json!({"roles": [{"slug": "admin"}]}));
        let set = &made(name::USER_UPDATED, &less, None)[0];
        let payload = &set.claims["events"][TOKEN_CLAIMS_CHANGE];
        assert_eq!(payload["claims"], json!({"role": "viewer", "roles": ["viewer"]}));
        assert_ne!(payload["reason_admin"]["en"], "");

        let created = made(name::USER_CREATED, &user("active", Value::Null), None);
        let (department, cost) =
            (format!("{EXTENSION}:department"), format!("{EXTENSION}:costCenter"));
        let names = json!(["id", "userName", "externalId", "title", department, cost]);
        let payload = json!({(CREATE_NOTICE): {"attributes": names}});
        assert_eq!(created[0].claims["events"], payload);
        let payload = json!({(CREATE_FULL): {"data": {"userName": "ada"}}});
        assert_eq!(created[1].claims["events"], payload);

        let old = json!({"title": null, (EXTENSION): {"department": "S", "costCenter": "1"}});
        let put = made(
            name::USER_UPDATED,
            &user("active", json!({"raw_attributes": old, "job_title": null})),
            None,
        );
        let payload = json!({(PUT_NOTICE): {"attributes": ["title", department]}});
        assert_eq!(put[0].claims["events"], payload);
    }

    #[test]
    fn address_names_the_account_where_the_stream_asks_for_it_and_there_is_one() {
        let wanted = [SESSION_REVOKED.to_owned()];
        let audience = audience(&wanted, SubjectFormat::Email);
        let mut data = user("active", Value::Null);
        let subject = |data: &Value| {
            let (id, event, at) = ("event_1", name::USER_DELETED, AT);
            let happened = Happened { id, event, data, reason: None, at, resource: None };
            let made = sets(&happened, &audience);
            assert_eq!(made.len(), 1);
            made[0].claims["sub_id"].clone()
        };
        assert_eq!(subject(&data), json!({"format": "email", "email": "Ada@example.com"}));
        data["email"] = Value::Null;
        assert_eq!(subject(&data)["format"], "iss_sub");
    }

    #[test]
    fn id_tells_streams_events_and_kinds_apart_and_nothing_else() {
        let id = jti("s", "event_1", DELETE);
        assert_eq!(id, jti("s", "event_1", DELETE));
        assert_eq!(id.len(), 32);
        for other in [
            jti("t", "event_1", DELETE),
            jti("s", "event_2", DELETE),
            jti("s", "event_1", ACCOUNT_PURGED),
        ] {
            assert_ne!(other, id);
        }
    }
}
