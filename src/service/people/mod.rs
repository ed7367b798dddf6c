//! People and groups of all directories, as an operator looks for them: a search by what they are known
//! by, and the story of one person.
//!
//! A search goes by the beginning of a user name, an address, an external id or a name; never through all
//! users.

mod group;
mod names;
mod search;
mod story;

pub use group::GroupView;
pub use search::{Found, PeopleQuery, PersonView};
pub use story::{Change, Story};
