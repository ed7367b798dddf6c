//! Tests of `service`.
