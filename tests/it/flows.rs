//! The flows of identity providers, each against a fresh directory with that provider's profile; what
//! is always on is replayed in every profile. Flows that are known to fail are listed with a reason,
//! and fail the test when they pass.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use rollbook_conformance::allow::AllowList;
use rollbook_conformance::checklist::Checklist;
use rollbook_conformance::flow::{is_scim11, label};
use rollbook_conformance::{Flow, Target, load_flows, run_flow};

use crate::support::{Database, TestApp};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/idp")
}

/// Runs the flow in a new directory of that kind. The error says what went wrong.
fn run(app: &TestApp, flow: &Flow, kind: &str, scim11: bool) -> Result<(), String> {
    let mut wanted = json!({
        "organization_id": app.directory.organization_id,
        "name": flow.name,
        "kind": kind,
    });
    if let Some(settings) = &flow.settings {
        wanted["settings"] = settings.clone();
    }
    let made = app.api.post("/api/v1/directories", wanted);
    if made.status != 201 {
        return Err(format!("no directory: {}", made.text));
    }
    let text = |at: &str| made.body.pointer(at).and_then(|v| v.as_str()).expect("text").to_owned();
    let base_url = text(if scim11 { "/scim/v1_base_url" } else { "/scim/base_url" });
    let report = run_flow(flow, &Target { base_url, token: text("/token/secret") });
    let failed: Vec<_> = report.steps.iter().filter(|step| !step.passed()).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("{failed:#?}")) }
}

/// The flows in `generic/` that the checklist names for what is always on.
fn always_on() -> Vec<(PathBuf, Flow)> {
    let list = std::fs::read_to_string(root().join("checklist.toml")).expect("the checklist");
    let list = Checklist::parse(&list).expect("a readable checklist");
    let always = list.lines.iter().filter(|line| line.id.parse::<u8>().is_ok());
    let names: BTreeSet<_> = always.flat_map(|line| &line.flows).collect();
    let mut flows = load_flows(root().join("generic")).expect("readable flows");
    flows.retain(|(path, _)| names.contains(&label(path)));
    assert!(flows.len() >= 20, "the flows were found");
    flows
}

fn replay(app: &TestApp, provider: &str) {
    let allowed = std::fs::read_to_string(root().join("known-failures.txt")).expect("the list");
    let allowed = AllowList::parse(&allowed).expect("a readable list");
    let flows = load_flows(root().join(provider)).expect("readable flows");
    assert!(!flows.is_empty(), "{provider} has flows");
    let mut wrong = Vec::new();
    for (path, flow) in flows {
        let name = label(&path);
        let result = run(app, &flow, &format!("scim.{}", flow.idp), is_scim11(&path));
        match (result, allowed.reason(&name)) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{name} passes; take it off the list")),
            (Err(error), None) => wrong.push(format!("{name} fails: {error}")),
        }
    }
    let always_on = if provider == "generic" { Vec::new() } else { always_on() };
    for (path, flow) in always_on {
        if let Err(error) = run(app, &flow, &format!("scim.{provider}"), false) {
            wrong.push(format!("{} fails in profile {provider}: {error}", label(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each folder is a test of its own.
macro_rules! providers {
    ($($provider:ident),* $(,)?) => {
        const FOLDERS: &[&str] = &[$(stringify!($provider)),*];

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
    generic,
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

#[test]
fn every_folder_of_flows_is_replayed() {
    let flows = load_flows(root()).expect("readable flows");
    let found: BTreeSet<&str> = flows.iter().map(|(_, flow)| flow.idp.as_str()).collect();
    assert_eq!(found, FOLDERS.iter().copied().collect());
}
