//! `pull.aws`: users and groups of AWS IAM Identity Center, by the Identity Store API (JSON 1.1,
//! version 2020-06-15).
//!
//! `UserId` and `GroupId` are the stable ids. Lists hold everything that the store has of a user. There is no
//! list of changes: everything is read, and `UpdatedAt` and `Revision` count for nothing.

use std::collections::HashSet;

use serde_json::{Value, json};
use url::Url;

use super::aws_call::{AwsError, Endpoint, Keys, has_ended, judged};
use super::aws_keys::{KeyRing, Role};
use super::aws_map;
use crate::outbound::{Fetched, Outbound};
use crate::pull::client::{Judgement, Trail};
use crate::pull::field::{Field, Shape};
use crate::pull::{
    Absence, Capabilities, Connector, Envelope, Fault, Faults, Finished, GroupsGiven, Kind, Probe,
    Sink, SourceError, SourceKind, Surroundings,
};
use crate::scim::Object;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.aws",
    title: "AWS IAM Identity Center",
    description: "Reads users and groups of an identity store of AWS IAM Identity Center.",
    fields: FIELDS,
    files: &[],
    every_minutes: Some(60),
    check,
    open,
};

const FIELDS: &[Field] = &[
    Field::required("region", Shape::Text, "Region of IAM Identity Center, such as eu-central-1."),
    Field::required(
        "identity_store_id",
        Shape::Text,
        "Id of the identity store, such as d-1234567890: under Settings, Identity source.",
    ),
    Field::required("access_key_id", Shape::Text, "Id of an access key of an IAM user."),
    Field::required("secret_access_key", Shape::Secret, "The secret of that access key."),
    Field::optional(
        "session_token",
        Shape::Secret,
        "",
        "Session token of a temporary access key, whose id begins with ASIA.",
    ),
    Field::optional(
        "role_arn",
        Shape::Text,
        "",
        "Role that is assumed with the access key, such as arn:aws:iam::111122223333:role/Rollbook. \
         Without it the access key itself reads.",
    ),
    Field::optional("external_id", Shape::Text, "", "External id that the role asks for."),
    Field::optional(
        "role_session_name",
        Shape::Text,
        "\"rollbook\"",
        "Name of the session of the role, as CloudTrail shows it.",
    ),
    Field::optional(
        "enterprise_extension",
        Shape::Switch,
        "true",
        "Whether the extension aws:identitystore:enterprise is asked for: department, cost center, \
         manager and others.",
    ),
    Field::optional(
        "endpoint_url",
        Shape::Url,
        "",
        "Address of the Identity Store API in place of that of the region.",
    )
    .operator_only(),
    Field::optional(
        "sts_endpoint_url",
        Shape::Url,
        "",
        "Address of AWS STS in place of that of the region.",
    )
    .operator_only(),
    Field::optional(
        "allow_private_network",
        Shape::Switch,
        "false",
        "Lets these addresses be in a private network, where plain http is spoken as well.",
    )
    .operator_only(),
];

/// Objects asked for at a time; the API gives no more.
const PAGE: u32 = 100;

/// Pages that a test of the connection counts.
const COUNTED_PAGES: usize = 50;

/// How the first part of a region says where its services are (endpoints of the partitions of AWS).
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

fn text<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn outbound(config: &Object, outbound: &Outbound) -> Outbound {
    match config.get("allow_private_network") {
        Some(Value::Bool(true)) => outbound.in_private_networks(),
        _ => outbound.clone(),
    }
}

/// Whether a text has so many characters, all of them letters, digits or one of `others`.
fn is_made_of(text: &str, (from, to): (usize, usize), others: &str) -> bool {
    (from..=to).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    let wrong = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let region = text(config, "region");
    let is_region = is_made_of(region, (8, 32), "-")
        && region.split('-').count() >= 3
        && region.split('-').all(|part| !part.is_empty())
        && !region.chars().any(|c| c.is_ascii_uppercase());
    if !is_region {
        return wrong("region", "it must be a region of AWS such as eu-central-1.");
    }
    if !is_made_of(text(config, "identity_store_id"), (1, 93), "-:/") {
        return wrong("identity_store_id", "it must be an id such as d-1234567890, or an ARN.");
    }
    let id = text(config, "access_key_id");
    if !is_made_of(id, (16, 128), "_") {
        return wrong("access_key_id", "it must have 16 to 128 letters and digits.");
    }
    let has = |name: &str| !text(config, name).is_empty();
    if id.starts_with("ASIA") && !has("session_token") {
        return wrong("session_token", "it is required with an access key that begins with ASIA.");
    }
    let arn: Vec<&str> = text(config, "role_arn").splitn(6, ':').collect();
    let is_role =
        matches!(arn.as_slice(), ["arn", _, "iam", "", _, role] if role.starts_with("role/"));
    if has("role_arn") && !is_role {
        let message =
            "it must be the ARN of a role such as arn:aws:iam::111122223333:role/Rollbook.";
        return wrong("role_arn", message);
    }
    if has("external_id") && !has("role_arn") {
        return wrong("external_id", "it is of use only with a role_arn.");
    }
    if has("external_id") && !is_made_of(text(config, "external_id"), (2, 1_224), "_+=,.@:/-") {
        let message = "it must have 2 to 1224 letters, digits or characters of _+=,.@:/-.";
        return wrong("external_id", message);
    }
    if !is_made_of(text(config, "role_session_name"), (2, 64), "_+=,.@-") {
        let message = "it must have 2 to 64 letters, digits or characters of _+=,.@-.";
        return wrong("role_session_name", message);
    }
    let outbound = outbound(config, allowed);
    for name in ["endpoint_url", "sts_endpoint_url"].into_iter().filter(|name| has(name)) {
        if let Err(message) = outbound.check(text(config, name)) {
            return wrong(name, &message);
        }
    }
    Ok(())
}

/// The address of a service.
fn address(config: &Object, field: &str, service: &str) -> Result<Url, SourceError> {
    let (given, region) = (text(config, field), text(config, "region"));
    let known = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    let suffix = known.map_or("amazonaws.com", |(_, suffix)| *suffix);
    let address = match given.is_empty() {
        true => format!("https://{service}.{region}.{suffix}/"),
        false => given.to_owned(),
    };
    Url::parse(&address).map_err(|_| SourceError::failed(format!("{field} is no URL")))
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let outbound = outbound(config, &surroundings.outbound);
    let surroundings = Surroundings { outbound, ..surroundings };
    let (clock, wants_groups) = (surroundings.clock.clone(), surroundings.wants_groups);
    let owned = |name: &str| text(config, name).to_owned();
    let given = |name: &str| Some(owned(name)).filter(|value| !value.is_empty());
    let own = Keys {
        access_key_id: owned("access_key_id"),
        secret_access_key: owned("secret_access_key"),
        session_token: given("session_token"),
    };
    let endpoint = |field, service| -> Result<Endpoint, SourceError> {
        let secrets = vec![owned("secret_access_key"), owned("session_token")];
        let url = address(config, field, service)?;
        Ok(Endpoint::new(url, service, owned("region"), secrets, surroundings.clone()))
    };
    let role = match given("role_arn") {
        None => None,
        Some(arn) => Some(Role {
            sts: endpoint("sts_endpoint_url", "sts")?,
            arn,
            external_id: owned("external_id"),
            session_name: owned("role_session_name"),
        }),
    };
    let asks_extension = config.get("enterprise_extension") != Some(&Value::Bool(false));
    Ok(Box::new(Store {
        endpoint: endpoint("endpoint_url", "identitystore")?,
        keys: KeyRing::new(own, role, clock),
        id: owned("identity_store_id"),
        asks_extension,
        wants_groups,
    }))
}

/// An identity store.
struct Store {
    endpoint: Endpoint,
    keys: KeyRing,
    id: String,
    asks_extension: bool,
    wants_groups: bool,
}

/// A list that can be asked for.
struct List {
    operation: &'static str,
    /// The member of the answer that holds it.
    member: &'static str,
    /// The member of each object that tells it from others.
    id: &'static str,
    /// What is sent beside the store and the place.
    more: Object,
    judge: fn(&Fetched) -> Judgement,
}

/// A part of a list.
enum Page {
    Part {
        objects: Vec<Object>,
        next: Option<String>,
    },
    /// What the list is of is gone.
    Lost,
}

/// Whether a list was read.
#[derive(Clone, Copy, PartialEq)]
enum Listed {
    Whole,
    /// The first pages of it.
    Beginning,
    Lost,
}

impl Connector for Store {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: false,
            whole_accounts: true,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let mut probe = Probe::default();
        let count = |listed: Listed, seen: usize| match listed {
            Listed::Whole => u64::try_from(seen).ok(),
            Listed::Beginning | Listed::Lost => None,
        };
        let (listed, seen) = self.list(&self.users(), COUNTED_PAGES, &mut |_, _| Ok(()))?;
        probe.users = count(listed, seen.len());
        match probe.users {
            Some(0) => probe.warnings.push("The identity store lists no users.".to_owned()),
            None => probe.warnings.push(format!("There are more than {} users.", seen.len())),
            Some(_) => {}
        }
        if !self.wants_groups {
            return Ok(probe);
        }
        let (listed, seen) = self.list(&groups(), COUNTED_PAGES, &mut |_, _| Ok(()))?;
        probe.groups = count(listed, seen.len());
        // Whether memberships may be read is known by one group.
        if let Some(group) = seen.iter().next() {
            self.list(&memberships(group), 1, &mut |_, _| Ok(()))?;
        }
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let users = self.users();
        self.all(&users, Kind::Account, sink, |_, user, sink| {
            let Some(id) = known(&user, Kind::Account, sink)? else { return Ok(()) };
            let (attributes, state) = (aws_map::user(&user), aws_map::state(&user));
            sink.put(Envelope::account(id, user, attributes).in_state(state))
        })?;
        if !self.wants_groups {
            return Ok(Finished { cursor: None, groups: GroupsGiven::No });
        }
        self.all(&groups(), Kind::Group, sink, |store, group, sink| {
            let Some(id) = known(&group, Kind::Group, sink)? else { return Ok(()) };
            let Some(members) = store.members(&id, sink)? else { return Ok(()) };
            let attributes = aws_map::group(&group);
            sink.put(Envelope::group(id, group, attributes))?;
            members.into_iter().try_for_each(|membership| sink.put(membership))
        })?;
        Ok(Finished { cursor: None, groups: GroupsGiven::Yes })
    }

    fn incremental(&mut self, _: &str, _: &mut dyn Sink) -> Result<Finished, SourceError> {
        Err(SourceError::CursorLost("an identity store lists no changes".to_owned()))
    }
}

impl Store {
    fn users(&self) -> List {
        let mut more = Object::new();
        if self.asks_extension {
            more.insert("Extensions".to_owned(), json!([aws_map::ENTERPRISE]));
        }
        List { operation: "ListUsers", member: "Users", id: "UserId", more, judge: judged }
    }

    /// Takes everything of a list. One that changes while it is read may lose somebody between two pages: so
    /// nobody counts as missing who was not looked for again.
    fn all(
        &mut self,
        list: &List,
        kind: Kind,
        sink: &mut dyn Sink,
        take: impl Fn(&mut Self, Object, &mut dyn Sink) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let (_, listed) =
            self.list(list, usize::MAX, &mut |store, object| take(store, object, sink))?;
        if sink.missing(kind).iter().any(|id| !listed.contains(id)) {
            self.list(list, usize::MAX, &mut |store, object| match id_of(&object, list.id) {
                Some(id) if !listed.contains(id) => take(store, object, sink),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// The memberships of a group; `None` when it was deleted since it was listed.
    fn members(
        &mut self,
        group: &str,
        sink: &mut dyn Sink,
    ) -> Result<Option<Vec<Envelope>>, SourceError> {
        let mut members = Vec::new();
        let (listed, _) = self.list(&memberships(group), usize::MAX, &mut |_, membership| {
            let member = membership.get("MemberId").and_then(|id| id.get("UserId")?.as_str());
            match member.map(str::to_owned) {
                Some(member) => {
                    members.push(Envelope::membership(group.to_owned(), member, membership));
                    Ok(())
                }
                None => sink.fault(Fault {
                    kind: Kind::Membership,
                    place: id_of(&membership, "MembershipId").unwrap_or(group).to_owned(),
                    message: "its member is no user.".to_owned(),
                }),
            }
        })?;
        Ok((listed != Listed::Lost).then_some(members))
    }

    /// Reads a list, at most so many pages of it; whether that was all, and the ids of what it lists.
    fn list(
        &mut self,
        list: &List,
        pages: usize,
        take: &mut dyn FnMut(&mut Self, Object) -> Result<(), SourceError>,
    ) -> Result<(Listed, HashSet<String>), SourceError> {
        let mut next: Option<String> = None;
        let (mut trail, mut ids) = (Trail::default(), HashSet::new());
        for _ in 0..pages {
            let page = self.page(list, next.as_deref())?;
            let Page::Part { objects, next: token } = page else { return Ok((Listed::Lost, ids)) };
            let mut new = 0;
            for object in objects {
                // Of one without an id nobody can tell whether it was there before.
                let id = id_of(&object, list.id);
                new += usize::from(id.is_none_or(|id| ids.insert(id.to_owned())));
                take(self, object)?;
            }
            let Some(token) = token else { return Ok((Listed::Whole, ids)) };
            trail.step(&token, new).map_err(|error| error.about(list.operation))?;
            next = Some(token);
        }
        Ok((Listed::Beginning, ids))
    }

    fn page(&mut self, list: &List, next: Option<&str>) -> Result<Page, SourceError> {
        let List { operation, member, more, judge, .. } = list;
        let mut body = more.clone();
        body.insert("IdentityStoreId".to_owned(), self.id.as_str().into());
        body.insert("MaxResults".to_owned(), PAGE.into());
        if let Some(token) = next {
            body.insert("NextToken".to_owned(), token.into());
        }
        let target = format!("AWSIdentityStore.{operation}");
        let headers =
            [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", target.as_str())];
        let body = Value::Object(body).to_string();
        let answer = self.call(&headers, &body, *judge)?;
        if answer.status != 200 {
            return Ok(Page::Lost);
        }
        let odd =
            |what: &str| Err(SourceError::failed(format!("the answer to {operation} {what}")));
        let Ok(Value::Object(mut page)) = serde_json::from_slice(&answer.body) else {
            return odd("is no JSON object");
        };
        // A page that lacks its list is no empty one.
        let Some(Value::Array(rows)) = page.shift_remove(*member) else {
            return odd(&format!("has no list \"{member}\""));
        };
        let mut objects = Vec::with_capacity(rows.len());
        for row in rows {
            let Value::Object(object) = row else {
                return odd("lists something that is no object");
            };
            objects.push(object);
        }
        let next = match page.get("NextToken") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) if token.is_empty() => None,
            Some(Value::String(token)) => Some(token.clone()),
            Some(_) => return odd("has a NextToken that is no text"),
        };
        Ok(Page::Part { objects, next })
    }

    /// The answer to a request. Keys of a role may end before their time; new ones are asked for once.
    fn call(
        &mut self,
        headers: &[(&str, &str)],
        body: &str,
        judge: fn(&Fetched) -> Judgement,
    ) -> Result<Fetched, SourceError> {
        if self.keys.can_renew() {
            let unless_ended = |fetched: &Fetched| match has_ended(fetched) {
                true => Judgement::Answer,
                false => judge(fetched),
            };
            let answer = self.endpoint.call(&self.keys.current()?, headers, body, &unless_ended)?;
            if !has_ended(&answer) {
                return Ok(answer);
            }
            self.keys.forget();
        }
        self.endpoint.call(&self.keys.current()?, headers, body, &judge)
    }
}

fn groups() -> List {
    let more = Object::new();
    List { operation: "ListGroups", member: "Groups", id: "GroupId", more, judge: judged }
}

fn memberships(group: &str) -> List {
    let more = [("GroupId".to_owned(), group.into())].into_iter().collect();
    List {
        operation: "ListGroupMemberships",
        member: "GroupMemberships",
        id: "MembershipId",
        more,
        judge: judged_of_group,
    }
}

/// A group that was deleted since it was listed is an answer, too.
fn judged_of_group(fetched: &Fetched) -> Judgement {
    match AwsError::of(fetched).is_lost_group() {
        true => Judgement::Answer,
        false => judged(fetched),
    }
}

fn id_of<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name).and_then(Value::as_str).filter(|id| !id.is_empty())
}

/// The id of a user or group, or a fault.
fn known(object: &Object, kind: Kind, sink: &mut dyn Sink) -> Result<Option<String>, SourceError> {
    let (id, name) = match kind {
        Kind::Account => ("UserId", "UserName"),
        _ => ("GroupId", "DisplayName"),
    };
    if let Some(id) = id_of(object, id) {
        return Ok(Some(id.to_owned()));
    }
    let place = id_of(object, name).unwrap_or("an object").chars().take(80).collect();
    sink.fault(Fault { kind, place, message: format!("it has no \"{id}\".") })?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::field::with_defaults;

    fn config(change: &Value) -> Object {
        let mut config = json!({"region": "eu-central-1", "identity_store_id": "d-1234567890",
            "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s"});
        for (name, value) in change.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        with_defaults(config.as_object().unwrap_or(&Object::new()), FIELDS)
    }

    #[test]
    fn configurations_are_checked() {
        let outbound = Outbound::new(Vec::new());
        let role = "arn:aws:iam::111122223333:role/path/Rollbook";
        for (change, wrong) in [
            (json!({}), None),
            (json!({"region": "us-gov-west-1"}), None),
            (json!({"region": "Europe"}), Some("region")),
            (json!({"region": "evil.example/-a-"}), Some("region")),
            (json!({"region": "eu--1"}), Some("region")),
            (json!({"identity_store_id": "d 1"}), Some("identity_store_id")),
            (json!({"access_key_id": "AKIA"}), Some("access_key_id")),
            (json!({"access_key_id": "ASIAIOSFODNN7EXAMPLE"}), Some("session_token")),
            (json!({"access_key_id": "ASIAIOSFODNN7EXAMPLE", "session_token": "t"}), None),
            (json!({"role_arn": role, "external_id": "a:b/c=1"}), None),
            (json!({"role_arn": "arn:aws-cn:iam::1:role/r"}), None),
            (json!({"role_arn": "arn:aws:iam::1:user/r"}), Some("role_arn")),
            (json!({"role_arn": "Rollbook"}), Some("role_arn")),
            (json!({"external_id": "x"}), Some("external_id")),
            (json!({"role_arn": role, "external_id": "a b"}), Some("external_id")),
            (json!({"role_session_name": "a b"}), Some("role_session_name")),
            (json!({"endpoint_url": "http://127.0.0.1:1"}), Some("endpoint_url")),
            (json!({"endpoint_url": "http://127.0.0.1:1", "allow_private_network": true}), None),
            (json!({"sts_endpoint_url": "ftp://a.example"}), Some("sts_endpoint_url")),
        ] {
            let checked = check(&config(&change), &outbound).err().map(|(field, _)| field);
            assert_eq!(checked.as_deref(), wrong, "{change}");
        }
    }

    #[test]
    fn each_partition_has_its_addresses() {
        for (region, expected) in [
            ("eu-central-1", "https://identitystore.eu-central-1.amazonaws.com/"),
            ("us-gov-west-1", "https://identitystore.us-gov-west-1.amazonaws.com/"),
            ("cn-north-1", "https://identitystore.cn-north-1.amazonaws.com.cn/"),
            ("eusc-de-east-1", "https://identitystore.eusc-de-east-1.amazonaws.eu/"),
            ("us-isob-east-1", "https://identitystore.us-isob-east-1.sc2s.sgov.gov/"),
        ] {
            let url = address(&config(&json!({"region": region})), "endpoint_url", "identitystore");
            assert_eq!(url.map(String::from).as_deref(), Ok(expected));
        }
        let given = config(&json!({"endpoint_url": "https://vpce.example:8443/"}));
        let url = address(&given, "endpoint_url", "identitystore").map(String::from);
        assert_eq!(url.as_deref(), Ok("https://vpce.example:8443/"));
    }
}
