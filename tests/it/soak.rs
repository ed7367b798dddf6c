//! The clients of all providers at once against the binary; `conformance/run soak` takes longer.

use std::path::Path;
use std::time::Duration;

use rollbook_conformance::management::Management;
use rollbook_conformance::server::Server;
use rollbook_conformance::soak::{self, Options};

use crate::support::Database;

const PROVIDERS: [&str; 12] = [
    "authentik",
    "cyberark",
    "entra",
    "google",
    "jumpcloud",
    "keycloak",
    "okta",
    "onelogin",
    "oracle",
    "pingfederate",
    "pingone",
    "rippling",
];

/// Nothing fails, nothing is lost, and no directory sees another.
fn holds(database: &Database) {
    let binary = Path::new(env!("CARGO_BIN_EXE_rollbook"));
    let no_dump = Box::new(|| Err("nobody looks into the database".to_owned()));
    let server = Server::start_on(binary, &database.url(), no_dump).expect("the server starts");
    let management = Management::new(server.url(), server.api_key());
    let options = Options { clients: 64, duration: Duration::from_secs(10), seed: 20_260_101 };
    let report = soak::run(&management, options).expect("the soak can be made");
    let mut text = Vec::new();
    report.print(&mut text).expect("memory");
    assert!(report.is_good(), "{}", String::from_utf8_lossy(&text));
    for provider in PROVIDERS {
        assert!(report.requests_of(provider) >= 100, "{}", String::from_utf8_lossy(&text));
    }
    assert!(report.resources() >= 500, "{}", String::from_utf8_lossy(&text));
}

mod heavy_clients_of_all_providers_at_once {
    use super::{Database, holds};

    #[test]
    fn sqlite() {
        holds(&Database::sqlite());
    }

    #[test]
    fn postgres() {
        holds(&Database::postgres());
    }
}
