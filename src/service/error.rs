//! The failure of a use case: refused by the protocol, or by the storage.

use crate::scim::ScimError;
use crate::store::{StoreError, UniqueRule, UnitError};

/// What a storage failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing was done; another try may succeed.
    Unavailable,
    /// Another request was in the way.
    Conflict,
    /// A fault of the server.
    Fault,
}

impl From<&StoreError> for Trouble {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Overloaded
            | StoreError::Unavailable(_)
            | StoreError::TimedOut(_)
            | StoreError::WantsAlone => Self::Unavailable,
            StoreError::MissingReference
            | StoreError::Unique(_)
            | StoreError::SessionEnded
            | StoreError::LeaseLost => Self::Conflict,
            StoreError::Panicked(_) | StoreError::Database(_) => Self::Fault,
        }
    }
}

#[derive(Debug)]
pub enum ServiceError {
    Scim(ScimError),
    Store(StoreError),
    /// The directory's schemas, or what its profile wants to be unique, were changed or are being
    /// changed; nothing was done.
    SchemasChange,
    /// Another request changes so many members of the group that it takes several units; nothing was
    /// done.
    MembersChange,
    /// What the directory took away is being put back; nothing was done.
    UndoRuns,
    /// A refusal of the management API.
    Admin(AdminError),
}

/// A refusal of the management API: HTTP status, a code for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminError {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    /// (field, what is wrong with it)
    pub errors: Vec<(String, String)>,
    /// After how many seconds another try is worth it.
    pub retry_after: Option<u64>,
}

impl AdminError {
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "entity_not_found", format!("{what} was not found."))
    }

    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), errors: Vec::new(), retry_after: None }
    }

    pub fn retried_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// 422 for one field.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status: 422,
            code: "invalid_request_parameters",
            message: format!("The field \"{field}\" is not valid: {message}"),
            errors: vec![(field.to_owned(), message)],
            retry_after: None,
        }
    }
}

impl ServiceError {
    /// The SCIM error that a client is shown. What the storage says stays inside.
    pub fn to_scim(&self) -> ScimError {
        match self {
            Self::Scim(error) => error.clone(),
            Self::Admin(error) => ScimError::new(error.status, error.message.clone()),
            Self::SchemasChange => {
                ScimError::new(503, "The rules of this directory are being changed; try again.")
            }
            Self::MembersChange => ScimError::new(
                503,
                "Another request is changing many members of this group; try again when it is done.",
            ),
            Self::UndoRuns => ScimError::new(
                503,
                "What this directory has taken away is being put back; try again when it is done.",
            ),
            Self::Store(error) => Trouble::from(error).to_scim(),
        }
    }
}

impl Trouble {
    /// The same sentence for every failure of a kind.
    pub fn to_scim(self) -> ScimError {
        let (status, detail) = match self {
            Self::Unavailable => (503, "The database is busy or cannot be reached; try again."),
            Self::Conflict => (409, "Another request changed what this one refers to; try again."),
            Self::Fault => (500, "The server failed; the operator finds the reason in its log."),
        };
        ScimError::new(status, detail)
    }
}

impl From<ScimError> for ServiceError {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<AdminError> for ServiceError {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

impl From<StoreError> for ServiceError {
    /// A violated uniqueness rule is the client's; everything else is ours.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unique(UniqueRule::UserName) => Self::Scim(ScimError::uniqueness(
                "The attribute \"userName\" has a value that another user of this directory has; \
                 it must be unique, ignoring letter case.",
            )),
            StoreError::Unique(UniqueRule::OrganizationExternalId) => Self::Admin(AdminError::new(
                409,
                "external_id_taken",
                "Another organization has this external_id.",
            )),
            StoreError::Unique(UniqueRule::WebhookUrl) => Self::Admin(AdminError::new(
                409,
                "duplicate_endpoint",
                "Another webhook endpoint has this address.",
            )),
            StoreError::SessionEnded => Self::Admin(no_session()),
            StoreError::Unique(UniqueRule::AdminEmail) => Self::Admin(AdminError::new(
                409,
                "email_taken",
                "Another administrator has this e-mail address.",
            )),
            other => Self::Store(other),
        }
    }
}

/// The refusal of whoever has no session of the set-up portal, or no longer.
pub fn no_session() -> AdminError {
    let message = "This browser has no set-up session, or it has ended: a session lasts an hour. Ask \
                   whoever sent you the link for a new one.";
    AdminError::new(403, "no_session", message)
}

impl UnitError for ServiceError {
    fn into_storage(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            own => Err(own),
        }
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scim(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::SchemasChange => f.write_str("the rules of the directory are changing"),
            Self::MembersChange => f.write_str("the members of the group are changing"),
            Self::UndoRuns => f.write_str("what the directory took away is being put back"),
            Self::Admin(error) => write!(f, "{} {}: {}", error.status, error.code, error.message),
        }
    }
}

impl std::error::Error for ServiceError {}
