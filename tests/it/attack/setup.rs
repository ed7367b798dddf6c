//! Requests to the set-up portal in a session of A's organization.

use serde_json::json;

use super::{Attack, Who};

/// Names of B's that are no directory of A's.
const NAMES: [&str; 4] = ["{directory}", "{external_key}", "{organization}", "{token}"];

fn visitor(route: &'static str, method: &'static str, path: &str, status: u16) -> Attack {
    Attack::new(Who::Passer, route, method, path, status).header("Cookie", "{a_setup_cookie}")
}

fn form(route: &'static str, path: &str, status: u16, form: &str) -> Attack {
    visitor(route, "POST", path, status)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(json!(form))
}

pub(super) fn attacks() -> Vec<Attack> {
    let one = "/setup/directories/{id}";
    let (tokens, status) = ("/setup/directories/{id}/tokens", "/setup/directories/{id}/status");
    let mut attacks = vec![
        visitor("/setup", "GET", "/setup", 200),
        visitor("/setup", "GET", "/setup?organization={organization}", 200),
        visitor("/setup/live", "GET", "/setup/live?of=overview", 404),
    ];
    for name in NAMES {
        let path = format!("/setup/directories/{name}");
        attacks.extend([
            visitor(one, "GET", &path, 404),
            visitor("/setup/live", "GET", &format!("/setup/live?of=requests:{name}"), 404),
            visitor(status, "GET", &format!("{path}/status"), 404),
            form(tokens, &format!("{path}/tokens"), 404, "proof={a_setup_proof}&newest="),
            form(tokens, &format!("{path}/tokens"), 404, "proof={a_setup_proof}&newest={token}"),
        ]);
        for page in ["source", "scope", "attributes", "roles", "stop", "brake"] {
            let route: &'static str = match page {
                "source" => "/setup/directories/{id}/source",
                "scope" => "/setup/directories/{id}/scope",
                "attributes" => "/setup/directories/{id}/attributes",
                "roles" => "/setup/directories/{id}/roles",
                "stop" => "/setup/directories/{id}/stop",
                _ => "/setup/directories/{id}/brake",
            };
            attacks.push(visitor(route, "GET", &format!("{path}/{page}"), 404));
        }
        for (route, page, fields) in [
            ("/setup/directories/{id}/tokens/{token}/revoke", "tokens/{token}/revoke", ""),
            ("/setup/directories/{id}/source", "source", "&config.url=x"),
            ("/setup/directories/{id}/files/{name}", "files/users", "&content=x"),
            ("/setup/directories/{id}/test", "test", ""),
            ("/setup/directories/{id}/scope", "scope", "&do=save&filter=false"),
            ("/setup/directories/{id}/schedule", "schedule", "&every=1h"),
            ("/setup/directories/{id}/sync", "sync", ""),
            ("/setup/directories/{id}/runs/{run}/{verb}", "runs/run_1/approve", ""),
            ("/setup/directories/{id}/attributes", "attributes", "&do=save"),
            ("/setup/directories/{id}/roles", "roles", "&do=save"),
            ("/setup/directories/{id}/state", "state", "&state=paused"),
            ("/setup/directories/{id}/disconnect", "disconnect", "&mode=deprovision"),
            ("/setup/directories/{id}/brake/{verb}", "brake/release", ""),
        ] {
            let fields = format!("proof={{a_setup_proof}}{fields}");
            attacks.push(form(route, &format!("{path}/{page}"), 404, &fields));
        }
        attacks.extend([
            visitor(
                "/setup/directories/{id}/runs/{run}",
                "GET",
                &format!("{path}/runs/run_1"),
                404,
            ),
            // Without a session nothing is told either.
            Attack::new(Who::Passer, one, "GET", path, 403),
        ]);
    }
    for (fields, status) in [
        ("proof={a_setup_proof}&provider={directory}", 422),
        ("proof={a_setup_proof}&provider=scim.okta&organization={organization}", 422),
        ("proof={setup_proof}&provider=okta", 403),
        ("provider=okta", 403),
    ] {
        attacks.push(form("/setup/directories", "/setup/directories", status, fields));
    }
    attacks.extend([
        visitor("/setup/sources/{kind}", "GET", "/setup/sources/{directory}", 404),
        form("/setup/sources/{kind}", "/setup/sources/pull.ldap", 422, "proof={a_setup_proof}"),
        visitor("/setup/brand/{digest}/{file}", "GET", "/setup/brand/{directory}/logo", 404),
    ]);
    attacks.push(form(
        tokens,
        "/setup/directories/{a_directory}/tokens",
        409,
        "proof={a_setup_proof}&newest={token}",
    ));
    // B's proof is worth nothing in A's session.
    attacks.push(form("/setup/finish", "/setup/finish", 403, "proof={setup_proof}"));
    for link in ["{directory}", "{secret}", "{setup_proof}"] {
        let session = format!("proof={{a_start_proof}}&link={link}");
        attacks.push(form("/setup/session", "/setup/session", 404, &session));
        attacks.push(visitor("/setup/{link}", "GET", &format!("/setup/{link}"), 404));
    }
    attacks.push(form("/setup/session", "/setup/session", 403, "link={a_setup_link}"));
    attacks
}
