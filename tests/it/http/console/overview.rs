//! The overview and its charts.
