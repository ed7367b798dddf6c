//! Requests to the token endpoint: B's client with A's proof, A's client with B's words.

use serde_json::json;

use super::{Attack, Who};

const TOKEN: &str = "/oauth/token";
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// Forms without `grant_type`, and what they are answered.
const FORMS: [(&str, u16); 12] = [
    // One who is B's without B's secret.
    ("client_id={oauth_client}", 401),
    ("client_id={oauth_client}&client_secret=guess", 401),
    ("client_id={oauth_client}&client_secret={=a_oauth_secret}", 401),
    ("client_id={oauth_client}&client_secret={=a_secret}", 401),
    // Names of B's that are no client, with a secret of A's.
    ("client_id={token}&client_secret={=a_oauth_secret}", 401),
    ("client_id={directory}&client_secret={=a_oauth_secret}", 401),
    // A's client with a secret of B's.
    ("client_id={a_oauth_client}&client_secret={=oauth_secret}", 401),
    ("client_id={a_oauth_client}&client_secret={=secret}", 401),
    // A's client, asking for what is B's. Unknown parameters are passed over (RFC 6749 §3.2).
    ("client_id={a_oauth_client}&client_secret={=a_oauth_secret}&scope={directory}", 400),
    ("client_id={a_oauth_client}&client_secret={=a_oauth_secret}&resource={=external_key}", 200),
    ("client_id={a_oauth_client}&client_secret={=a_oauth_secret}&audience={directory}", 200),
    // An assertion that nobody has signed.
    (
        "client_id={oauth_client}&client_assertion=eyJhbGciOiJub25lIn0.e30.&client_assertion_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
        401,
    ),
];

pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks: Vec<Attack> = FORMS
        .iter()
        .map(|(form, status)| {
            Attack::new(Who::Passer, TOKEN, "POST", TOKEN, *status)
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(json!(format!("grant_type=client_credentials&{form}")))
        })
        .collect();
    attacks.push(Attack::new(Who::Passer, METADATA, "GET", METADATA, 200));
    attacks
}
