//! Google Workspace: the token endpoint for service accounts and the Directory API (directory_v1).
//!
//! As Google answers: an empty list has no member for it, int64 are texts, tokens of pages belong to the
//! parameters that they were given for, and the change of a group's members does not show in its `etag`.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::SigningKey;
use super::super::fake::{Asked, Fake, Said};

const CUSTOMER: &str = "C0example";
const CLIENT_EMAIL: &str = "reader@project.iam.gserviceaccount.com";
const KEY_ID: &str = "key-1";
pub const ADMINISTRATOR: &str = "admin@example.com";
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

/// What the administrator has allowed the service account.
const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.member.readonly",
];

/// Only with `projection=full`.
const FULL: [&str; 8] = [
    "emails",
    "phones",
    "addresses",
    "organizations",
    "externalIds",
    "relations",
    "languages",
    "customSchemas",
];

/// The account of a company.
pub struct Google {
    pub users: Vec<Value>,
    /// Restorable for some days.
    pub deleted: Vec<Value>,
    pub groups: Vec<Value>,
    /// By the id of the group.
    pub members: BTreeMap<String, Vec<Value>>,
    /// Most objects on a page, whatever is asked for.
    pub page: usize,
    /// Seconds since 1970.
    pub now: i64,
    tokens: HashSet<String>,
    issued: usize,
}

/// The key that signs for the service account; of its public half the fake checks signatures.
fn key_der() -> &'static [u8] {
    include_bytes!("../keys/first.pkcs8")
}

/// The key as Google Cloud lets it be downloaded.
pub fn service_account_key() -> String {
    key_of(key_der())
}

/// A key that Google does not know.
pub fn wrong_key() -> String {
    key_of(include_bytes!("../keys/second.pkcs8"))
}

fn key_of(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("Base64 is ASCII"))
        .collect();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": KEY_ID,
        "private_key": pem,
        "client_email": CLIENT_EMAIL,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": AUDIENCE,
        "universe_domain": "googleapis.com",
    })
    .to_string()
}

/// A user with that id and address.
pub fn user(id: &str, address: &str) -> Value {
    let name = address.split('@').next().expect("a name");
    json!({
        "kind": "admin#directory#user",
        "id": id,
        "etag": format!("\"u{id}\""),
        "customerId": CUSTOMER,
        "primaryEmail": address,
        "name": {"givenName": name, "familyName": "Example", "fullName": format!("{name} Example")},
        "isAdmin": address == ADMINISTRATOR,
        "isDelegatedAdmin": false,
        "suspended": false,
        "archived": false,
        "orgUnitPath": "/",
        "isMailboxSetup": true,
        "creationTime": "2025-01-01T00:00:00.000Z",
        "lastLoginTime": "2025-06-01T00:00:00.000Z",
        "emails": [{"address": address, "primary": true}],
    })
}

pub fn member(kind: &str, id: &str, address: &str) -> Value {
    let mut member = json!({
        "kind": "admin#directory#member",
        "etag": format!("\"m{id}\""),
        "role": "MEMBER",
        "type": kind,
        "status": "ACTIVE",
    });
    for (name, value) in [("id", id), ("email", address)] {
        if !value.is_empty() {
            member[name] = value.into();
        }
    }
    member
}

impl Google {
    /// A company of an administrator and so many users, 1 to `users`, all in the group `g1`.
    pub fn start(users: usize, now: i64) -> Fake<Self> {
        let address = |n: usize| format!("user{n}@example.com");
        let mut google = Self {
            users: vec![user("100", ADMINISTRATOR)],
            deleted: Vec::new(),
            groups: Vec::new(),
            members: BTreeMap::new(),
            page: 100,
            now,
            tokens: HashSet::new(),
            issued: 0,
        };
        google.users.extend((1..=users).map(|n| user(&n.to_string(), &address(n))));
        let members = (1..=users).map(|n| member("USER", &n.to_string(), &address(n)));
        google.add_group("g1", "all@example.com", members.collect());
        Fake::start(|_| google, Self::answer)
    }

    pub fn add_group(&mut self, id: &str, address: &str, members: Vec<Value>) {
        self.groups.push(json!({
            "kind": "admin#directory#group",
            "id": id,
            "etag": format!("\"g{id}\""),
            "email": address,
            "name": address.split('@').next(),
            "description": "",
            "adminCreated": true,
        }));
        self.members.insert(id.to_owned(), members);
    }

    /// The user of that id, to be changed.
    pub fn user(&mut self, id: &str) -> &mut Value {
        self.users.iter_mut().find(|user| user["id"] == id).expect("the user exists")
    }

    /// Google keeps who was deleted for some days, out of the list of the others.
    pub fn delete(&mut self, id: &str) {
        let place = self.users.iter().position(|user| user["id"] == id).expect("the user exists");
        let mut gone = self.users.remove(place);
        gone["deletionTime"] = "2025-06-15T00:00:00.000Z".into();
        self.deleted.push(gone);
        for members in self.members.values_mut() {
            members.retain(|member| member["id"] != id);
        }
    }

    /// Tokens that were given out are good no more.
    pub fn end_tokens(&mut self) {
        self.tokens.clear();
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.method == "POST" && asked.parts() == ["token"] {
            return self.token(asked);
        }
        let token = asked.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if !self.tokens.contains(token) {
            let message = "Request had invalid authentication credentials.";
            return error(401, "authError", message);
        }
        let parts = asked.parts();
        let ["admin", "directory", "v1", rest @ ..] = &parts[..] else {
            return error(404, "notFound", "Not Found");
        };
        match rest {
            ["users"] => self.list_users(asked),
            ["users", key] => {
                let is_meant = |user: &&Value| user["id"] == *key || user["primaryEmail"] == *key;
                match self.users.iter().find(is_meant) {
                    Some(user) => Said::json(200, user),
                    None => error(404, "notFound", "Resource Not Found: userKey"),
                }
            }
            ["groups"] => self.list_groups(asked),
            ["groups", key] => {
                let is_meant = |group: &&Value| group["id"] == *key || group["email"] == *key;
                match self.groups.iter().find(is_meant) {
                    Some(group) => Said::json(200, &self.counted(group.clone())),
                    None => error(404, "notFound", "Resource Not Found: groupKey"),
                }
            }
            ["groups", key, "members"] => match self.group_id(key) {
                Some(id) => {
                    let members = self.members.get(&id).cloned().unwrap_or_default();
                    self.page(asked, "members", members, 200, 200)
                }
                None => error(404, "notFound", "Resource Not Found: groupKey"),
            },
            _ => error(404, "notFound", "Not Found"),
        }
    }

    fn group_id(&self, key: &str) -> Option<String> {
        let group = self.groups.iter().find(|g| g["id"] == key || g["email"] == key)?;
        group["id"].as_str().map(str::to_owned)
    }

    /// RFC 7523 §2.1, with the errors that Google gives.
    fn token(&mut self, asked: &Asked) -> Said {
        let form: BTreeMap<String, String> = asked.form().into_iter().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refused = |status: u16, error: &str, description: &str| {
            Said::json(status, &json!({"error": error, "error_description": description}))
        };
        if field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return refused(400, "unsupported_grant_type", "Invalid grant_type");
        }
        let Some((header, claims)) = verified(field("assertion")) else {
            return refused(400, "invalid_grant", "Invalid JWT Signature.");
        };
        let number = |name: &str| claims[name].as_i64().unwrap_or_default();
        let (issued, ends) = (number("iat"), number("exp"));
        if header["alg"] != "RS256" || header["typ"] != "JWT" || header["kid"] != KEY_ID {
            return refused(400, "invalid_grant", "Invalid JWT header.");
        }
        if (issued - self.now).abs() > 300 || ends <= issued || ends - issued > 3_600 {
            let description = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a \
                               reasonable timeframe. Check your iat and exp values in the JWT claim.";
            return refused(400, "invalid_grant", description);
        }
        if claims["iss"] != CLIENT_EMAIL {
            return refused(400, "invalid_grant", "Invalid grant: account not found");
        }
        if claims["aud"] != AUDIENCE {
            return refused(400, "invalid_grant", "Invalid JWT: Failed audience check.");
        }
        if claims["sub"] != ADMINISTRATOR {
            return refused(400, "invalid_grant", "Invalid email or User ID");
        }
        let mut scopes = claims["scope"].as_str().unwrap_or_default().split(' ');
        if !scopes.all(|scope| SCOPES.contains(&scope)) {
            let description = "Client is unauthorized to retrieve access tokens using this method, or \
                               client not authorized for any of the scopes requested.";
            return refused(401, "unauthorized_client", description);
        }
        self.issued += 1;
        let token = format!("ya29.token-{}", self.issued);
        self.tokens.insert(token.clone());
        let body = json!({"access_token": token, "expires_in": 3_599, "token_type": "Bearer"});
        Said::json(200, &body)
    }

    fn list_users(&self, asked: &Asked) -> Said {
        if let Some(refusal) = out_of_scope(asked) {
            return refusal;
        }
        let mut users = match asked.param("showDeleted") {
            "true" => self.deleted.clone(),
            _ => self.users.clone(),
        };
        match asked.param("query") {
            "" => {}
            "isSuspended=false" => users.retain(|user| user["suspended"] == false),
            _ => return error(400, "invalid", "Invalid Input: query"),
        }
        let is_of = |user: &Value, domain: &str| {
            user["primaryEmail"].as_str().is_some_and(|mail| mail.ends_with(&format!("@{domain}")))
        };
        if !asked.param("domain").is_empty() {
            users.retain(|user| is_of(user, asked.param("domain")));
        }
        if asked.param("orderBy") == "email" {
            users.sort_by_key(|user| user["primaryEmail"].to_string());
        }
        if asked.param("projection") != "full" {
            for user in users.iter_mut().filter_map(Value::as_object_mut) {
                user.retain(|name, _| !FULL.contains(&name.as_str()));
            }
        }
        self.page(asked, "users", users, 100, 500)
    }

    fn list_groups(&self, asked: &Asked) -> Said {
        let user = asked.param("userKey");
        if user.is_empty()
            && let Some(refusal) = out_of_scope(asked)
        {
            return refusal;
        }
        let has = |group: &Value| {
            let id = group["id"].as_str().expect("an id");
            self.members[id].iter().any(|member| member["id"] == user)
        };
        let mut groups = self.groups.clone();
        groups.retain(|group| user.is_empty() || has(group));
        match asked.param("query").strip_prefix("email:") {
            Some(query) => {
                let prefix = query.trim_end_matches('*');
                groups.retain(|g| g["email"].as_str().is_some_and(|mail| mail.starts_with(prefix)));
            }
            None if asked.param("query").is_empty() => {}
            None => return error(400, "invalid", "Invalid Input: query"),
        }
        let groups = groups.into_iter().map(|group| self.counted(group)).collect();
        self.page(asked, "groups", groups, 200, 200)
    }

    /// A group with the number of its members.
    fn counted(&self, mut group: Value) -> Value {
        let count = self.members[group["id"].as_str().expect("an id")].len();
        group["directMembersCount"] = count.to_string().into();
        group
    }

    /// A page of a list, with the token of the next one.
    fn page(&self, asked: &Asked, name: &str, all: Vec<Value>, usual: usize, most: usize) -> Said {
        let wanted = match asked.param("maxResults") {
            "" => usual,
            text => text.parse().unwrap_or(0),
        };
        if !(1..=most).contains(&wanted) {
            return error(400, "invalid", "Invalid value for maxResults");
        }
        let others = asked.query.iter().filter(|(name, _)| name != "pageToken" && name != "alt");
        let parameters = format!("{:?} {:?}", asked.path, others.collect::<Vec<_>>());
        let parameters = URL_SAFE_NO_PAD.encode(&Sha256::digest(parameters)[..6]);
        let token = |from: usize| URL_SAFE_NO_PAD.encode(format!("{from} {parameters}"));
        let from = match asked.param("pageToken") {
            "" => 0,
            sent => match (0..=all.len()).find(|from| token(*from) == sent) {
                Some(from) => from,
                None => return error(400, "invalid", "Invalid Input: pageToken"),
            },
        };
        let count = wanted.min(self.page);
        let listed: Vec<Value> = all.iter().skip(from).take(count).cloned().collect();
        let etag = URL_SAFE_NO_PAD.encode(&Sha256::digest(json!(listed).to_string())[..12]);
        let mut page = Map::new();
        page.insert("kind".to_owned(), format!("admin#directory#{name}").into());
        page.insert("etag".to_owned(), format!("\"{etag}\"").into());
        if !listed.is_empty() {
            page.insert(name.to_owned(), listed.into());
        }
        if from + count < all.len() {
            page.insert("nextPageToken".to_owned(), token(from + count).into());
        }
        Said::json(200, &page.into())
    }
}

/// Lists are of a customer or of a domain.
fn out_of_scope(asked: &Asked) -> Option<Said> {
    match (asked.param("customer"), asked.param("domain")) {
        ("my_customer" | CUSTOMER, "") => None,
        ("", domain) if domain.ends_with(".com") => None,
        ("", "") => Some(error(400, "badRequest", "Bad Request")),
        ("", _) => Some(error(404, "domainNotFound", "Domain not found.")),
        _ => Some(error(403, "forbidden", "Not Authorized to access this resource/api")),
    }
}

/// An error as the API gives it.
pub fn error(status: u16, reason: &str, message: &str) -> Said {
    Said::json(status, &error_body(status, reason, message))
}

pub fn error_body(status: u16, reason: &str, message: &str) -> Value {
    let error = json!({"domain": "global", "reason": reason, "message": message});
    json!({"error": {"code": status, "message": message, "errors": [error]}})
}

/// Header and claims of an assertion that the service account has signed.
fn verified(assertion: &str) -> Option<(Value, Value)> {
    let (message, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let jwk = SigningKey::rsa().jwk(KEY_ID);
    let part = |name: &str| bytes(jwk[name].as_str()?);
    let key = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
    let signature = bytes(signature)?;
    key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).ok()?;
    let json = |text: &str| serde_json::from_slice(&bytes(text)?).ok();
    Some((json(header)?, json(claims)?))
}
