//! What can go wrong in the store, and what follows from it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A uniqueness rule that the database refused to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueRule {
    UserName,
    /// A scope of `resource_unique`.
    Scoped,
    OrganizationExternalId,
    /// The address of an endpoint among those of the same organizations.
    WebhookUrl,
    AdminEmail,
    /// An id or key that the program made; a second try makes another.
    Generated,
}

/// A storage failure.
#[derive(Debug)]
pub enum StoreError {
    Unique(UniqueRule),
    /// A row that this one refers to is gone.
    MissingReference,
    /// The set-up session that asked for it has ended; nothing was done.
    SessionEnded,
    /// Somebody else reads the directory by now; nothing was done.
    LeaseLost,
    /// The queue of the lane is full; nothing was done.
    Overloaded,
    /// The database cannot be reached, is read-only or has no room. Nothing was done, unless the
    /// connection broke while it answered to a commit: then nobody knows.
    Unavailable(String),
    /// The database gave up waiting or working; nothing was done.
    TimedOut(String),
    /// The unit panicked; nothing was stored.
    Panicked(&'static str),
    /// The unit needs the directory for itself and runs again as one that has it; nothing was stored.
    WantsAlone,
    Database(DieselError),
}

impl StoreError {
    /// Reads the message of SQLite, which names columns, and the constraint name of PostgreSQL.
    fn unique(message: &str, constraint: Option<&str>) -> UniqueRule {
        let names =
            |word: &str| message.contains(word) || constraint.is_some_and(|c| c.contains(word));
        if names("user_name") {
            UniqueRule::UserName
        } else if names("resource_unique") {
            UniqueRule::Scoped
        } else if names("organization.external_id") || names("organization_external_id") {
            UniqueRule::OrganizationExternalId
        } else if names("webhook_endpoint.url") || names("webhook_endpoint_url") {
            UniqueRule::WebhookUrl
        } else if names("admin.email_key") || names("admin_email_key") {
            UniqueRule::AdminEmail
        } else {
            UniqueRule::Generated
        }
    }

    /// True when the transaction may simply be tried again: a serialization failure or a deadlock.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Database(DieselError::DatabaseError(kind, info)) => {
                matches!(kind, DatabaseErrorKind::SerializationFailure)
                    || info.message().contains("deadlock detected")
            }
            _ => false,
        }
    }

    /// True when only the unit that caused it is affected: the database refused a row and the
    /// transaction around it is intact. Anything else ends the batch (SQLite may have rolled back).
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Unique(_) | Self::MissingReference | Self::SessionEnded | Self::LeaseLost
        )
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                Self::Unique(Self::unique(info.message(), info.constraint_name()))
            }
            DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                Self::MissingReference
            }
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => {
                Self::Unavailable(info.message().to_owned())
            }
            DieselError::DatabaseError(_, info)
                if info.message().contains("canceling statement due to") =>
            {
                Self::TimedOut(info.message().to_owned())
            }
            DieselError::DatabaseError(_, info) if is_environment(info.message()) => {
                Self::Unavailable(info.message().to_owned())
            }
            DieselError::BrokenTransactionManager => Self::Unavailable(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

/// Messages about the machine or the connection, not about the statement.
fn is_environment(message: &str) -> bool {
    const PHRASES: [&str; 13] = [
        "database or disk is full",
        "disk I/O error",
        "out of memory",
        "database is locked",
        "attempt to write a readonly database",
        "unable to open database file",
        "interrupted",
        "server closed the connection",
        "no connection to the server",
        "terminating connection",
        "could not extend file",
        "read-only transaction",
        "No space left on device",
    ];
    PHRASES.iter().any(|phrase| message.contains(phrase))
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unique(rule) => write!(f, "uniqueness rule {rule:?} is violated"),
            Self::MissingReference => f.write_str("a referenced row is missing"),
            Self::SessionEnded => f.write_str("the set-up session has ended"),
            Self::LeaseLost => f.write_str("somebody else reads the directory by now"),
            Self::Overloaded => f.write_str("the queue of the database lane is full"),
            Self::Unavailable(reason) => write!(f, "the database is unavailable: {reason}"),
            Self::TimedOut(reason) => write!(f, "the database took too long: {reason}"),
            Self::Panicked(unit) => write!(f, "the unit {unit} panicked"),
            Self::WantsAlone => f.write_str("the unit needs its directory for itself"),
            Self::Database(error) => write!(f, "the database refused a statement: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The error of a unit: a storage failure, or the caller's own refusal that rolls the unit back.
pub trait UnitError: From<StoreError> + Send + 'static {
    /// The storage failure inside, or the error itself if it is none.
    fn into_storage(self) -> Result<StoreError, Self>;
}

impl UnitError for StoreError {
    fn into_storage(self) -> Result<StoreError, Self> {
        Ok(self)
    }
}
