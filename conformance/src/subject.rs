//! The directory under test, and what a check may ask for beside it: another directory, another
//! token, schemas of its own, a look at the process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::answer::Answer;
use crate::host::{Host, Source};
use crate::http::{Client, Trust};
use crate::management::{Directory, Management, text};
use crate::rows::{Check, Finding};
use crate::scim::Scim;
use crate::server::Server;

const NO_MANAGEMENT: &str = "this needs Rollbook's management API";
const NO_PROCESS: &str = "this needs a server that the run started itself (--server)";

/// The profile of the directory under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// RFC 7643 and RFC 7644 to the letter.
    Rfc,
    /// What a directory has when nothing else is chosen.
    Default,
}

impl Column {
    pub const BOTH: [Self; 2] = [Self::Rfc, Self::Default];

    /// The kind of directory that has this profile.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Rfc => "scim.rfc",
            Self::Default => "scim.generic",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Default => "default",
        }
    }
}

/// One directory, empty when the check begins and gone after it.
pub struct Subject<'h> {
    pub scim: Scim,
    pub column: Column,
    /// The id of the directory; none on a server without the management API.
    pub directory_id: Option<String>,
    host: &'h Host,
    /// Every directory that was made for this row.
    made: Mutex<Vec<String>>,
}

/// A server on HTTPS with a certificate of its own making, running as long as this value lives.
pub struct Https {
    pub scim: Scim,
    pub server: Server,
}

impl<'h> Subject<'h> {
    pub(crate) fn new(host: &'h Host, name: &str, column: Column) -> Result<Self, String> {
        let (directory, scim) = match &host.source {
            Source::Given(scim) => (None, scim.clone()),
            Source::Rollbook { management, organization_id, .. } => {
                let name = format!("{name} {}", column.name());
                let directory =
                    management.directory_create(organization_id, &name, column.kind())?;
                let token = Some(directory.token.as_str());
                let scim = Scim::new(Arc::clone(&host.client), &directory.base_url, token);
                (Some(directory.id), scim)
            }
        };
        let made = Mutex::new(directory.iter().cloned().collect());
        Ok(Self { scim, column, directory_id: directory, host, made })
    }

    fn management(&self) -> Result<(&'h Management, &'h str), Finding> {
        match &self.host.source {
            Source::Rollbook { management, organization_id, .. } => {
                Ok((management, organization_id))
            }
            Source::Given(_) => Err(Finding::Skipped(NO_MANAGEMENT)),
        }
    }

    fn server(&self) -> Result<&'h Server, Finding> {
        match &self.host.source {
            Source::Rollbook { server: Some(server), .. } => Ok(server),
            Source::Rollbook { server: None, .. } | Source::Given(_) => {
                Err(Finding::Skipped(NO_PROCESS))
            }
        }
    }

    /// A second directory of the same kind: another tenant.
    pub fn other_directory(&self) -> Result<Scim, Finding> {
        self.directory(self.column.kind())
    }

    /// A second directory of any kind (`scim.strict`).
    pub fn directory(&self, kind: &str) -> Result<Scim, Finding> {
        let (management, organization_id) = self.management()?;
        let directory = management.directory_create(organization_id, "Another", kind)?;
        let Directory { id, base_url, token, .. } = directory;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        Ok(Scim::new(Arc::clone(&self.host.client), &base_url, Some(&token)))
    }

    /// A request to the management API below `/api/v1/directories/{id}` of this directory.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Finding> {
        let (management, _) = self.management()?;
        let id = self.directory_id.as_deref().ok_or(Finding::Skipped(NO_MANAGEMENT))?;
        Ok(management.request(method, &format!("/directories/{id}{path}"), body)?)
    }

    /// Another token of this directory: its id and a client that uses it.
    pub fn token(&self, wanted: &Value) -> Result<(String, Scim), Finding> {
        let answer = self.api("POST", "/tokens", Some(wanted))?.expect(201)?;
        let secret = text(&answer.json, "/secret")?;
        Ok((text(&answer.json, "/id")?, self.scim.with_token(Some(&secret))))
    }

    pub fn revoke(&self, token_id: &str) -> Check {
        let answer = self.api("DELETE", &format!("/tokens/{token_id}"), None)?;
        answer.expect_status(&[200, 204]).map(drop)
    }

    /// Gives the directory these schemas and resource types of its own.
    pub fn load_schemas(&self, document: &Value) -> Check {
        self.try_schemas(document)?.expect_status(&[200, 201, 204]).map(drop)
    }

    /// [`load_schemas`](Self::load_schemas) that may be refused.
    pub fn try_schemas(&self, document: &Value) -> Result<Answer, Finding> {
        self.api("PUT", "/schemas", Some(document))
    }

    /// Every byte of the database of a server that the run started itself.
    pub fn database_bytes(&self) -> Result<Vec<u8>, Finding> {
        Ok(self.server()?.database_bytes()?)
    }

    /// Everything that such a server has logged, at its most talkative.
    pub fn server_log(&self) -> Result<String, Finding> {
        Ok(self.server()?.log()?)
    }

    /// Stops such a server, as an init system does, and starts it again on the same data.
    pub fn restart_server(&self) -> Check {
        Ok(self.server()?.restart()?)
    }

    /// A second server of the same program that speaks HTTPS.
    pub fn https(&self) -> Result<Https, Finding> {
        let server = Server::start_https(self.server()?.binary())?;
        let management = Management::trusting(server.url(), server.api_key(), Trust::Anything);
        let organization_id = management.organization_create("HTTPS")?;
        let directory =
            management.directory_create(&organization_id, "HTTPS", self.column.kind())?;
        let client = Arc::new(Client::bare(Trust::Anything));
        let scim = Scim::new(client, &directory.base_url, Some(&directory.token));
        Ok(Https { scim, server })
    }

    /// Lets time pass for the server.
    pub fn pass(&self, duration: Duration) {
        self.host.let_pass(duration);
    }
}

impl Drop for Subject<'_> {
    fn drop(&mut self) {
        match &self.host.source {
            Source::Given(scim) => scim.tidy(),
            Source::Rollbook { management, .. } => {
                let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                for id in made.iter() {
                    // A directory that cannot be deleted says nothing about the row.
                    let _ = management.directory_delete(id);
                }
            }
        }
    }
}
