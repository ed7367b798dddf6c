//! Where the directories of a run come from: a Rollbook that makes a fresh one for every row, or one
//! base URL of any server.

use std::path::Path;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::http::{Client, Trust};
use crate::management::Management;
use crate::scim::Scim;
use crate::server::Server;
use crate::subject::{Column, Subject};

/// The server of a run.
pub struct Host {
    pub(crate) client: Arc<Client>,
    pub(crate) source: Source,
    let_pass: Box<dyn Fn(Duration) + Send + Sync>,
}

pub(crate) enum Source {
    Rollbook {
        management: Management,
        organization_id: String,
        /// The process, when this run started it.
        server: Option<Box<Server>>,
    },
    Given(Scim),
}

impl Host {
    /// A running Rollbook.
    pub fn rollbook(url: &str, api_key: &str) -> Result<Self, String> {
        Self::new(Management::new(url, api_key), None)
    }

    /// Starts this binary with a folder of its own. What the process writes can be looked at.
    pub fn start(binary: &Path) -> Result<Self, String> {
        Self::own(Server::start(binary)?)
    }

    /// A Rollbook process that was started before.
    pub fn own(server: Server) -> Result<Self, String> {
        let management = Management::new(server.url(), server.api_key());
        Self::new(management, Some(Box::new(server)))
    }

    fn new(management: Management, server: Option<Box<Server>>) -> Result<Self, String> {
        let name = format!("Conformance {}", process::id());
        let organization_id = management.organization_create(&name)?;
        Ok(Self {
            client: Arc::new(Client::bare(Trust::Verified)),
            source: Source::Rollbook { management, organization_id, server },
            let_pass: Box::new(thread::sleep),
        })
    }

    /// One directory of any server. It must be empty: rows count what is there.
    pub fn given(base_url: &str, token: &str) -> Result<Self, String> {
        let client = Arc::new(Client::bare(Trust::Verified));
        let scim = Scim::new(Arc::clone(&client), base_url, Some(token));
        for endpoint in ["/Users", "/Groups"] {
            let list = scim.get(endpoint).and_then(|answer| answer.expect(200));
            match list.and_then(|list| list.total()) {
                Ok(0) => {}
                Ok(total) => {
                    let found = format!("{total} resources at {endpoint}");
                    return Err(format!("the directory must be empty, but there are {found}"));
                }
                Err(finding) => return Err(finding.to_string()),
            }
        }
        Ok(Self { client, source: Source::Given(scim), let_pass: Box::new(thread::sleep) })
    }

    /// How time passes for a server whose clock stands still until it is moved.
    #[must_use]
    pub fn with_clock(self, let_pass: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { let_pass: Box::new(let_pass), ..self }
    }

    pub(crate) fn let_pass(&self, duration: Duration) {
        (self.let_pass)(duration);
    }

    /// True when this run started the server itself, so that every row can be looked at.
    pub fn is_own(&self) -> bool {
        matches!(&self.source, Source::Rollbook { server: Some(_), .. })
    }

    /// The directory for one row in one column.
    pub fn subject(&self, name: &str, column: Column) -> Result<Subject<'_>, String> {
        Subject::new(self, name, column)
    }

    /// Takes away what the run made on a server that stays.
    pub fn close(self) -> Result<(), String> {
        match self.source {
            Source::Rollbook { management, organization_id, server: None } => {
                management.organization_remove(&organization_id)
            }
            Source::Rollbook { .. } | Source::Given(_) => Ok(()),
        }
    }
}
