//! What pages are told while they are open: one server-sent event for every topic that has changed.
