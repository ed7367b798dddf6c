//! People and groups.
