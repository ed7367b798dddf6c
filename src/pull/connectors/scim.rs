//! `pull.scim`: another SCIM 2.0 server as a source (RFC 7644 §3.4.2; cursors: RFC 9865).
//!
//! The server's own `id` is the stable id. What a user lacks in the answer is unassigned (RFC 7643 §2.5),
//! so a user is read as a whole. Changes are found by `meta.lastModified`; what is gone is found only by
//! reading everything.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::scim_resource::{Times, group, id_text, time, user};
use crate::outbound::Outbound;
use crate::pull::client::{Client, Reply, Trail};
use crate::pull::field::{Field, PEM, Shape};
use crate::pull::oauth::{Authorized, Proof, Tokens};
use crate::pull::{
    Absence, Capabilities, Connector, Faults, Finished, GroupsGiven, Kind, Probe, Sink,
    SourceError, SourceKind, Surroundings, member,
};
use crate::scim::Object;
use crate::scim::key::instant_text;
use crate::scim::urn;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.scim",
    title: "SCIM 2.0 server",
    description: "Reads users and groups of another SCIM 2.0 server.",
    fields: FIELDS,
    files: &[],
    every_minutes: Some(60),
    check,
    open,
};

const FIELDS: &[Field] = &[
    Field::required(
        "base_url",
        Shape::Url,
        "Base URL of the server, as its identity providers have it: what stands before /Users.",
    ),
    Field::optional("token", Shape::Secret, "", "Bearer token that may read users and groups."),
    Field::optional("username", Shape::Text, "", "User name for HTTP Basic, in place of a token."),
    Field::optional("password", Shape::Secret, "", "Password for HTTP Basic."),
    Field::optional(
        "token_url",
        Shape::Url,
        "",
        "Token endpoint of an OAuth 2.0 server, in place of a token: one is asked for with the client \
         credentials.",
    ),
    Field::optional("client_id", Shape::Text, "", "Client id at the token endpoint."),
    Field::optional("client_secret", Shape::Secret, "", "Client secret at the token endpoint."),
    Field::optional("scope", Shape::Text, "", "Scope that is asked for at the token endpoint."),
    Field::optional(
        "client_authentication",
        Shape::Word(&["basic", "post"]),
        "\"basic\"",
        "How the client shows its secret: by HTTP Basic, or in the form.",
    ),
    Field::optional(
        "paging",
        Shape::Word(&["auto", "index", "cursor"]),
        "\"auto\"",
        "How pages are asked for: by index, by cursor, or by cursor if the server says that it has them.",
    ),
    Field::optional(
        "page_size",
        Shape::Number(1, 1_000),
        "100",
        "Resources asked for at a time. A server may give fewer.",
    ),
    Field::optional(
        "user_filter",
        Shape::Text,
        "",
        "SCIM filter for users, evaluated by the server. Users whom it leaves out count as missing.",
    ),
    Field::optional("group_filter", Shape::Text, "", "The same for groups."),
    Field::optional(
        "group_members",
        Shape::Word(&["list", "each"]),
        "\"list\"",
        "Whether lists of groups hold the members, or each group has to be read by itself.",
    ),
    Field::optional(
        "ca_pem",
        Shape::Text,
        "",
        "Certificates (PEM) of a certification authority of your own, which alone vouches for the server and \
         the token endpoint then.",
    )
    .holding(PEM),
    Field::optional(
        "allow_private_network",
        Shape::Switch,
        "false",
        "Lets the server and the token endpoint be in a private network, where plain http is spoken as well.",
    )
    .operator_only(),
];

/// How far a watermark is put back, in milliseconds: what was written while the server answered may have
/// been left out.
const OVERLAP_MS: i64 = 5 * 60 * 1_000;

/// How servers say that they do not filter by time (RFC 7644 §3.12), each in its own way.
const REFUSALS: [u16; 6] = [400, 403, 404, 405, 422, 501];

/// How often a list that is read by index may move meanwhile, so that a page does not begin where the one before
/// has ended.
const MOST_MOVES: usize = 4;

/// How often it may get shorter behind that place, as one of many users does by itself.
const MOST_SHRINKS: usize = 20;

fn text<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What servers are reached by; a sentence about `ca_pem` where that cannot be used.
fn outbound(config: &Object, outbound: &Outbound) -> Result<Outbound, String> {
    let outbound = match config.get("allow_private_network") {
        Some(Value::Bool(true)) => outbound.in_private_networks(),
        _ => outbound.clone(),
    };
    match text(config, "ca_pem") {
        "" => Ok(outbound),
        pem => outbound.trusting(pem),
    }
}

/// The ways to show who asks; each is whole, and there is one.
const WAYS: [&[&str]; 3] =
    [&["token"], &["username", "password"], &["token_url", "client_id", "client_secret"]];

fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    let wrong = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let outbound = outbound(config, allowed).map_err(|message| ("ca_pem".to_owned(), message))?;
    let has = |name: &&str| !text(config, name).is_empty();
    for name in ["base_url", "token_url"].iter().filter(|name| **name == "base_url" || has(name)) {
        if let Err(message) = outbound.check(text(config, name)) {
            return wrong(name, &message);
        }
    }
    let base = text(config, "base_url");
    if Url::parse(base).is_ok_and(|url| url.query().is_some() || url.fragment().is_some()) {
        return wrong("base_url", "it must end with the path; leave out what begins with ? or #.");
    }
    let begun: Vec<&[&str]> = WAYS.into_iter().filter(|names| names.iter().any(has)).collect();
    let all = "a token, or username and password, or token_url, client_id and client_secret";
    match begun.as_slice() {
        [] => wrong("token", &format!("send {all}.")),
        [names] => {
            match (names.iter().find(|name| !has(name)), names.iter().find(|name| has(name))) {
                (Some(missing), Some(given)) => {
                    wrong(missing, &format!("it is required with {given}."))
                }
                _ if has(&"scope") && !has(&"token_url") => {
                    wrong("scope", "it is of use only with a token_url.")
                }
                _ => Ok(()),
            }
        }
        [first, ..] => {
            let given = first.iter().find(|name| has(name)).unwrap_or(&"token");
            wrong(given, &format!("send {all}, and only one of these."))
        }
    }
}

/// How the server is asked.
enum Access {
    /// With what the configuration holds.
    Fixed(Box<Client>),
    /// With tokens that end.
    Token(Box<Authorized>),
}

impl Access {
    fn of(config: &Object, base: &Url, surroundings: Surroundings) -> Result<Self, SourceError> {
        let accept = ("Accept".to_owned(), "application/scim+json, application/json".to_owned());
        let owned = |name: &str| text(config, name).to_owned();
        let token_url = text(config, "token_url");
        if token_url.is_empty() {
            let (token, password) = (owned("token"), owned("password"));
            let basic = STANDARD.encode(format!("{}:{password}", text(config, "username")));
            let authorization = match token.is_empty() {
                true => format!("Basic {basic}"),
                false => format!("Bearer {token}"),
            };
            let headers = vec![("Authorization".to_owned(), authorization), accept];
            let secrets = vec![token, password, basic];
            let client = Client::new(base, headers, secrets, surroundings);
            return Ok(Self::Fixed(Box::new(client)));
        }
        let url = Url::parse(token_url).map_err(|_| SourceError::failed("token_url is no URL"))?;
        let (client_id, client_secret) = (owned("client_id"), owned("client_secret"));
        let proof = match text(config, "client_authentication") {
            "post" => Proof::Secret { client_id, client_secret },
            _ => Proof::Basic { client_id, client_secret },
        };
        let tokens = Tokens::new(url, text(config, "scope"), proof, surroundings.clone());
        Ok(Self::Token(Box::new(Authorized::new(base, vec![accept], tokens, surroundings))))
    }

    fn get(&mut self, url: &Url) -> Result<Reply, SourceError> {
        match self {
            Self::Fixed(client) => client.get(url),
            Self::Token(client) => client.get(url),
        }
    }
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let base = text(config, "base_url").trim_end_matches('/');
    let base = Url::parse(base).map_err(|_| SourceError::failed("base_url is no URL"))?;
    let outbound = outbound(config, &surroundings.outbound)
        .map_err(|message| SourceError::failed(format!("ca_pem: {message}")))?;
    let surroundings = Surroundings { outbound, ..surroundings };
    let wants_groups = surroundings.wants_groups;
    Ok(Box::new(Server {
        access: Access::of(config, &base, surroundings)?,
        base,
        paging: text(config, "paging").to_owned(),
        page_size: config.get("page_size").and_then(Value::as_u64).unwrap_or(100),
        user_filter: text(config, "user_filter").to_owned(),
        group_filter: text(config, "group_filter").to_owned(),
        reads_each: text(config, "group_members") == "each",
        wants_groups,
        server_time: None,
    }))
}

struct Server {
    access: Access,
    base: Url,
    paging: String,
    page_size: u64,
    user_filter: String,
    group_filter: String,
    reads_each: bool,
    wants_groups: bool,
    /// The server's clock when the read began.
    server_time: Option<i64>,
}

/// Where a list goes on.
enum Next {
    Index(u64),
    Cursor(Option<String>),
}

impl Connector for Server {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: true,
            whole_accounts: true,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let mut probe =
            Probe { users: self.count("Users", &self.user_filter.clone())?, ..Probe::default() };
        if self.wants_groups {
            let groups = self.count("Groups", &self.group_filter.clone());
            probe.groups = groups.map_err(|error| error.about("the groups cannot be read"))?;
        }
        if probe.users == Some(0) {
            probe.warnings.push("The server lists no users.".to_owned());
        }
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        self.read(None, sink)
    }

    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let since = cursor.parse().map_err(|_| SourceError::CursorLost("no time".to_owned()))?;
        match self.read(Some(since), sink) {
            // Servers may refuse the filter; everything can be read without it.
            Err(SourceError::Failed { message, .. } | SourceError::Credentials(message))
                if REFUSALS
                    .iter()
                    .any(|status| message.starts_with(&format!("the source answers {status}"))) =>
            {
                Err(SourceError::CursorLost(message))
            }
            read => read,
        }
    }
}

impl Server {
    fn read(&mut self, since: Option<i64>, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        self.server_time = None;
        let changed = since.map(|ms| format!("meta.lastModified ge \"{}\"", instant_text(ms)));
        let filter = |own: &str| match (own.is_empty(), &changed) {
            (true, changed) => changed.clone().unwrap_or_default(),
            (false, Some(changed)) => format!("({own}) and {changed}"),
            (false, None) => own.to_owned(),
        };
        let (users, groups) = (filter(&self.user_filter), filter(&self.group_filter));
        let mut times = Times::default();
        self.list("Users", &users, &mut |_, resource| {
            times.note(&resource);
            let created = time(&resource, "created");
            let Some(id) = user(resource, sink)? else { return Ok(()) };
            let was_there = since.zip(created).is_some_and(|(since, created)| created < since);
            match was_there && sink.is_new(Kind::Account, &id) {
                // Of the groups only those are asked for that have changed.
                true => Err(SourceError::CursorLost(format!(
                    "{id} was there before and comes in now, perhaps with memberships"
                ))),
                false => Ok(()),
            }
        })?;
        if self.wants_groups {
            let mut memberships = BTreeMap::new();
            self.list("Groups", &groups, &mut |server, resource| {
                times.note(&resource);
                let whole = server.whole_group(resource)?;
                group(whole, &mut memberships, sink)
            })?;
            memberships.into_values().flatten().try_for_each(|membership| sink.put(membership))?;
        }
        // The server's clock, never this one's.
        let watermark = self.server_time.or(times.newest).or(since);
        // A filter by a time that a resource does not have leaves it out, whatever becomes of it.
        let watermark = watermark.filter(|_| since.is_some() || times.are_shown());
        let cursor = watermark.map(|ms| ms.saturating_sub(OVERLAP_MS).to_string());
        let groups = if self.wants_groups { GroupsGiven::Yes } else { GroupsGiven::No };
        Ok(Finished { cursor, groups })
    }

    fn url(&self, endpoint: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(endpoint.split('/'));
        }
        let given = query.iter().filter(|(_, value)| !value.is_empty());
        let given: Vec<_> = given.collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given.iter().map(|(name, value)| (name, value)));
        }
        url
    }

    fn get(&mut self, url: &Url) -> Result<Object, SourceError> {
        let reply = self.access.get(url)?;
        if self.server_time.is_none() {
            self.server_time = reply.date;
        }
        Ok(reply.object)
    }

    fn count(&mut self, endpoint: &str, filter: &str) -> Result<Option<u64>, SourceError> {
        let url = self.url(endpoint, &[("filter", filter.to_owned()), ("count", "1".to_owned())]);
        let page = self.get(&url)?;
        list_of(&page)?;
        Ok(member(&page, "totalResults").and_then(Value::as_u64))
    }

    /// Whether the server gives cursors (RFC 9865 §4).
    fn has_cursors(&mut self) -> Result<bool, SourceError> {
        if self.paging != "auto" {
            return Ok(self.paging == "cursor");
        }
        let url = self.url("ServiceProviderConfig", &[]);
        match self.get(&url) {
            Ok(config) => {
                Ok(config.get("pagination").and_then(|p| p.get("cursor")) == Some(&json!(true)))
            }
            // Not every server shows it.
            Err(SourceError::Failed { .. } | SourceError::Credentials(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Every resource of a list. Fails unless the server has listed as many as it says that there are.
    fn list(
        &mut self,
        endpoint: &str,
        filter: &str,
        take: &mut dyn FnMut(&mut Self, Object) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut next = match self.has_cursors()? {
            true => Next::Cursor(None),
            false => Next::Index(1),
        };
        let mut ids = HashSet::new();
        let mut trail = Trail::default();
        // By index, a page begins with the last one of the page before: who is deleted meanwhile moves
        // all others, and one of them would be on neither page. A list that gets shorter while it is read may
        // show less than there is.
        let (mut last, mut there, mut moves, mut shrinks) = (None::<String>, None, 0, 0);
        loop {
            let place = match &next {
                Next::Index(index) => ("startIndex", index.to_string()),
                Next::Cursor(cursor) => ("cursor", cursor.clone().unwrap_or_default()),
            };
            let count = ("count", self.page_size.to_string());
            let mut url = self.url(endpoint, &[("filter", filter.to_owned()), place, count]);
            if matches!(next, Next::Cursor(None)) {
                // The first page is asked for by a cursor without a value.
                url.query_pairs_mut().append_pair("cursor", "");
            }
            let page = self.get(&url)?;
            let total = member(&page, "totalResults").and_then(Value::as_u64);
            let resources = list_of(&page)?;
            // A row that comes twice is one: else the next page would begin too late.
            let listed: HashSet<String> = resources.iter().map(id_text).collect();
            let (read, known) = (listed.len(), ids.len());
            let has_shrunk = total.zip(there).is_some_and(|(total, there)| total < there);
            let has_moved = last.as_ref().is_some_and(|last| read > 0 && !listed.contains(last));
            moves += usize::from(has_moved);
            shrinks += usize::from(has_shrunk && !has_moved);
            if moves >= MOST_MOVES || shrinks >= MOST_SHRINKS {
                let message = format!("the list {endpoint} changes faster than it can be read");
                return Err(SourceError::failed(message));
            }
            if has_moved || has_shrunk {
                (last, there, next) = (None, None, Next::Index(1));
                ids.clear();
                continue;
            }
            (last, there) = match next {
                Next::Index(_) if read > 1 => (resources.last().map(id_text), total),
                Next::Index(_) => (None, total),
                Next::Cursor(_) => (None, None),
            };
            ids.extend(listed);
            for resource in resources {
                let Value::Object(resource) = resource else {
                    return Err(SourceError::failed(format!(
                        "the list {endpoint} holds something that is no resource"
                    )));
                };
                take(self, resource)?;
            }
            let is_complete = total.is_none_or(|total| as_u64(ids.len()) >= total);
            let cut_off = || {
                SourceError::failed(format!(
                    "the list {endpoint} ends after {} of {} resources",
                    ids.len(),
                    total.unwrap_or(0)
                ))
            };
            next = match next {
                Next::Cursor(_) => match member(&page, "nextCursor").and_then(Value::as_str) {
                    None | Some("") if is_complete => return Ok(()),
                    None | Some("") => return Err(cut_off()),
                    Some(cursor) => {
                        trail.step(cursor, ids.len() - known)?;
                        Next::Cursor(Some(cursor.to_owned()))
                    }
                },
                Next::Index(index) => match total {
                    None => {
                        let message = format!("the list {endpoint} has no totalResults");
                        return Err(SourceError::failed(message));
                    }
                    // By the index, not by who was listed: a list that grows shows some twice.
                    Some(total) if index.saturating_add(as_u64(read)) > total && is_complete => {
                        return Ok(());
                    }
                    Some(_) if read == 0 => return Err(cut_off()),
                    Some(_) if ids.len() == known => {
                        let message = format!("the list {endpoint} gives the same page again");
                        return Err(SourceError::failed(message));
                    }
                    Some(_) => {
                        let overlap = usize::from(last.is_some());
                        Next::Index(index.saturating_add(as_u64(read - overlap)))
                    }
                },
            };
        }
    }

    /// The group with its members, where lists do not hold them.
    fn whole_group(&mut self, group: Object) -> Result<Object, SourceError> {
        if !self.reads_each {
            return Ok(group);
        }
        let Some(id) = member(&group, "id").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(group);
        };
        let mut url = self.url("Groups", &[]);
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&id);
        }
        self.get(&url)
    }
}

/// The resources of a list (RFC 7644 §3.4.2): they are left out when there are none.
fn list_of(page: &Object) -> Result<Vec<Value>, SourceError> {
    let schemas = member(page, "schemas").and_then(Value::as_array);
    let is_list = schemas.is_some_and(|schemas| {
        let named = |schema: &Value| {
            schema.as_str().is_some_and(|schema| schema.eq_ignore_ascii_case(urn::LIST_RESPONSE))
        };
        schemas.iter().any(named)
    });
    let has_total = member(page, "totalResults").is_some();
    match member(page, "Resources") {
        Some(Value::Array(resources)) => Ok(resources.clone()),
        None | Some(Value::Null) if is_list || has_total => Ok(Vec::new()),
        _ => Err(SourceError::failed("the source answers with something that is no SCIM list")),
    }
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
