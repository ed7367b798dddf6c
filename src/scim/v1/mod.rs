//! SCIM 1.1 (Core Schema 1.1 and REST API 1.1) as a translation to and from SCIM 2.0.
//!
//! A request is translated, then read like any other: profiles, validation and storage know one
//! protocol. An answer is made for SCIM 2.0 and translated at last. What differs between the two:
//!
//! - All resources have the schema [`CORE`]; the Enterprise extension has another URI ([`ENTERPRISE`])
//!   and calls the manager's id `managerId`.
//! - A PATCH is a part of the resource ([`patch`]), not a list of operations.
//! - There is no `$ref` and no `meta.resourceType`; an error is a list of `Errors`.

mod answer;
mod discovery;
#[cfg(test)]
mod laws;
mod names;
mod patch;
#[cfg(test)]
mod patch_tests;
mod request;

pub use answer::{error, list, resource};
pub use discovery::{schema, schemas, service_provider_config};
pub use names::{CORE, ENTERPRISE, attribute_list, attribute_name, filter};
pub use patch::patch;
pub use request::representation;
