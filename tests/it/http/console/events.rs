//! The log of events, and sending some of it again.
