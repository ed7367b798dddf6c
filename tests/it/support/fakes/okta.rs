//! An Okta organization: Users, Groups, System Log and the token endpoint, as the Okta management API
//! answers (OpenAPI 2026.06). Deactivated users are in no plain list and in no list of members.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::okta_filter::{Allowed, parse};
use crate::support::fake::{Asked, Fake, Said};

/// The API token that is accepted.
pub const API_TOKEN: &str = "00s3cretTokenOfOkta-0123456789abcdefghijkl";

/// The one service app.
pub const CLIENT_ID: &str = "0oa1service0app00000";

/// How long an access token lasts, in seconds.
const LIFETIME: i64 = 3_600;

pub struct Org {
    pub url: String,
    /// Okta's clock.
    pub now_ms: i64,
    pub api_token: String,
    /// Public keys of the service app.
    pub keys: Vec<Value>,
    /// Scopes that the service app was granted.
    pub granted: Vec<&'static str>,
    /// The service app has to prove that it holds the key of its token (RFC 9449).
    pub wants_dpop: bool,
    pub users: BTreeMap<String, Value>,
    pub groups: BTreeMap<String, Value>,
    pub members: BTreeMap<String, BTreeSet<String>>,
    pub log: Vec<Value>,
    /// Most rows of a page, whatever is asked for.
    pub page: usize,
    /// Requests of a minute, and how many are left.
    pub limit: (i64, i64),
    /// Links come in one header with a comma between them.
    pub joins_links: bool,
    /// Whether an administrator may read the System Log.
    pub shows_log: bool,
    /// Access tokens: until when, and for which scopes.
    access: HashMap<String, (i64, Vec<String>)>,
    assertions: HashSet<String>,
    number: u64,
}

/// A running organization without anybody but its group Everyone.
pub fn start(now_ms: i64) -> Fake<Org> {
    let org = move |url: &str| {
        let mut org = Org {
            url: url.to_owned(),
            now_ms,
            api_token: API_TOKEN.to_owned(),
            keys: Vec::new(),
            granted: vec!["okta.users.read", "okta.groups.read", "okta.logs.read"],
            wants_dpop: false,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            log: Vec::new(),
            page: 200,
            limit: (600, 599),
            joins_links: false,
            shows_log: true,
            access: HashMap::new(),
            assertions: HashSet::new(),
            number: 0,
        };
        org.add_group("Everyone", "BUILT_IN");
        org
    };
    Fake::start(org, answer)
}

fn text(ms: i64) -> String {
    rollbook::scim::key::instant_text(ms)
}

/// Makes `target` have the members of `change`; null takes one away.
fn merge(target: &mut Value, change: Value) {
    for (name, value) in change.as_object().expect("an object") {
        target[name] = value.clone();
    }
}

/// What an administrator does.
impl Org {
    fn id(&mut self, prefix: &str) -> String {
        self.number += 1;
        format!("{prefix}{:017}", self.number)
    }

    fn note(&mut self, name: &str, targets: &[(&str, &str)]) {
        self.number += 1;
        let targets: Vec<Value> = targets
            .iter()
            .map(|(kind, id)| {
                json!({"id": id, "type": kind, "alternateId": "unknown", "displayName": "unknown",
                    "detailEntry": null})
            })
            .collect();
        self.log.push(json!({
            "uuid": format!("00000000-0000-4000-8000-{:012}", self.number),
            "published": text(self.now_ms),
            "eventType": name,
            "version": "0",
            "severity": "INFO",
            "displayMessage": name,
            "actor": {"id": "00uadmin000000000000", "type": "User", "alternateId": "admin@example.com",
                "displayName": "Admin"},
            "outcome": {"result": "SUCCESS", "reason": null},
            "target": targets,
        }));
    }

    /// A new user with that login, its profile changed by `profile`.
    pub fn add_user(&mut self, login: &str, profile: Value) -> String {
        let id = self.id("00u");
        let now = text(self.now_ms);
        let mut user = json!({
            "id": id, "status": "ACTIVE", "created": now, "activated": now, "statusChanged": now,
            "lastLogin": null, "lastUpdated": now, "passwordChanged": now,
            "type": {"id": "oty00000000000000001"},
            "profile": {"login": login, "email": login, "firstName": "Ada", "lastName": "Lane",
                "mobilePhone": null, "secondEmail": null},
            "credentials": {"provider": {"type": "OKTA", "name": "OKTA"},
                "recovery_question": {"question": "Who knows s3cret things?"}},
            "_links": {"self": {"href": format!("{}/api/v1/users/{id}", self.url)}},
        });
        merge(&mut user["profile"], profile);
        self.users.insert(id.clone(), user);
        self.note("user.lifecycle.create", &[("User", &id)]);
        id
    }

    pub fn change_user(&mut self, id: &str, profile: Value) {
        let now = text(self.now_ms);
        let user = self.users.get_mut(id).expect("the user");
        merge(&mut user["profile"], profile);
        user["lastUpdated"] = now.into();
        self.note("user.account.update_profile", &[("User", id)]);
    }

    pub fn set_status(&mut self, id: &str, status: &str) {
        let now = text(self.now_ms);
        let user = self.users.get_mut(id).expect("the user");
        user["status"] = status.into();
        user["statusChanged"] = now.as_str().into();
        user["lastUpdated"] = now.into();
        let name = match status {
            "SUSPENDED" => "user.lifecycle.suspend",
            "DEPROVISIONED" => "user.lifecycle.deactivate",
            "LOCKED_OUT" => "user.account.lock",
            _ => "user.lifecycle.activate",
        };
        self.note(name, &[("User", id)]);
    }

    /// Takes away a user for good; Okta does it only with one that is deactivated.
    pub fn delete_user(&mut self, id: &str) {
        let user = self.users.remove(id).expect("the user");
        assert_eq!(user["status"], "DEPROVISIONED", "a user is deactivated first");
        for members in self.members.values_mut() {
            members.remove(id);
        }
        self.note("user.lifecycle.delete.initiated", &[("User", id)]);
        self.note("user.lifecycle.delete.completed", &[("User", id)]);
    }

    pub fn add_group(&mut self, name: &str, kind: &str) -> String {
        let id = self.id("00g");
        let now = text(self.now_ms);
        let group = json!({
            "id": id, "created": now, "lastUpdated": now, "lastMembershipUpdated": now, "type": kind,
            "objectClass": ["okta:user_group"], "profile": {"name": name, "description": null},
            "_links": {"users": {"href": format!("{}/api/v1/groups/{id}/users", self.url)}},
        });
        self.groups.insert(id.clone(), group);
        self.members.insert(id.clone(), BTreeSet::new());
        self.note("group.lifecycle.create", &[("UserGroup", &id)]);
        id
    }

    pub fn rename_group(&mut self, id: &str, name: &str) {
        let now = text(self.now_ms);
        let group = self.groups.get_mut(id).expect("the group");
        group["profile"]["name"] = name.into();
        group["lastUpdated"] = now.into();
        self.note("group.profile.update", &[("UserGroup", id)]);
    }

    pub fn delete_group(&mut self, id: &str) {
        self.groups.remove(id).expect("the group");
        self.members.remove(id);
        self.note("group.lifecycle.delete", &[("UserGroup", id)]);
    }

    pub fn join(&mut self, group: &str, user: &str) {
        self.members.get_mut(group).expect("the group").insert(user.to_owned());
        self.moved(group);
        self.note("group.user_membership.add", &[("User", user), ("UserGroup", group)]);
    }

    pub fn leave(&mut self, group: &str, user: &str) {
        self.members.get_mut(group).expect("the group").remove(user);
        self.moved(group);
        self.note("group.user_membership.remove", &[("User", user), ("UserGroup", group)]);
    }

    fn moved(&mut self, group: &str) {
        let now = text(self.now_ms);
        self.groups.get_mut(group).expect("the group")["lastMembershipUpdated"] = now.into();
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now_ms += seconds * 1_000;
    }
}

/// An error in the form of Okta.
pub fn error(status: u16, code: &str, summary: &str) -> Said {
    let body = json!({"errorCode": code, "errorSummary": summary, "errorLink": code,
        "errorId": "oae0000000000000000", "errorCauses": []});
    Said::json(status, &body)
}

/// The window of the rate limit is used up; it ends after so many seconds.
pub fn too_many(asked_ms: i64, seconds: i64) -> Said {
    error(429, "E0000047", "API call exceeded rate limit due to too many requests.")
        .with("Date", date(asked_ms))
        .with("X-Rate-Limit-Limit", 600)
        .with("X-Rate-Limit-Remaining", 0)
        .with("X-Rate-Limit-Reset", asked_ms / 1_000 + seconds)
}

/// Too many requests at the same time.
pub fn too_many_at_once() -> Said {
    error(429, "E0000047", "API call exceeded rate limit due to too many concurrent requests.")
        .with("X-Rate-Limit-Limit", 0)
        .with("X-Rate-Limit-Remaining", 0)
        .with("X-Rate-Limit-Reset", 0)
}

fn date(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).expect("a time");
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).expect("a date")
}

fn answer(org: &mut Org, asked: &Asked) -> Said {
    let said = match (asked.method.as_str(), &asked.parts()[..]) {
        ("POST", ["oauth2", "v1", "token"]) => return token(org, asked),
        ("GET", ["api", "v1", path @ ..]) => match refused(org, asked, path) {
            Some(refused) => refused,
            None => read(org, asked, path),
        },
        _ => not_found(&asked.target),
    };
    let (limit, left) = org.limit;
    said.with("Date", date(org.now_ms))
        .with("X-Rate-Limit-Limit", limit)
        .with("X-Rate-Limit-Remaining", left)
        .with("X-Rate-Limit-Reset", org.now_ms / 1_000 + 1)
}

fn not_found(what: &str) -> Said {
    error(404, "E0000007", &format!("Not found: Resource not found: {what}"))
}

fn refused(org: &Org, asked: &Asked, path: &[&str]) -> Option<Said> {
    let header = asked.header("authorization");
    let scope = match path.first() {
        Some(&"groups") => "okta.groups.read",
        Some(&"logs") => "okta.logs.read",
        _ => "okta.users.read",
    };
    // Okta's SDK leaves out the space behind SSWS.
    let (scheme, secret) = match header.strip_prefix("SSWS") {
        Some(secret) => ("SSWS", secret.trim_start()),
        None => header.split_once(' ').unwrap_or_default(),
    };
    let known = match scheme {
        "SSWS" => secret == org.api_token,
        "Bearer" => match org.access.get(secret) {
            Some((until, scopes)) if *until > org.now_ms => {
                if !scopes.iter().any(|granted| granted == scope) {
                    return Some(forbidden());
                }
                true
            }
            _ => false,
        },
        _ => false,
    };
    if !known {
        return Some(error(401, "E0000011", "Invalid token provided"));
    }
    (scope == "okta.logs.read" && !org.shows_log).then(forbidden)
}

fn forbidden() -> Said {
    error(403, "E0000006", "You do not have permission to perform the requested action")
}

fn read(org: &Org, asked: &Asked, path: &[&str]) -> Said {
    let is_gone = |user: &&Value| user["status"] == "DEPROVISIONED";
    match path {
        ["users"] => match wanted(asked, Allowed::Users) {
            Err(said) => said,
            Ok(None) => page(org, asked, org.users.values().filter(|user| !is_gone(user))),
            Ok(Some(expression)) => {
                page(org, asked, org.users.values().filter(|user| expression.holds(user)))
            }
        },
        ["users", id] => org.users.get(*id).map_or_else(|| not_found(id), |u| Said::json(200, u)),
        ["users", id, "groups"] if org.users.contains_key(*id) => {
            let of_user = |(group, value): &(&String, &Value)| {
                value["type"] == "BUILT_IN" || org.members[*group].contains(*id)
            };
            page(org, asked, org.groups.iter().filter(of_user).map(|(_, group)| group))
        }
        ["groups"] => match wanted(asked, Allowed::Groups) {
            Err(said) => said,
            Ok(expression) => {
                let is_wanted = |group: &&Value| expression.as_ref().is_none_or(|e| e.holds(group));
                let found: Vec<Value> = org.groups.values().filter(is_wanted).cloned().collect();
                let found: Vec<Value> = match asked.param("expand") {
                    "stats" => found.into_iter().map(|group| with_stats(org, group)).collect(),
                    _ => found,
                };
                page(org, asked, found.iter())
            }
        },
        ["groups", id] => org.groups.get(*id).map_or_else(|| not_found(id), |g| Said::json(200, g)),
        ["groups", id, "users"] if org.groups.contains_key(*id) => {
            let everyone = org.groups[*id]["type"] == "BUILT_IN";
            let members = &org.members[*id];
            let is_member = |user: &&Value| {
                let id = user["id"].as_str().expect("an id");
                !is_gone(user) && (everyone || members.contains(id))
            };
            page(org, asked, org.users.values().filter(is_member))
        }
        ["logs"] => logs(org, asked),
        [.., last] => not_found(last),
        [] => not_found(""),
    }
}

fn with_stats(org: &Org, mut group: Value) -> Value {
    let id = group["id"].as_str().expect("an id");
    let active = org.users.values().filter(|user| user["status"] != "DEPROVISIONED").count();
    let count = if group["type"] == "BUILT_IN" { active } else { org.members[id].len() };
    group["_embedded"] = json!({"stats": {"usersCount": count, "appsCount": 0,
        "groupPushMappingsCount": 0, "hasAdminPrivilege": false}});
    group
}

fn wanted(asked: &Asked, allowed: Allowed) -> Result<Option<super::okta_filter::Expression>, Said> {
    let (filter, search) = (asked.param("filter"), asked.param("search"));
    let read = match (filter.is_empty(), search.is_empty()) {
        (true, true) => return Ok(None),
        (false, true) => parse(filter, allowed),
        (true, false) => parse(search, Allowed::Any),
        (false, false) => Err("filter and search together".to_owned()),
    };
    let invalid = |what| error(400, "E0000031", &format!("Invalid search criteria: {what}."));
    read.map(Some).map_err(invalid)
}

/// A page of a list, with its links in headers of their own.
fn page<'v>(org: &Org, asked: &Asked, rows: impl Iterator<Item = &'v Value>) -> Said {
    let limit = asked.param("limit").parse().unwrap_or(200).min(org.page);
    let after = asked.param("after");
    let id = |row: &Value| row["id"].as_str().expect("an id").to_owned();
    let mut rest = rows.filter(|row| after.is_empty() || id(row).as_str() > after);
    let mut shown: Vec<Value> = rest.by_ref().take(limit).cloned().collect();
    let next = rest.next().and(shown.last()).map(id);
    if asked.header("content-type").contains("omitCredentials") {
        for row in shown.iter_mut().filter_map(Value::as_object_mut) {
            row.shift_remove("credentials");
        }
    }
    linked(org, asked, Said::json(200, &Value::from(shown)), next.as_deref())
}

fn linked(org: &Org, asked: &Asked, said: Said, next: Option<&str>) -> Said {
    let own = format!("<{}{}>; rel=\"self\"", org.url, asked.target);
    let Some(next) = next else { return said.with("Link", own) };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("after", next);
    query.extend_pairs(asked.query.iter().filter(|(name, _)| name != "after"));
    let path = asked.path.join("/");
    let next = format!("<{}/{path}?{}>; rel=\"next\"", org.url, query.finish());
    match org.joins_links {
        true => said.with("Link", format!("{own}, {next}")),
        false => said.with("Link", own).with("Link", next),
    }
}

/// Events; without an end (`until`) there is always a next page.
fn logs(org: &Org, asked: &Asked) -> Said {
    let expression = match asked.param("filter") {
        "" => None,
        filter => match parse(filter, Allowed::Any) {
            Ok(expression) => Some(expression),
            Err(what) => return error(400, "E0000053", &format!("Invalid filter: {what}.")),
        },
    };
    let (since, until) = (asked.param("since"), asked.param("until"));
    let limit: usize = asked.param("limit").parse().unwrap_or(100);
    let after: usize = asked.param("after").parse().unwrap_or(0);
    let is_wanted = |(_, event): &(usize, &Value)| {
        let published = event["published"].as_str().expect("a time");
        published >= since
            && (until.is_empty() || published < until)
            && expression.as_ref().is_none_or(|expression| expression.holds(event))
    };
    let rest = org.log.iter().enumerate().skip(after).filter(is_wanted);
    let shown: Vec<(usize, &Value)> = rest.take(limit.min(org.page)).collect();
    let next = shown.last().map_or(after, |(place, _)| place + 1).to_string();
    let is_end = shown.is_empty();
    let body: Value = shown.into_iter().map(|(_, event)| event.clone()).collect();
    let goes_on = until.is_empty() || !is_end;
    linked(org, asked, Said::json(200, &body), goes_on.then_some(next.as_str()))
}

fn oauth_error(status: u16, code: &str, description: &str) -> Said {
    Said::json(status, &json!({"error": code, "error_description": description}))
}

/// Client credentials with `private_key_jwt` (RFC 7523), the only way in for scopes of Okta.
fn token(org: &mut Org, asked: &Asked) -> Said {
    let form: HashMap<String, String> = asked.form().into_iter().collect();
    let query: HashMap<String, String> = asked.query.iter().cloned().collect();
    let given = |name: &str| form.get(name).or(query.get(name)).map_or("", String::as_str);
    if given("grant_type") != "client_credentials" {
        return oauth_error(400, "unsupported_grant_type", "The grant type is not supported.");
    }
    let by = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if given("client_assertion_type") != by {
        return oauth_error(401, "invalid_client", "The client must use private_key_jwt.");
    }
    if let Err(reason) = verified(org, given("client_assertion")) {
        return oauth_error(401, "invalid_client", reason);
    }
    if org.wants_dpop && asked.header("dpop").is_empty() {
        let description = "The DPoP proof JWT header is missing.";
        return oauth_error(400, "invalid_dpop_proof", description);
    }
    let scopes: Vec<String> = given("scope").split(' ').map(str::to_owned).collect();
    if let Some(scope) = scopes.iter().find(|scope| !org.granted.contains(&scope.as_str())) {
        let description = format!("The client is not granted the scope {scope}.");
        return oauth_error(400, "invalid_scope", &description);
    }
    org.number += 1;
    let token = format!("eyJ.s3cret-access-{}", org.number);
    org.access.insert(token.clone(), (org.now_ms + LIFETIME * 1_000, scopes));
    Said::json(
        200,
        &json!({"token_type": "Bearer", "expires_in": LIFETIME, "access_token": token,
            "scope": given("scope")}),
    )
}

/// Checks an assertion as Okta does: header, claims, signature, and that it is used once.
fn verified(org: &mut Org, assertion: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Err("The assertion is no JWT.") };
    let json = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (Some(header_of), Some(claims_of)) = (json(header), json(claims)) else {
        return Err("The assertion is no JWT.");
    };
    let key = org.keys.iter().find(|key| key["kid"] == header_of["kid"]);
    let key = key.ok_or("The kid of the assertion is not one of the client's keys.")?;
    let bytes = |text: &Value| URL_SAFE_NO_PAD.decode(text.as_str().unwrap_or_default());
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "The signature is no base64.")?;
    let message = format!("{header}.{claims}");
    let is_signed = match header_of["alg"].as_str() {
        Some("RS256") => {
            let (n, e) =
                (bytes(&key["n"]).unwrap_or_default(), bytes(&key["e"]).unwrap_or_default());
            let key = PublicKeyComponents { n, e };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).is_ok()
        }
        Some("ES256") => {
            let (x, y) =
                (bytes(&key["x"]).unwrap_or_default(), bytes(&key["y"]).unwrap_or_default());
            let point = [vec![4], x, y].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(message.as_bytes(), &signature).is_ok()
        }
        _ => false,
    };
    if !is_signed {
        return Err("The signature of the assertion is invalid.");
    }
    if claims_of["iss"] != CLIENT_ID || claims_of["sub"] != CLIENT_ID {
        return Err("iss and sub of the assertion must be the client_id.");
    }
    if claims_of["aud"] != format!("{}/oauth2/v1/token", org.url) {
        return Err("aud of the assertion must be the token endpoint.");
    }
    let now = org.now_ms / 1_000;
    match claims_of["exp"].as_i64() {
        Some(exp) if exp > now && exp <= now + 3_600 => {}
        _ => return Err("exp of the assertion must be within the next hour."),
    }
    let jti = claims_of["jti"].as_str().unwrap_or_default();
    match org.assertions.insert(jti.to_owned()) {
        true => Ok(()),
        false => Err("The assertion was used before."),
    }
}
