//! Events: what the app is told about a change. Built in the unit of the change and stored with it.

pub mod model;
pub mod stable;

pub use model::{GroupView, Subject, UserView, previous_attributes};

/// Why a person lost access. Kept beside the event, not in its `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The identity provider set `active` to false.
    ScimActiveFalse,
    /// The identity provider sent a DELETE.
    ScimDelete,
    /// No group has had the user for as long as the directory allows.
    OutOfScope,
    DirectoryDeleted,
}

impl Reason {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ScimActiveFalse, Self::ScimDelete, Self::OutOfScope, Self::DirectoryDeleted]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScimActiveFalse => "scim_active_false",
            Self::ScimDelete => "scim_delete",
            Self::OutOfScope => "out_of_scope",
            Self::DirectoryDeleted => "directory_deleted",
        }
    }
}

/// The event words of the app-facing API.
pub mod name {
    pub const ACTIVATED: &str = "dsync.activated";
    pub const DELETED: &str = "dsync.deleted";
    pub const USER_CREATED: &str = "dsync.user.created";
    pub const USER_UPDATED: &str = "dsync.user.updated";
    pub const USER_DELETED: &str = "dsync.user.deleted";
    pub const GROUP_CREATED: &str = "dsync.group.created";
    pub const GROUP_UPDATED: &str = "dsync.group.updated";
    pub const GROUP_DELETED: &str = "dsync.group.deleted";
    pub const GROUP_USER_ADDED: &str = "dsync.group.user_added";
    pub const GROUP_USER_REMOVED: &str = "dsync.group.user_removed";
    pub const TOKEN_CREATED: &str = "dsync.token.created";
    pub const TOKEN_REVOKED: &str = "dsync.token.revoked";

    /// For the native readers, and for webhooks that ask for them.
    pub const ALARM_RAISED: &str = "rollbook.alarm.raised";
    pub const ALARM_RESOLVED: &str = "rollbook.alarm.resolved";

    /// Whether the read API shows events of that name: those that its SDKs know.
    pub fn is_in_read_api(name: &str) -> bool {
        name.starts_with("dsync.")
    }

    pub const ALL: [&str; 12] = [
        ACTIVATED,
        DELETED,
        USER_CREATED,
        USER_UPDATED,
        USER_DELETED,
        GROUP_CREATED,
        GROUP_UPDATED,
        GROUP_DELETED,
        GROUP_USER_ADDED,
        GROUP_USER_REMOVED,
        TOKEN_CREATED,
        TOKEN_REVOKED,
    ];
}
