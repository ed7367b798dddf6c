//! What sources over LDAP have in common: the session, entries and names.
//!
//! [`session`] connects, binds and searches, [`wire`] has the messages (RFC 4511), [`ber`] their encoding,
//! [`entry`] is what a server lists, [`dn`] finds an entry by any way of writing its name, [`sync`] are the
//! messages of content synchronization.
//!
//! A server may be anybody's: a message is bounded in size and read without recursion, and nothing
//! that it says is taken for granted.

pub mod ber;
pub mod dn;
pub mod entry;
pub mod session;
pub mod sync;
pub mod wire;

pub use entry::Entry;
pub use session::{
    Item, Scope, Search, Security, Server, Session, authorities, check_filter, check_url,
};
pub use wire::{Control, Outcome};
