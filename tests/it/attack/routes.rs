//! There is an attack for every route that the source has, so that none is forgotten when one is added.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Attack, Who, all};

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text between two marks, which must be there.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from} is there"));
    rest.split_once(to).unwrap_or_else(|| panic!("{to} is there")).0
}

/// The texts in quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

fn has(attacks: &[Attack], route: &str, method: &str) -> bool {
    attacks.iter().any(|attack| attack.route == route && attack.method == method)
}

/// Every surface is one that this test reads.
#[test]
fn surfaces_are_known() {
    let text = source("mod.rs");
    let routes = between(&text, "pub fn routes(", "\n}\n");
    let configured: BTreeSet<&str> = routes
        .split(".configure(")
        .skip(1)
        .filter_map(|rest| rest.split_once("::routes)").map(|(module, _)| module))
        .collect();
    assert_eq!(
        configured,
        BTreeSet::from([
            "admin", "api", "console", "health", "oauth", "scim", "setup", "ssf", "web"
        ])
    );
    // One handler behind every SCIM path; `Target` says what there is.
    let text = source("scim/mod.rs");
    let scopes = text.matches("web::scope(").count();
    assert_eq!(scopes, text.matches(").default_service(web::to(entry))").count());
    assert!(scopes > 0 && !text.contains("web::resource("));
}

/// Every row of the management API's route table, with each of its methods.
#[test]
fn management_routes_are_attacked() {
    let text = source("admin/mod.rs");
    let table = between(&text, "pub(super) fn routes(", "\n}\n");
    let attacks = all();
    let mut rows = 0;
    for row in table.split("methods(").skip(1) {
        let words = quoted(row);
        let (Some(path), Some(methods)) = (words.first(), words.get(1)) else {
            panic!("a row with a path and methods: {row}");
        };
        for method in methods.split(", ") {
            rows += 1;
            assert!(has(&attacks, path, method), "no attack on {method} /api/v1{path}");
        }
    }
    assert!(rows >= 25, "{rows} routes were found");
    // Nothing is registered beside the table.
    assert_eq!(table.matches(".service(").count() - 1, table.matches("methods(").count());
}

/// Every row of the read API's route table, with each of its methods.
#[test]
fn read_routes_are_attacked() {
    let text = source("api/mod.rs");
    let table = between(&text, "pub(super) fn routes(", "\n}\n");
    let attacks = super::read::attacks();
    let mut rows = 0;
    for row in table.split("methods(").skip(1) {
        let words = quoted(row);
        let (Some(path), Some(methods)) = (words.first(), words.get(1)) else {
            panic!("a row with a path and methods: {row}");
        };
        for method in methods.split(", ") {
            rows += 1;
            assert!(has(&attacks, path, method), "no attack on {method} {path}");
        }
    }
    assert!(rows >= 14, "{rows} routes were found");
    // Nothing is registered beside the table.
    assert_eq!(table.matches(".service(").count(), table.matches("methods(").count());
}

/// Every row of the table of receivers of Security Event Tokens, with each of its methods.
#[test]
fn receivers_routes_are_attacked() {
    let text = source("ssf.rs");
    let table = between(&text, "pub(super) fn routes(", "\n}\n");
    let attacks = super::ssf::attacks();
    let mut rows = 0;
    for row in table.split("methods(").skip(1) {
        let words = quoted(row);
        let (Some(path), Some(methods)) = (words.first(), words.get(1)) else {
            panic!("a row with a path and methods: {row}");
        };
        for method in methods.split(", ") {
            rows += 1;
            assert!(has(&attacks, path, method), "no attack on {method} {path}");
        }
    }
    assert!(rows >= 14, "{rows} routes were found");
    assert_eq!(table.matches(".service(").count(), table.matches("methods(").count());
}

/// Every variant of `Target`, and the methods of those that have several.
#[test]
fn scim_targets_are_attacked() {
    let text = source("scim/route.rs");
    let variants = between(&text, "pub(super) enum Target {", "\n}\n");
    let attacks = all();
    let mut found = BTreeSet::new();
    for line in variants.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let name = line.split(['(', ',']).next().unwrap_or_default();
        if !name.is_empty() {
            found.insert(name.to_owned());
        }
    }
    assert!(found.len() >= 15, "{found:?}");
    for target in &found {
        assert!(attacks.iter().any(|attack| attack.route == target), "no attack on {target}");
        // Also with the key of another directory, which a version that is not served does not have.
        if target != "Version" {
            for who in [[Who::Trespasser, Who::OlderTrespasser], [Who::Nobody, Who::OlderNobody]] {
                let mut named = attacks.iter().filter(|attack| attack.route == target);
                let named = named.any(|attack| who.contains(&attack.who));
                assert!(named, "no attack on {target} by {who:?}");
            }
        }
    }
    for (target, methods) in [
        ("Collection", ["GET", "POST"].as_slice()),
        ("Resource", ["GET", "HEAD", "PUT", "PATCH", "DELETE"].as_slice()),
        ("Search", ["POST"].as_slice()),
        ("Me", ["GET", "POST", "PUT", "PATCH"].as_slice()),
        ("Bulk", ["POST"].as_slice()),
    ] {
        for method in methods {
            assert!(has(&attacks, target, method), "no attack on {method} {target}");
        }
    }
}

/// Every target that SCIM 1.1 serves.
#[test]
fn older_targets_are_attacked() {
    let text = source("scim/v1/mod.rs");
    let served = between(&text, "match &call.target {", "\n    }\n");
    let attacks = all();
    let mut found = 0;
    for rest in served.split("Target::").skip(1) {
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        let route = if name == "Xml" { name } else { format!("v1 {name}") };
        found += 1;
        assert!(attacks.iter().any(|attack| attack.route == route), "no attack on {route}");
    }
    assert!(found >= 7, "{found} targets were found");
    for method in ["GET", "POST"] {
        assert!(has(&attacks, "v1 Collection", method), "no attack on {method}");
    }
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(has(&attacks, "v1 Resource", method), "no attack on {method}");
    }
}

/// What answers without a key.
#[test]
fn open_routes_are_attacked() {
    let text = source("health.rs");
    let paths: Vec<&str> = quoted(between(&text, "pub(super) fn routes(", "\n}\n"));
    let attacks = all();
    assert!(paths.contains(&"/metrics"), "{paths:?}");
    for path in paths {
        assert!(has(&attacks, path, "GET"), "no attack on {path}");
    }
}

/// Every path of the token endpoint's table; the paths are constants.
#[test]
fn oauth_routes_are_attacked() {
    let text = source("oauth.rs");
    let constants = format!("{text}{}", source("../service/oauth/mod.rs"));
    let table = between(&text, "pub(super) fn routes(", "\n}\n");
    let attacks = all();
    let mut rows = 0;
    for row in table.split("only(").skip(1) {
        let name = row.split(',').next().unwrap_or_default();
        let path = between(&constants, &format!("const {name}: &str = \""), "\";");
        let methods = quoted(row).first().copied().unwrap_or_default();
        // HEAD answers as GET does.
        let method = methods.split(", ").next().unwrap_or_default();
        rows += 1;
        assert!(has(&attacks, path, method), "no attack on {method} {path}");
    }
    assert_eq!(rows, 2);
}

/// Every row of the set-up portal's table, with each of its methods.
#[test]
fn setup_routes_are_attacked() {
    let text = source("setup/mod.rs");
    let table = between(&text, "pub(super) fn routes(", "\n}\n");
    let attacks = super::setup::attacks();
    let mut rows = 0;
    for row in table.split("only(").skip(1) {
        let words = quoted(row);
        let (Some(path), Some(methods)) = (words.first(), words.get(1)) else {
            panic!("a row with a path and methods: {row}");
        };
        // HEAD answers as GET does.
        for method in methods.split(", ").filter(|method| *method != "HEAD") {
            rows += 1;
            assert!(has(&attacks, path, method), "no attack on {method} {path}");
        }
    }
    assert!(rows >= 8, "{rows} routes were found");
    assert_eq!(table.matches(".service(").count(), table.matches("only(").count());
}
