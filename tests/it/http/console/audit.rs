//! The audit log, and the story of a person.
