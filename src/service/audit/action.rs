//! The words for what is done. What stands before the full stop is the type of the target.

/// Constants, and all of them in a list.
macro_rules! actions {
    ($($name:ident = $word:literal,)*) => {
        $(pub const $name: &str = $word;)*
        /// Every word, in the order of this file.
        pub const ALL: &[&str] = &[$($word),*];
    };
}

actions! {
    ORGANIZATION_CREATED = "organization.created",
    ORGANIZATION_UPDATED = "organization.updated",
    ORGANIZATION_DELETED = "organization.deleted",
    PRIMARY_DIRECTORY_CHANGED = "primary_directory.changed",
    DIRECTORY_CREATED = "directory.created",
    DIRECTORY_UPDATED = "directory.updated",
    DIRECTORY_DELETED = "directory.deleted",
    PROFILE_CHANGED = "profile.changed",
    SCHEMAS_CHANGED = "schemas.changed",
    ROLES_CHANGED = "roles.changed",
    ENTITLEMENTS_CHANGED = "entitlements.changed",
    ATTRIBUTE_MAP_CHANGED = "attribute_map.changed",
    ROLE_MAP_CHANGED = "role_map.changed",
    BRAKE_CHANGED = "brake.changed",
    BRAKE_RELEASED = "brake.released",
    BRAKE_UNDONE = "brake.undone",
    TOKEN_CREATED = "directory_token.created",
    TOKEN_ROTATED = "directory_token.rotated",
    TOKEN_REVOKED = "directory_token.revoked",
    OAUTH_CLIENT_CREATED = "oauth_client.created",
    OAUTH_CLIENT_DELETED = "oauth_client.deleted",
    SYNC_REQUESTED = "sync.requested",
    SYNC_APPROVED = "sync.approved",
    SYNC_REJECTED = "sync.rejected",
    FILE_STORED = "source_file.stored",
    FILE_DELETED = "source_file.deleted",
    SUGGESTION_ACCEPTED = "identity_suggestion.accepted",
    SUGGESTION_REJECTED = "identity_suggestion.rejected",
    SUGGESTION_UNDONE = "identity_suggestion.undone",
    ACCOUNT_UNLINKED = "identity_account.unlinked",
    ALIAS_CREATED = "identity_alias.created",
    ALIAS_DELETED = "identity_alias.deleted",
    PORTAL_LINK_CREATED = "portal_link.created",
    PORTAL_LINK_REVOKED = "portal_link.revoked",
    PORTAL_LINK_USED = "portal_link.used",
    WEBHOOK_CREATED = "webhook_endpoint.created",
    WEBHOOK_UPDATED = "webhook_endpoint.updated",
    WEBHOOK_ROTATED = "webhook_endpoint.secret_rotated",
    WEBHOOK_DELETED = "webhook_endpoint.deleted",
    REPLAY_CREATED = "webhook_replay.created",
    REPLAY_CANCELLED = "webhook_replay.cancelled",
    CONSUMER_CREATED = "consumer.created",
    CONSUMER_MOVED_BACK = "consumer.moved_back",
    CONSUMER_DELETED = "consumer.deleted",
    STREAM_CREATED = "stream.created",
    STREAM_UPDATED = "stream.updated",
    STREAM_DELETED = "stream.deleted",
    SUBJECT_ADDED = "stream_subject.added",
    SUBJECT_REMOVED = "stream_subject.removed",
    API_KEY_CREATED = "api_key.created",
    API_KEY_DELETED = "api_key.deleted",
    ADMINISTRATOR_CREATED = "administrator.created",
    ADMINISTRATOR_INVITED = "administrator.invited",
    ADMINISTRATOR_JOINED = "administrator.joined",
    ADMINISTRATOR_UPDATED = "administrator.updated",
    ADMINISTRATOR_DELETED = "administrator.deleted",
    ADMINISTRATOR_SIGNED_IN = "administrator.signed_in",
    ADMINISTRATOR_SIGNED_OUT = "administrator.signed_out",
    SIGNING_KEY_ROTATED = "signing_key.rotated",
    SECRET_KEY_ROTATED = "secret_key.rotated",
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn each_word_is_there_once_and_documented() {
        let page = include_str!("../../../docs/audit.md");
        for (index, word) in ALL.iter().enumerate() {
            assert!(!ALL[..index].contains(word), "{word} is there twice");
            assert!(page.contains(&format!("`{word}`")), "docs/audit.md lacks {word}");
        }
    }
}
