//! The SCIM protocol as pure functions (RFC 7643, RFC 7644).
//!
//! Nothing here reads a clock, a file, a socket or a database: documents, requests and the current
//! time come in as arguments, answers and errors go out. The layers above decide where a document
//! is kept and who may see it.

pub mod bulk;
pub mod certificate;
pub mod error;
pub mod filter;
pub mod key;
pub mod list;
pub mod message;
pub mod patch;
pub mod path;
pub mod resource;
pub mod schema;
pub mod urn;
pub mod v1;

pub use error::{ScimError, ScimType};
pub use path::{AttrPath, AttrRef};
pub use schema::{Attribute, Registry, ResourceType, Schema};

/// A JSON object: the shape of every SCIM message and resource (RFC 7643 §2.1).
pub type Object = serde_json::Map<String, serde_json::Value>;
