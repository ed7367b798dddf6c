//! A SCIM client for checks: sends what it is told, and keeps what was made so that a run against a
//! server without fresh directories can tidy up.

use std::sync::{Arc, Mutex, PoisonError};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::http::Client;
use crate::matching::brief;
use crate::rows::Finding;

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
pub const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
pub const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

const SCIM_JSON: &str = "application/scim+json";

/// One base URL with one token.
#[derive(Clone)]
pub struct Scim {
    client: Arc<Client>,
    base_url: String,
    token: Option<String>,
    /// Paths of everything that was created through this client and its copies.
    created: Arc<Mutex<Vec<String>>>,
}

/// A resource that was just created.
#[derive(Clone, Debug)]
pub struct Resource {
    pub id: String,
    /// Where it is, below the base URL: `/Users/…`.
    pub path: String,
    /// The `Location` header.
    pub location: String,
    pub etag: Option<String>,
    pub body: Value,
}

/// Percent-encodes everything that is not a letter or a digit.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The smallest user.
pub fn user(user_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name})
}

/// A user with a value in most kinds of attributes.
pub fn full_user(user_name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": user_name,
        "externalId": format!("ext-{user_name}"),
        "name": {"givenName": "Ada", "familyName": "Lane", "formatted": "Ada Lane"},
        "displayName": "Ada Lane",
        "title": "Engineer",
        "active": true,
        "emails": [
            {"value": user_name, "type": "work", "primary": true},
            {"value": format!("home.{user_name}"), "type": "home"},
        ],
        "phoneNumbers": [{"value": "tel:+1-201-555-0123", "type": "work"}],
        ENTERPRISE: {"employeeNumber": "701984", "department": "Tools", "costCenter": "4130"},
    })
}

/// A group with those members.
pub fn group(display_name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [GROUP], "displayName": display_name, "members": members})
}

/// A PATCH body with those operations.
pub fn patch(operations: &Value) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

/// The same document with one more top-level member, or another value for it.
pub fn with(mut document: Value, name: &str, value: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    document
}

/// The same document without that top-level member.
pub fn without(mut document: Value, name: &str) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.shift_remove(name);
    }
    document
}

impl Scim {
    pub(crate) fn new(client: Arc<Client>, base_url: &str, token: Option<&str>) -> Self {
        Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            token: token.map(str::to_owned),
            created: Arc::default(),
        }
    }

    /// Where `/Users` hangs, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The bearer token that is sent.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The same client with another token, or without one.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// The same client for another base URL.
    pub fn with_base_url(&self, base_url: &str) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Result<Answer, Finding> {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Answer, Finding> {
        self.send("POST", path, &[], Some(&body.to_string()))
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Answer, Finding> {
        self.send("PUT", path, &[], Some(&body.to_string()))
    }

    /// A PATCH with a whole body; [`patch`] makes one of operations.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Answer, Finding> {
        self.send("PATCH", path, &[], Some(&body.to_string()))
    }

    pub fn delete(&self, path: &str) -> Result<Answer, Finding> {
        self.send("DELETE", path, &[], None)
    }

    /// A GET with parameters, percent-encoded here.
    pub fn query(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer, Finding> {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        self.get(&format!("{path}?{}", parameters.join("&")))
    }

    /// A list filtered by `filter`.
    pub fn filter(&self, path: &str, filter: &str) -> Result<Answer, Finding> {
        self.query(path, &[("filter", filter)])
    }

    /// Any request below the base URL. A header given here replaces the usual one; the empty value
    /// leaves it out.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, Finding> {
        self.send_bytes(method, path, headers, body.map(str::as_bytes))
    }

    /// [`send`](Self::send) with a body that need not be text.
    pub fn send_bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Finding> {
        let answer = self.request(method, &format!("{}{path}", self.base_url), headers, body)?;
        self.remember(method, path, &answer);
        Ok(answer)
    }

    /// A GET of a URL that the server itself gave out (`meta.location`, `$ref`).
    pub fn follow(&self, url: &str) -> Result<Answer, Finding> {
        self.request("GET", url, &[], None)
    }

    fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Finding> {
        let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut sent = Vec::new();
        if let (Some(token), false) = (&self.token, given("authorization")) {
            sent.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        if body.is_some() && !given("content-type") {
            sent.push(("Content-Type".to_owned(), SCIM_JSON.to_owned()));
        }
        let own = headers.iter().filter(|(_, value)| !value.is_empty());
        sent.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let below = url.strip_prefix(&self.base_url).unwrap_or(url);
        let shown = format!("{method} {}", percent_decode_str(below).decode_utf8_lossy());
        let body = body.map(<[u8]>::to_vec);
        match self.client.send_bytes(method, url, &sent, body) {
            Ok(answer) => Ok(Answer::new(shown, answer)),
            Err(error) => Err(Finding::Failed(format!("{shown}: {error}"))),
        }
    }

    fn remember(&self, method: &str, path: &str, answer: &Answer) {
        if method != "POST" {
            return;
        }
        let endpoint = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let mut made = Vec::new();
        if answer.status == 201 {
            made.extend(text(answer.json.get("id")).map(|id| format!("{endpoint}/{id}")));
        }
        let results = answer.json.get("Operations").and_then(Value::as_array);
        for result in results.into_iter().flatten() {
            let location = text(result.get("location")).unwrap_or_default();
            let created = result.get("status") == Some(&json!("201"));
            // `…/Users/{id}`
            if let (true, [id, endpoint, ..]) =
                (created, &*location.rsplit('/').collect::<Vec<_>>())
            {
                made.push(format!("/{endpoint}/{id}"));
            }
        }
        self.created.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
    }

    /// Deletes what was created, newest first. What cannot be deleted stays.
    pub(crate) fn tidy(&self) {
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = std::mem::take(&mut *created);
        drop(created);
        for path in paths.iter().rev() {
            let _ = self.delete(path);
        }
    }

    /// Creates a resource; anything but 201 with an id and a location is a failure.
    pub fn create(&self, endpoint: &str, body: &Value) -> Result<Resource, Finding> {
        let answer = self.post(endpoint, body)?.expect(201)?;
        let id = answer.id()?.to_owned();
        Ok(Resource {
            path: format!("{endpoint}/{id}"),
            location: answer.expect_header("location")?.to_owned(),
            etag: answer.header("etag").map(str::to_owned),
            body: answer.json,
            id,
        })
    }

    /// The smallest user of that name.
    pub fn create_user(&self, user_name: &str) -> Result<Resource, Finding> {
        self.create("/Users", &user(user_name))
    }

    pub fn create_group(&self, display_name: &str, members: &[&str]) -> Result<Resource, Finding> {
        self.create("/Groups", &group(display_name, members))
    }

    /// Applies PATCH operations and reads the resource: 200 and 204 are both right (RFC 7644
    /// §3.5.2). A body that comes with 200 must be what is read afterwards.
    pub fn apply(&self, path: &str, operations: &Value) -> Result<Answer, Finding> {
        let answer = self.patch(path, &patch(operations))?.expect_status(&[200, 204])?;
        let read = self.get(path)?.expect(200)?;
        if answer.status == 200 && answer.json != read.json {
            let shown = brief(&read.json);
            return Err(answer.failed(&format!("the answer is not what GET shows: {shown}")));
        }
        Ok(read)
    }

    /// A POST to the `/.search` of an endpoint, with those members beside `schemas`.
    pub fn search(&self, endpoint: &str, members: &Value) -> Result<Answer, Finding> {
        let mut request = json!({"schemas": [SEARCH_REQUEST]});
        if let (Some(request), Some(members)) = (request.as_object_mut(), members.as_object()) {
            request.extend(members.clone());
        }
        self.post(&format!("{endpoint}/.search"), &request)
    }

    /// A bulk request with those members beside `schemas` and `Operations`.
    pub fn bulk(&self, members: &Value, operations: &Value) -> Result<Answer, Finding> {
        let mut request = json!({"schemas": [BULK_REQUEST], "Operations": operations});
        if let (Some(request), Some(members)) = (request.as_object_mut(), members.as_object()) {
            request.extend(members.clone());
        }
        self.post("/Bulk", &request)
    }

    /// What the server says about itself.
    pub fn config(&self) -> Result<Answer, Finding> {
        self.get("/ServiceProviderConfig")?.expect(200)
    }

    /// Creates that many users, `user00001@example.com` and on, in bulk where the server can. Gives
    /// their ids in the order of the names.
    pub fn create_users(&self, count: usize) -> Result<Vec<String>, Finding> {
        let names: Vec<_> = (1..=count).map(|n| format!("user{n:05}@example.com")).collect();
        let config = self.config()?;
        let most = config.json.pointer("/bulk/maxOperations").and_then(Value::as_u64);
        let most = usize::try_from(most.unwrap_or(1)).unwrap_or(1).clamp(1, 1_000);
        let mut ids = Vec::with_capacity(count);
        if config.at("/bulk/supported")? != &json!(true) {
            for name in &names {
                ids.push(self.create_user(name)?.id);
            }
            return Ok(ids);
        }
        for names in names.chunks(most) {
            let operations: Vec<_> = names
                .iter()
                .map(|name| {
                    json!({"method": "POST", "path": "/Users", "bulkId": name, "data": user(name)})
                })
                .collect();
            let answer = self.bulk(&json!({}), &json!(operations))?.expect(200)?;
            for result in answer.array_at("/Operations")? {
                let location = result.get("location").and_then(Value::as_str);
                let id = location.and_then(|url| url.rsplit('/').next());
                let id = id.ok_or_else(|| answer.failed(&format!("no location: {result}")))?;
                let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
                created.push(format!("/Users/{id}"));
                ids.push(id.to_owned());
            }
        }
        if ids.len() == count {
            return Ok(ids);
        }
        Err(Finding::Failed(format!("{} of {count} users were created", ids.len())))
    }
}
