//! What tests stand on: a running server with an empty database of its own, and clients for it.

mod app;
mod browser;
mod client;
mod console;
mod consumer;
mod cut;
mod database;
pub mod fake;
pub mod fake_ldap;
pub mod fakes;
mod identity_store;
mod jwt;
mod key_server;
pub mod peer;
pub mod process;
mod receiver;
pub mod samba;
pub mod slapd;
mod source;

pub use app::{DirectoryHandle, TestApp};
pub use browser::{Browser, field as form_field, secret as link_secret};
pub use client::{Answer, Client, encode};
pub use console::PASSWORD;
pub use consumer::{Consumer, line as event_line};
pub use database::Database;
pub use identity_store::IdentityStore;
pub use jwt::SigningKey;
pub use key_server::KeyServer;
pub use receiver::{Delivery, Receiver, Reply};
pub use source::{FakeSource, Told};

use serde_json::{Value, json};

/// Makes `name::sqlite` and `name::postgres` of each function.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn sqlite() {
                super::$name(&$crate::support::TestApp::start($crate::support::Database::sqlite()));
            }

            #[test]
            fn postgres() {
                super::$name(&$crate::support::TestApp::start($crate::support::Database::postgres()));
            }
        })*
    };
}

/// A user as a client would send it.
pub fn user(user_name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": user_name,
        "name": {"givenName": "Ada", "familyName": "Lane"},
        "emails": [{"value": user_name, "type": "work", "primary": true}],
    })
}

/// A group with those members.
pub fn group(display_name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": display_name,
        "members": members,
    })
}

/// A PATCH body with those operations.
pub fn patch(operations: Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    })
}

pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
