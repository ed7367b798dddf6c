//! Events: what the app is told about a change. Built in the unit of the change and stored with it.

pub mod deliver;
pub mod model;
pub mod set;
pub mod sign;
pub mod stable;

pub use model::{GroupView, Shown, Subject, UserView, previous_attributes};

/// Why a person lost access. Kept beside the event, not in its `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The identity provider set `active` to false.
    ScimActiveFalse,
    /// The identity provider sent a DELETE.
    ScimDelete,
    /// A directory that is read has the user no more.
    PullMissing,
    /// A directory that is read says that the user is inactive.
    PullSuspended,
    /// The filter of the directory does not let the user in.
    FilterExcluded,
    /// No group has had the user for as long as the directory allows, or the user is in none of the groups
    /// that a read is about.
    OutOfScope,
    DirectoryDeleted,
    /// A copy of somebody who was handed over from another directory: the person keeps the access under the id
    /// of before.
    HandedOver,
}

impl Reason {
    pub fn parse(text: &str) -> Option<Self> {
        let known = [
            Self::ScimActiveFalse,
            Self::ScimDelete,
            Self::PullMissing,
            Self::PullSuspended,
            Self::FilterExcluded,
            Self::OutOfScope,
            Self::DirectoryDeleted,
            Self::HandedOver,
        ];
        known.into_iter().find(|reason| reason.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScimActiveFalse => "scim_active_false",
            Self::ScimDelete => "scim_delete",
            Self::PullMissing => "pull_missing",
            Self::PullSuspended => "pull_suspended",
            Self::FilterExcluded => "filter_excluded",
            Self::OutOfScope => "out_of_scope",
            Self::DirectoryDeleted => "directory_deleted",
            Self::HandedOver => "handed_over",
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

    pub const ALARM_RAISED: &str = "rollbook.alarm.raised";
    pub const ALARM_RESOLVED: &str = "rollbook.alarm.resolved";
    pub const IDENTITY_CREATED: &str = "rollbook.identity.created";
    pub const IDENTITY_UPDATED: &str = "rollbook.identity.updated";
    /// An operator has found that two identities are one person; `data` is the one that stays.
    pub const IDENTITY_MERGED: &str = "rollbook.identity.merged";
    /// The same taken back; `data` is the one that stayed.
    pub const IDENTITY_UNMERGED: &str = "rollbook.identity.unmerged";
    pub const IDENTITY_ENDED: &str = "rollbook.identity.ended";

    /// Only for native readers: the contract of the app-facing API does not know them.
    pub const NATIVE: [&str; 7] = [
        IDENTITY_CREATED,
        IDENTITY_UPDATED,
        IDENTITY_MERGED,
        IDENTITY_UNMERGED,
        IDENTITY_ENDED,
        ALARM_RAISED,
        ALARM_RESOLVED,
    ];

    /// Whether events of that name are only for native readers.
    pub fn is_native(name: &str) -> bool {
        name.starts_with("rollbook.")
    }

    /// What the app-facing API knows.
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

    /// What the names of this server's own events begin with: those that no SDK knows.
    const OWN: &str = "rollbook.";

    /// Whether an endpoint may ask for events of that name.
    pub fn may_be_sent(event: &str) -> bool {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let own = event.strip_prefix(OWN);
        ALL.contains(&event)
            || own.is_some_and(|rest| rest.len() <= 80 && rest.split('.').all(is_word))
    }
}
