//! `pull.okta`: users and groups of an Okta organization by its API (Users, Groups, System Log).
//!
//! Okta's `id` is the stable id. Everybody is asked for with a filter, because a plain list leaves out
//! users in status DEPROVISIONED. Changes are found by `lastUpdated` and `lastMembershipUpdated`, by
//! Okta's clock; what is deleted by the System Log where that may be read, else by reading everything.

use serde_json::{Value, json};
use url::Url;

use super::okta_api::{Api, Http, judge};
use super::okta_org::{Org, Rules};
use super::okta_user::{As, Statuses};
use crate::auth::private_key::PrivateKey;
use crate::outbound::Outbound;
use crate::pull::client::Client;
use crate::pull::field::{Field, LOCKOUT_IS_INACTIVE, Shape};
use crate::pull::oauth::{Assertion, Authorized, Proof, Tokens};
use crate::pull::{Connector, SourceError, SourceKind, Surroundings};
use crate::scim::Object;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.okta",
    title: "Okta",
    description: "Reads users and groups of an Okta organization by its API.",
    fields: FIELDS,
    files: &[],
    every_minutes: Some(60),
    check,
    open,
};

const FIELDS: &[Field] = &[
    Field::required(
        "org_url",
        Shape::Url,
        "Address of the organization, such as https://example.okta.com, or its own domain; not that of \
         the Admin Console.",
    ),
    Field::optional(
        "api_token",
        Shape::Secret,
        "",
        "API token of an administrator who may read users and groups. Okta ends it when it is not used \
         for 30 days, or when that administrator is deactivated.",
    ),
    Field::optional(
        "client_id",
        Shape::Text,
        "",
        "Client ID of a service app (API Services), in place of an API token.",
    ),
    Field::optional(
        "private_key",
        Shape::Secret,
        "",
        "Private key of the service app: the JSON Web Key that Okta shows once, or PEM. RSA, or EC on \
         P-256.",
    ),
    Field::optional(
        "private_key_id",
        Shape::Text,
        "",
        "Key ID (kid) of the private key, where the key does not hold it itself.",
    ),
    Field::optional(
        "scopes",
        Shape::Text,
        "\"okta.users.read okta.groups.read okta.logs.read\"",
        "Scopes that the service app asks for, with spaces between them. All of them must be granted to \
         it; without okta.logs.read, deletions are found only when everything is read.",
    ),
    Field::optional(
        "user_search",
        Shape::Text,
        "",
        "Okta search expression for users, such as profile.department eq \"Sales\". Users whom it leaves \
         out count as missing when everything is read.",
    ),
    Field::optional("group_search", Shape::Text, "", "The same for groups."),
    Field::optional(
        "app_groups",
        Shape::Switch,
        "false",
        "Whether groups come in that apps such as Active Directory have brought to Okta (APP_GROUP). \
         Their names need not be unique.",
    ),
    Field::optional(
        "built_in_groups",
        Shape::Switch,
        "false",
        "Whether groups come in that Okta has by itself (BUILT_IN), such as Everyone, which doubles every \
         membership.",
    ),
    Field::optional(
        "staged",
        Shape::Word(&["active", "inactive", "left_out"]),
        "\"inactive\"",
        "What users are who are not activated yet (STAGED).",
    ),
    Field::optional(
        "provisioned",
        Shape::Word(&["active", "inactive", "left_out"]),
        "\"active\"",
        "What users are who are activated and have not signed in yet (PROVISIONED).",
    ),
    Field::optional(
        "deprovisioned",
        Shape::Word(&["inactive", "left_out"]),
        "\"inactive\"",
        "What deactivated users are (DEPROVISIONED).",
    ),
    LOCKOUT_IS_INACTIVE,
    Field::optional(
        "rate_limit_percent",
        Shape::Number(1, 100),
        "50",
        "How much of each of Okta's rate limits may be used. They are shared with everything else that \
         calls the organization's API.",
    ),
    Field::optional(
        "allow_private_network",
        Shape::Switch,
        "false",
        "Lets the address be in a private network, where plain http is spoken as well.",
    )
    .operator_only(),
];

/// How long an assertion is good for, in seconds; Okta allows an hour.
const ASSERTION_SECONDS: i64 = 300;

/// Domains of Okta itself, where the Admin Console has an address beside that of the organization.
const OKTA_DOMAINS: [&str; 5] =
    [".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com", ".okta.mil"];

fn word<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_on(config: &Object, name: &str) -> bool {
    config.get(name) == Some(&Value::Bool(true))
}

fn outbound(config: &Object, outbound: &Outbound) -> Outbound {
    match is_on(config, "allow_private_network") {
        true => outbound.in_private_networks(),
        false => outbound.clone(),
    }
}

fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    let wrong = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let org = word(config, "org_url");
    if let Err(message) = outbound(config, allowed).check(org) {
        return wrong("org_url", &message);
    }
    let Ok(url) = Url::parse(org) else {
        return wrong("org_url", "it is no URL such as https://example.okta.com.");
    };
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return wrong("org_url", "it must end with the host name, as in https://example.okta.com.");
    }
    let host = url.host_str().unwrap_or_default();
    if OKTA_DOMAINS.iter().any(|domain| host.ends_with(&format!("-admin{domain}"))) {
        let message = "it is the address of the Admin Console; leave out \"-admin\".";
        return wrong("org_url", message);
    }
    let has = |name: &str| !word(config, name).is_empty();
    match (has("api_token"), has("client_id"), has("private_key")) {
        (true, false, false) => Ok(()),
        (false, true, true) => match PrivateKey::read(word(config, "private_key")) {
            Err(message) => wrong("private_key", &message),
            Ok(key) if key.kid().is_none() && !has("private_key_id") => {
                wrong("private_key_id", "it is required, because the private key does not hold it.")
            }
            Ok(_) => Ok(()),
        },
        (false, false, false) => {
            wrong("api_token", "send an API token, or client_id and private_key of a service app.")
        }
        (false, true, false) => wrong("private_key", "it is required with a client_id."),
        (false, false, true) => wrong("client_id", "it is required with a private_key."),
        (true, _, _) => {
            wrong("api_token", "send an API token, or client_id and private_key, not both.")
        }
    }
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let base = Url::parse(word(config, "org_url"))
        .map_err(|_| SourceError::failed("org_url is no URL"))?;
    let outbound = outbound(config, &surroundings.outbound);
    let surroundings = Surroundings { outbound, ..surroundings };
    let share = config.get("rate_limit_percent").and_then(Value::as_i64).unwrap_or(50);
    let wants_groups = surroundings.wants_groups;
    let http = http(config, &base, surroundings.clone())?;
    let is_service = word(config, "api_token").is_empty();
    let scopes = word(config, "scopes");
    Ok(Box::new(Org {
        api: Api::new(http, surroundings, base, share),
        rules: Rules {
            statuses: Statuses {
                lockout_is_inactive: is_on(config, LOCKOUT_IS_INACTIVE.name),
                staged: As::word(word(config, "staged")),
                provisioned: As::word(word(config, "provisioned")),
                deprovisioned: As::word(word(config, "deprovisioned")),
            },
            user_search: word(config, "user_search").to_owned(),
            group_search: word(config, "group_search").to_owned(),
            app_groups: is_on(config, "app_groups"),
            built_in_groups: is_on(config, "built_in_groups"),
        },
        reads_log: !is_service || scopes.split_whitespace().any(|scope| scope == "okta.logs.read"),
        wants_groups,
    }))
}

/// What shows Okta who asks: an API token, or the access tokens of a service app.
fn http(config: &Object, base: &Url, surroundings: Surroundings) -> Result<Http, SourceError> {
    let accept = ("Accept".to_owned(), "application/json".to_owned());
    let api_token = word(config, "api_token");
    if !api_token.is_empty() {
        let headers = vec![accept, ("Authorization".to_owned(), format!("SSWS {api_token}"))];
        let client = Client::new(base, headers, vec![api_token.to_owned()], surroundings);
        return Ok(Http::Token(Box::new(client.judged_by(judge))));
    }
    let key = PrivateKey::read(word(config, "private_key")).map_err(SourceError::failed)?;
    let kid = match word(config, "private_key_id") {
        "" => key.kid().unwrap_or_default().to_owned(),
        kid => kid.to_owned(),
    };
    // The organization's own authorization server; no other gives scopes of Okta.
    let url =
        base.join("/oauth2/v1/token").map_err(|_| SourceError::failed("org_url is no URL"))?;
    let client_id = word(config, "client_id").to_owned();
    let assertion = Assertion {
        algorithm: key.algorithm(),
        key,
        header: Object::from_iter([("kid".to_owned(), json!(kid))]),
        issuer: client_id.clone(),
        subject: client_id.clone(),
        audience: url.to_string(),
        lifetime: ASSERTION_SECONDS,
    };
    let proof = Proof::Client { client_id, assertion };
    let tokens = Tokens::new(url, word(config, "scopes"), proof, surroundings.clone());
    let client = Authorized::new(base, vec![accept], tokens, surroundings).judged_by(judge);
    Ok(Http::Service(Box::new(client)))
}
