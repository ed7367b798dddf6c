//! What sources over LDAP have in common in their configurations: the server, how it is reached, and names
//! of attributes.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::outbound::Outbound;
use crate::pull::SourceError;
use crate::pull::field::{Field, PEM, Shape};
use crate::pull::ldap::{Security, Server, authorities, check_filter, check_url};
use crate::scim::{Object, Registry};

pub(super) const URL: Field = Field::required(
    "url",
    Shape::Url,
    "ldaps://ldap.example.com, or ldap:// with starttls or none. Several servers with the same \
     entries stand one after another, with spaces between.",
);

pub(super) const TLS: Field = Field::required(
    "tls",
    Shape::Word(&["ldaps", "starttls", "none"]),
    "How the connection is secured. \"none\" is for networks that the operator allows.",
);

pub(super) const CA_PEM: Field = Field::optional(
    "ca_pem",
    Shape::Text,
    "",
    "Certificates of the authority that has signed that of the server, in PEM; those that browsers \
     know where it is left out.",
)
.holding(PEM);

pub(super) const CERTIFICATE_NAME: Field = Field::optional(
    "certificate_name",
    Shape::Text,
    "",
    "The name that the certificate of the server has, where it is not the one in the URL.",
);

pub(super) const BIND_PASSWORD: Field =
    Field::required("bind_password", Shape::Secret, "Its password.");

pub(super) const EXTRA_ATTRIBUTES: Field = Field::optional(
    "extra_attributes",
    Shape::Text,
    "",
    "Further attributes, with spaces between, that are kept beside the user for filters and maps.",
);

pub(super) const NESTED_GROUPS: Field = Field::optional(
    "nested_groups",
    Shape::Word(&["keep", "expand"]),
    "\"keep\"",
    "Whether groups within groups stay as they are, or their members become members of the outer group.",
);

pub(super) const PAGE_SIZE: Field = Field::optional(
    "page_size",
    Shape::Number(1, 5_000),
    "500",
    "Entries asked for at a time. A server that refuses is asked for 200 and for 100.",
);

pub(super) const TIMEOUT_SECONDS: Field = Field::optional(
    "timeout_seconds",
    Shape::Number(1, 600),
    "60",
    "Longest time for a connection, and of one page.",
);

pub(super) const ALLOW_PRIVATE_NETWORK: Field = Field::optional(
    "allow_private_network",
    Shape::Switch,
    "false",
    "Lets the server be in a private network, where it is spoken to without TLS as well.",
)
.operator_only();

pub(super) fn text<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What was set and is not empty.
pub(super) fn set<'c>(config: &'c Object, name: &str) -> Option<&'c str> {
    Some(text(config, name)).filter(|text| !text.is_empty())
}

pub(super) fn is_on(config: &Object, name: &str) -> bool {
    config.get(name) == Some(&Value::Bool(true))
}

pub(super) fn outbound(config: &Object, outbound: &Outbound) -> Outbound {
    match is_on(config, "allow_private_network") {
        true => outbound.in_private_networks(),
        false => outbound.clone(),
    }
}

/// The server of a checked configuration.
pub(super) fn server(config: &Object) -> Result<Server, SourceError> {
    let urls: Result<Vec<Url>, _> =
        text(config, "url").split_whitespace().map(Url::parse).collect();
    let number = |name: &str, usual: i64| config.get(name).and_then(Value::as_i64).unwrap_or(usual);
    let seconds = u64::try_from(number("timeout_seconds", 60)).unwrap_or(60);
    Ok(Server {
        urls: urls.map_err(|_| SourceError::failed("url is no URL"))?,
        security: Security::named(text(config, "tls")),
        ca_pem: set(config, "ca_pem").map(str::to_owned),
        certificate_name: set(config, "certificate_name").map(str::to_owned),
        bind_dn: text(config, "bind_dn").to_owned(),
        password: text(config, "bind_password").to_owned(),
        timeout: Duration::from_secs(seconds),
        page_size: number("page_size", 500),
    })
}

/// The names of the extra attributes.
pub(super) fn extra_attributes(config: &Object) -> Vec<String> {
    text(config, "extra_attributes").split_whitespace().map(str::to_owned).collect()
}

/// What is wrong with the server, the filters and the attributes of a configuration.
pub(super) fn check(
    config: &Object,
    allowed: &Outbound,
    attributes: &[&'static str],
) -> Result<(), (String, String)> {
    let wrong = |field: &'static str| move |message: String| (field.to_owned(), message);
    let security = Security::named(text(config, "tls"));
    let allowed = outbound(config, allowed);
    let mut urls = text(config, "url").split_whitespace().peekable();
    if urls.peek().is_none() {
        return Err(wrong("url")("it must not be empty.".to_owned()));
    }
    for url in urls {
        check_url(url, security, &allowed).map_err(wrong("url"))?;
    }
    if let Some(pem) = set(config, "ca_pem") {
        authorities(pem).map_err(wrong("ca_pem"))?;
    }
    for field in ["user_filter", "group_filter"] {
        check_filter(text(config, field)).map_err(wrong(field))?;
    }
    for field in attributes.iter().copied().chain(["extra_attributes"]) {
        for name in text(config, field).split_whitespace() {
            check_attribute(name).map_err(wrong(field))?;
        }
    }
    for name in text(config, "extra_attributes").split_whitespace() {
        if Registry::builtin().user().attribute(name).is_some() {
            let message =
                format!("\"{name}\" is also an attribute of SCIM, which it is not kept beside.");
            return Err(wrong("extra_attributes")(message));
        }
    }
    let rules = config.get("inactive_when").and_then(Value::as_object);
    for name in rules.into_iter().flat_map(Object::keys) {
        check_attribute(name).map_err(wrong("inactive_when"))?;
    }
    Ok(())
}

/// Attributes have names of letters, digits and hyphens (RFC 4512 §1.4). Passwords are not read.
fn check_attribute(name: &str) -> Result<(), String> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ';' | '_'));
    if !is_name {
        return Err(format!("\"{name}\" is no name of an attribute."));
    }
    let lower = name.to_ascii_lowercase();
    let is_secret = ["password", "unicodepwd", "krbprincipalkey"].iter().any(|s| lower.contains(s));
    if is_secret { Err(format!("\"{name}\" holds a secret, which is not read.")) } else { Ok(()) }
}

/// Names without those that are there already in another letter case.
pub(super) fn once_each(names: Vec<&str>) -> Vec<&str> {
    let mut once: Vec<&str> = Vec::with_capacity(names.len());
    for name in names {
        if !once.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            once.push(name);
        }
    }
    once
}
