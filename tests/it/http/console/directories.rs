//! The pages of directories.
