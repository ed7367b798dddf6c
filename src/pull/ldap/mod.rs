//! What sources over LDAP have in common: the session, entries and names.
//!
//! [`line`] connects and secures, [`session`] binds and searches, [`filter`] encodes what is searched for,
//! [`wire`] has the messages (RFC 4511), [`ber`] their encoding, [`entry`] is what a server lists, [`dn`] finds
//! an entry by any way of writing its name, [`keep`] bounds what is kept of all of them, [`sync`] are the
//! messages of content synchronization, [`ad`] has what Active Directory adds.
//!
//! A server may be anybody's: a message is bounded in size and read without recursion, and nothing
//! that it says is taken for granted.

pub mod ad;
pub mod ber;
pub mod dn;
pub mod entry;
pub mod filter;
pub mod keep;
pub mod line;
pub mod session;
pub mod sync;
pub mod wire;

pub use entry::Entry;
pub use filter::check_filter;
pub use keep::Keep;
pub use line::{Security, authorities, check_url};
pub use session::{Item, Scope, Search, Server, Session};
pub use wire::{Control, Outcome};
