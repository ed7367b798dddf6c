//! The sources that can be read, one file each. A new one is a file and a line in [`ALL`].

mod active_directory;
mod active_directory_changes;
mod active_directory_read;
mod active_directory_user;
mod aws;
mod aws_call;
mod aws_keys;
mod aws_map;
mod csv;
mod csv_columns;
mod csv_table;
mod entra;
mod entra_groups;
mod entra_map;
mod entra_read;
mod entra_users;
mod google;
mod google_api;
mod google_config;
mod google_entry;
mod google_groups;
mod google_members;
mod ldap;
mod ldap_changes;
mod ldap_group;
mod ldap_read;
mod ldap_server;
mod ldap_user;
mod okta;
mod okta_api;
mod okta_org;
mod okta_user;
mod scim;
mod scim_resource;

use super::SourceKind;

/// Every kind of source, by name.
pub static ALL: &[&SourceKind] = &[
    &active_directory::KIND,
    &aws::KIND,
    &csv::KIND,
    &entra::KIND,
    &google::KIND,
    &ldap::KIND,
    &okta::KIND,
    &scim::KIND,
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::pull::field::{Shape, schema};

    #[test]
    fn kinds_are_sorted_and_their_defaults_are_what_their_fields_hold() {
        assert!(ALL.is_sorted_by_key(|kind| kind.name));
        for kind in ALL {
            assert!(kind.name.starts_with("pull."), "{}", kind.name);
            for field in kind.fields {
                let name = field.name;
                assert!(field.description.ends_with('.'), "{name} is described by sentences");
                assert!(!field.required || field.default.is_empty(), "{name}");
                let default = serde_json::from_str::<Value>(field.default);
                assert!(field.default.is_empty() || default.is_ok(), "{name}: {}", field.default);
                assert!(field.shape != Shape::Secret || field.default.is_empty(), "{name}");
            }
            assert_eq!(schema(kind.title, kind.fields)["type"], "object");
        }
    }
}
