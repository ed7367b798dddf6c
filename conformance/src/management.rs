//! Fresh directories through Rollbook's management API.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::http::{Client, Trust};
use crate::matching::{cut, pointer};

/// The management API of one server. Errors are sentences for the report.
pub struct Management {
    client: Client,
    base_url: String,
    api_key: String,
}

/// A directory that was made for a flow or a row.
#[derive(Clone, Debug)]
pub struct Directory {
    pub id: String,
    pub base_url: String,
    pub v1_base_url: String,
    pub token: String,
}

impl Management {
    /// `base_url` is where `/api/v1` hangs.
    pub fn new(base_url: &str, api_key: &str) -> Self {
        Self::trusting(base_url, api_key, Trust::Verified)
    }

    pub(crate) fn trusting(base_url: &str, api_key: &str, trust: Trust) -> Self {
        Self {
            client: Client::trusting(trust),
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_key: api_key.to_owned(),
        }
    }

    /// Makes an organization and returns its id.
    pub fn organization_create(&self, name: &str) -> Result<String, String> {
        let created = self.send("POST", "/organizations", Some(&json!({"name": name})))?;
        text(&created, "/id")
    }

    pub fn organization_delete(&self, id: &str) -> Result<(), String> {
        self.delete(&format!("/organizations/{id}"))
    }

    /// Deletes an organization whose directories were deleted before. They are purged in the
    /// background, so a refusal is waited out for five seconds.
    pub fn organization_remove(&self, id: &str) -> Result<(), String> {
        let mut result = self.organization_delete(id);
        for _ in 0..20 {
            if result.is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(250));
            result = self.organization_delete(id);
        }
        result
    }

    /// Makes a directory of a push kind (`scim.okta`).
    pub fn directory_create(
        &self,
        organization_id: &str,
        name: &str,
        kind: &str,
    ) -> Result<Directory, String> {
        self.directory_create_with(organization_id, name, kind, None)
    }

    /// Makes a directory of a push kind with settings of its own.
    pub fn directory_create_with(
        &self,
        organization_id: &str,
        name: &str,
        kind: &str,
        settings: Option<&Value>,
    ) -> Result<Directory, String> {
        let mut body = json!({"organization_id": organization_id, "name": name, "kind": kind});
        if let (Value::Object(members), Some(settings)) = (&mut body, settings) {
            members.insert("settings".into(), settings.clone());
        }
        let created = self.send("POST", "/directories", Some(&body))?;
        Ok(Directory {
            id: text(&created, "/id")?,
            base_url: text(&created, "/scim/base_url")?,
            v1_base_url: text(&created, "/scim/v1_base_url")?,
            token: text(&created, "/token/secret")?,
        })
    }

    pub fn directory_delete(&self, id: &str) -> Result<(), String> {
        self.delete(&format!("/directories/{id}"))
    }

    fn delete(&self, path: &str) -> Result<(), String> {
        self.send("DELETE", path, None).map(drop)
    }

    /// A request that has to succeed; gives the body.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.request(method, path, body)?;
        if !(200..300).contains(&answer.status) {
            let (status, text) = (answer.status, cut(&answer.text));
            return Err(format!("{}: status {status}: {text}", answer.request));
        }
        Ok(answer.json)
    }

    /// Any request below `/api/v1`, whatever the answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let request = format!("{method} /api/v1{path}");
        let mut headers = vec![("Authorization".into(), format!("Bearer {}", self.api_key))];
        if body.is_some() {
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        let url = format!("{}/api/v1{path}", self.base_url);
        match self.client.send(method, &url, &headers, body) {
            Ok(answer) => Ok(Answer::new(request, answer)),
            Err(error) => Err(format!("{request}: {error}")),
        }
    }
}

pub(crate) fn text(value: &Value, at: &str) -> Result<String, String> {
    pointer(value, at)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("the management API answered without `{at}`"))
}
