//! The recorded flows of identity providers, each against a fresh directory with that provider's
//! profile. Flows that are known to fail are listed with a reason, and fail the test when they pass.

use std::path::Path;

use rollbook_conformance::allow::AllowList;
use rollbook_conformance::flow::{is_scim11, label};
use rollbook_conformance::{Target, load_flows, run_flow};

use crate::support::{Database, TestApp};

fn replay(app: &TestApp, provider: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/idp");
    let allowed = std::fs::read_to_string(root.join("known-failures.txt")).expect("the list");
    let allowed = AllowList::parse(&allowed).expect("a readable list");
    let flows = load_flows(root.join(provider)).expect("readable flows");
    assert!(!flows.is_empty(), "{provider} has flows");
    let mut wrong = Vec::new();
    for (path, flow) in flows {
        let (directory, _) = app.directory(&format!("scim.{}", flow.idp));
        let base_url = match is_scim11(&path) {
            true => directory.base_url.replace("/scim/v2/", "/scim/v1/"),
            false => directory.base_url,
        };
        let report = run_flow(&flow, &Target { base_url, token: directory.token });
        let name = label(&path);
        match (report.passed(), allowed.reason(&name)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => wrong.push(format!("{name} passes; take it off the list")),
            (false, None) => wrong.push(format!("{name} fails: {report:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! providers {
    ($($provider:ident),* $(,)?) => {
        $(mod $provider {
            use super::*;

            #[test]
            fn sqlite() {
                replay(&TestApp::start(Database::sqlite()), stringify!($provider));
            }

            #[test]
            fn postgres() {
                replay(&TestApp::start(Database::postgres()), stringify!($provider));
            }
        })*
    };
}

providers![
    authentik,
    cyberark,
    entra,
    google,
    jumpcloud,
    keycloak,
    okta,
    onelogin,
    oracle,
    pingfederate,
    pingone,
    rippling,
];
