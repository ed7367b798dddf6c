//! Directories that are read instead of pushed: what a source gives, and what follows from it.
//!
//! A [`Connector`] reads one source and answers [`Envelope`]s; it never writes. [`plan`] compares what was
//! read with what is stored, [`guard`] says by [`limits`] whether that takes too much away, [`schedule`] when
//! to read again. `service::sync` joins them with the store. Connectors block their thread.
//!
//! What a source lists is told apart from what it does not list any more. Only a read that reached the end
//! ([`Finished`]) says anything about who is missing.

pub mod client;
pub mod connectors;
pub mod field;
pub mod guard;
pub mod ldap;
pub mod limits;
pub mod oauth;
pub mod plan;
pub mod rename;
pub mod schedule;
pub mod term;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use self::term::Term;
use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::scim::Object;
use field::Field;

/// What an envelope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Account,
    Group,
    Membership,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Group => "group",
            Self::Membership => "membership",
        }
    }
}

/// Whether the source has it or has it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Upsert,
    Delete,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

/// Whether the members that come with a group are all that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// The memberships that follow are all of them.
    All,
    /// They are all of those who are active; nothing is said about others.
    Active,
    /// They are changes.
    Changes,
}

/// One thing that a source says.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub kind: Kind,
    /// The source's stable id; of a membership that of the group.
    pub resource: String,
    pub action: Action,
    /// The object as the source gave it: what filters look at.
    pub payload: Object,
    /// What it is in SCIM, without `id` and `externalId`. What the source does not give is not in it; what
    /// it gives as empty is null. References (`manager`) hold ids of the source. Empty for a delete.
    pub attributes: Object,
    /// Of a membership: the source's id of the member.
    pub member: String,
    /// Of a group.
    pub members: Members,
    /// What an account is called of which the source gives no `userName`: when it comes new, and as long
    /// as it has no other name.
    pub usual_name: Option<String>,
    /// Where it stands, for people: `row 12 of users.csv`. Empty where the id says enough.
    pub place: String,
    /// What is wrong with it, as a sentence: then it counts for no more than that it ends an access.
    pub fault: Option<String>,
}

impl Envelope {
    fn upsert(kind: Kind, resource: String, payload: Object, attributes: Object) -> Self {
        Self {
            kind,
            resource,
            action: Action::Upsert,
            payload,
            attributes,
            member: String::new(),
            members: Members::All,
            usual_name: None,
            place: String::new(),
            fault: None,
        }
    }

    pub fn account(resource: String, payload: Object, attributes: Object) -> Self {
        Self::upsert(Kind::Account, resource, payload, attributes)
    }

    pub fn group(resource: String, payload: Object, attributes: Object) -> Self {
        Self::upsert(Kind::Group, resource, payload, attributes)
    }

    pub fn membership(group: String, member: String, payload: Object) -> Self {
        Self { member, ..Self::upsert(Kind::Membership, group, payload, Object::new()) }
    }

    pub fn deleted(kind: Kind, resource: String) -> Self {
        Self {
            action: Action::Delete,
            ..Self::upsert(kind, resource, Object::new(), Object::new())
        }
    }

    pub fn at(self, place: String) -> Self {
        Self { place, ..self }
    }

    /// Something that cannot be used for a reason which the source knows.
    pub fn faulty(self, message: String) -> Self {
        Self { fault: Some(message), ..self }
    }

    /// An account whose source tells its state: `active` follows from it. A source that has states says
    /// one of every account, so that a suspension ends in the same way as it began.
    pub fn in_state(mut self, state: AccountState) -> Self {
        let told = match state {
            AccountState::Suspended => Value::from(SUSPENDED),
            AccountState::Active | AccountState::Inactive => Value::Null,
        };
        self.attributes.insert("active".to_owned(), (state == AccountState::Active).into());
        self.attributes.insert(ACCOUNT_STATE.to_owned(), told);
        self
    }

    /// An account whose source tells what it is for.
    pub fn of_type(mut self, account_type: AccountType) -> Self {
        self.attributes.insert(ACCOUNT_TYPE.to_owned(), account_type.as_str().into());
        self
    }
}

/// Whether an account is in use. The app sees `Suspended` as inactive; the management API tells it apart.
/// A lockout that ends by itself is `Active` unless `lockout_is_inactive` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    Active,
    /// Archived, disabled, left.
    Inactive,
    /// An administrator, or the source itself, has stopped it until further notice.
    Suspended,
}

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountType {
    User,
    Service,
    Shared,
    Guest,
}

impl AccountType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Shared => "shared",
            Self::Guest => "guest",
        }
    }
}

/// What tells a suspension and the type of an account in its attributes. No schema knows them: no SCIM
/// answer has them, events have them in `raw_attributes`, and attribute maps can use them.
pub const ACCOUNT_STATE: &str = "accountState";
pub const ACCOUNT_TYPE: &str = "accountType";

/// The one value of [`ACCOUNT_STATE`].
pub const SUSPENDED: &str = "suspended";

/// Something of the source that cannot be used. The others go on, but nothing counts as missing then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// The source's id, or where it stands.
    pub place: String,
    /// A sentence.
    pub message: String,
}

/// Why a source could not be read, in words for the operator; without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// The source refuses the credentials.
    Credentials(String),
    /// It cannot be reached, breaks off, or says what nobody can use.
    Failed { message: String, retry_after_ms: Option<i64> },
    /// The cursor of an incremental read is no longer known: read everything.
    CursorLost(String),
    /// The server stops, somebody else reads the source now, or its time is over.
    Stopped,
}

impl SourceError {
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), retry_after_ms: None }
    }

    /// The same, with a word before it about what failed.
    pub fn about(self, what: &str) -> Self {
        let said = |message| format!("{what}: {message}");
        match self {
            Self::Credentials(message) => Self::Credentials(said(message)),
            Self::Failed { message, retry_after_ms } => {
                Self::Failed { message: said(message), retry_after_ms }
            }
            other => other,
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Credentials(message)
            | Self::Failed { message, .. }
            | Self::CursorLost(message) => message,
            Self::Stopped => "the read was stopped",
        }
    }
}

/// Takes what a connector reads.
pub trait Sink {
    fn put(&mut self, envelope: Envelope) -> Result<(), SourceError>;
    fn fault(&mut self, fault: Fault) -> Result<(), SourceError>;

    /// Whether an account or a group that was put comes into the directory and is not in it yet.
    fn is_new(&self, _kind: Kind, _resource: &str) -> bool {
        true
    }

    /// Ids of accounts or groups that the directory has and of which nothing was said so far.
    fn missing(&self, _kind: Kind) -> Vec<String> {
        Vec::new()
    }

    /// Whether anybody looks at the objects as the source gives them.
    fn wants_payload(&self) -> bool {
        true
    }

    /// Takes back what was put: it cannot be told which one is meant. The fault comes beside it.
    fn retract(&mut self, _kind: Kind, _resource: &str) {}

    /// Whether it is stored of the source.
    fn is_stored(&self, _kind: Kind, _resource: &str) -> bool {
        false
    }

    /// The name of a group that is stored of the source.
    fn group_name(&self, _group: &str) -> Option<String> {
        None
    }

    /// Whether a membership was put.
    fn has_member(&self, _group: &str, _member: &str) -> bool {
        false
    }

    /// Ids of groups that an account is stored in.
    fn groups_of(&self, _account: &str) -> Vec<String> {
        Vec::new()
    }

    /// Whether nobody is stored of the source yet.
    fn is_first(&self) -> bool {
        true
    }
}

/// What a source can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it can say what has changed since.
    pub incremental: bool,
    /// Whether an account holds everything that the source has of it: then what it lacks was taken away.
    pub whole_accounts: bool,
    pub absence: Absence,
    pub faults: Faults,
}

/// What an incremental read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Increment {
    /// What has changed.
    Changes,
    /// Every account and every group, and of groups that look the same no members: who is not listed is
    /// missing.
    Memberships,
}

/// What it says that a complete read does not list somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The source has it no more.
    IsRemoval,
    /// Nothing: the source lists what changes.
    IsNothing,
}

/// What becomes of a read in which something cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// The rest is applied.
    AreListed,
    /// Beyond so many nothing is applied.
    Refuse { beyond: usize },
}

/// The answer to a test of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// As far as the source says it without being read.
    pub users: Option<u64>,
    pub groups: Option<u64>,
    pub warnings: Vec<String>,
}

/// A read that reached its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Where an incremental read goes on; `None` where there is no such thing.
    pub cursor: Option<String>,
    pub groups: GroupsGiven,
}

/// Whether the source has said anything about groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupsGiven {
    #[default]
    Yes,
    /// Not that there are none: nothing follows for those that are stored.
    No,
}

/// Reads one source.
pub trait Connector: Send {
    fn capabilities(&self) -> Capabilities;

    /// Whether the source is there, lets in and has what is wanted.
    fn probe(&mut self) -> Result<Probe, SourceError>;

    /// Everything. Accounts come before the groups, and groups before their memberships.
    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError>;

    fn increment(&self) -> Increment {
        Increment::Changes
    }

    /// What has changed since the cursor was given.
    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError>;
}

/// What connectors are given beside their configuration.
#[derive(Clone)]
pub struct Surroundings {
    pub outbound: Outbound,
    pub clock: Clock,
    /// Longest time of one request, from the name to the last byte.
    pub request_timeout: Duration,
    /// The first pause after a source that did not answer, in milliseconds.
    pub first_retry_ms: i64,
    /// Longest time that is waited for a source that is busy, or not to be reached, without getting on, in
    /// milliseconds.
    pub patience_ms: i64,
    /// Files that were handed in, by name.
    pub files: Arc<BTreeMap<String, Vec<u8>>>,
    /// When the read is to end.
    pub term: Term,
    /// Whether groups are of use to anybody.
    pub wants_groups: bool,
    /// Where the last read has left off, also for a read of everything: a source that is behind it knows
    /// less than what is stored.
    pub last: Option<String>,
}

/// Checks a configuration with its defaults; the field and a sentence.
pub type Check = fn(&Object, &Outbound) -> Result<(), (String, String)>;

pub type Open = fn(&Object, Surroundings) -> Result<Box<dyn Connector>, SourceError>;

/// A kind of source.
pub struct SourceKind {
    /// `pull.csv`.
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub fields: &'static [Field],
    /// Files that may be handed in.
    pub files: &'static [&'static str],
    /// How often it is read when the directory does not say, in minutes; `None` for on request only.
    pub every_minutes: Option<i64>,
    /// What the fields do not say by themselves; the field and what is wrong with it.
    pub check: Check,
    /// Makes a connector of a checked configuration.
    pub open: Open,
}

impl SourceKind {
    /// The kind of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        connectors::ALL.iter().copied().find(|kind| kind.name == name)
    }
}

/// A member of an object, by its name in any letter case.
pub fn member<'o>(object: &'o Object, name: &str) -> Option<&'o Value> {
    object.get(name).or_else(|| {
        object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_type_of_an_account_are_attributes() {
        let account = || Envelope::account("7".to_owned(), Object::new(), Object::new()).attributes;
        assert!(account().is_empty(), "what a source does not tell is not there");
        for (state, active, told) in [
            (AccountState::Active, true, Value::Null),
            (AccountState::Inactive, false, Value::Null),
            (AccountState::Suspended, false, SUSPENDED.into()),
        ] {
            let envelope = Envelope::account("7".to_owned(), Object::new(), Object::new());
            let envelope = envelope.in_state(state).of_type(AccountType::Guest);
            assert_eq!(envelope.attributes["active"], active);
            assert_eq!(envelope.attributes[ACCOUNT_STATE], told);
            assert_eq!(envelope.attributes[ACCOUNT_TYPE], "guest");
        }
    }
}
