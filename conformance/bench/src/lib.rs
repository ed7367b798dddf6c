//! A load generator for SCIM servers: fills a directory, drives mixes of requests against it, and says
//! how fast the answers were. For that it needs a base URL and a token, nothing of the server's inside.
//! The report is about Rollbook alone: it starts servers and compares them with bare databases.
//!
//! - `command`: the command line
//! - `connection`, `people`, `operation`, `drive`, `measure`: clients, data, requests, workers, figures
//! - `report`: the lines of the report; [`baseline`]: the databases without a server

pub mod baseline;
mod command;
mod connection;
mod drive;
mod measure;
mod operation;
mod people;
mod report;

pub use command::run;
