//! People and groups of all directories, as an operator looks for them: a search by what they are known
//! by, and the story of one person.
//!
//! A search goes by the beginning of a user name, an address, an external id or, of groups, the name; never
//! through all users. The names of users have no index, so nobody is found by them.

mod group;
mod search;
mod story;

pub use group::GroupView;
pub use search::{Found, PeopleQuery, PersonView};
pub use story::{Change, Story};
