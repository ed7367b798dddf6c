//! `pull.entra`: a tenant of Microsoft Entra ID over Microsoft Graph v1.0: its configuration. How it is
//! read stands in `entra_read`, `entra_users` and `entra_groups`, what becomes of an object in `entra_map`.

use serde_json::Value;
use url::Url;

use super::entra_map::Mapping;
use super::entra_read::{GroupTypes, Guests, Nested, Reading, Tenant};
use crate::auth::jwt::Algorithm;
use crate::auth::private_key::{Certificate, PrivateKey};
use crate::outbound::Outbound;
use crate::pull::field::{Field, PEM, Shape};
use crate::pull::oauth::{Assertion, Authorized, Proof, Tokens};
use crate::pull::{Connector, SourceError, SourceKind, Surroundings};
use crate::scim::Object;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.entra",
    title: "Microsoft Entra ID",
    description: "Reads users and groups of a tenant over Microsoft Graph.",
    fields: FIELDS,
    files: &[],
    every_minutes: Some(30),
    check,
    open,
};

const FIELDS: &[Field] = &[
    Field::required(
        "tenant_id",
        Shape::Text,
        "Directory (tenant) ID: a GUID, or a verified domain of the tenant.",
    ),
    Field::required("client_id", Shape::Text, "Application (client) ID of the app registration."),
    Field::optional(
        "client_secret",
        Shape::Secret,
        "",
        "Value of a client secret of the app registration; or send certificate and private_key.",
    ),
    Field::optional(
        "certificate",
        Shape::Text,
        "",
        "Certificate in PEM that was uploaded to the app registration.",
    )
    .holding(PEM),
    Field::optional(
        "private_key",
        Shape::Secret,
        "",
        "RSA key of the certificate in PEM, without a passphrase.",
    )
    .holding(PEM),
    Field::optional(
        "cloud",
        Shape::Word(&["Global", "USGov", "USGovDoD", "China"]),
        "\"Global\"",
        "Cloud that the tenant is in, as Microsoft Graph names its environments.",
    ),
    Field::optional(
        "guests",
        Shape::Word(&["exclude", "include"]),
        "\"exclude\"",
        "Whether users of userType Guest come in.",
    ),
    Field::optional(
        "user_filter",
        Shape::Text,
        "",
        "OData $filter for users, such as department eq 'Sales'. Users whom it leaves out count as missing. \
         With it every read is complete: Microsoft Graph does not filter changes.",
    ),
    Field::optional(
        "group_types",
        Shape::Word(&["all", "security", "microsoft365"]),
        "\"all\"",
        "Which groups come in: all, those that are security enabled, or Microsoft 365 groups.",
    ),
    Field::optional(
        "nested_groups",
        Shape::Word(&["keep", "expand"]),
        "\"keep\"",
        "Whether a group in a group stays one, or its members become members of the outer group.",
    ),
    Field::optional(
        "username",
        Shape::Word(&["userPrincipalName", "mail", "onPremisesSamAccountName"]),
        "\"userPrincipalName\"",
        "Property that becomes userName; of users who do not have it, userPrincipalName does.",
    ),
    Field::optional(
        "managers",
        Shape::Switch,
        "true",
        "Reads the manager of every user ($expand).",
    ),
    Field::optional(
        "select",
        Shape::Text,
        "",
        "Further properties of users to read, divided by commas, such as \
         onPremisesExtensionAttributes or an extension_ property. They keep their names.",
    ),
    Field::optional(
        "page_size",
        Shape::Number(1, 999),
        "999",
        "Users asked for at a time ($top). Microsoft Graph may give fewer.",
    ),
    Field::optional(
        "graph_endpoint",
        Shape::Url,
        "",
        "Address of Microsoft Graph in place of that of the cloud, without /v1.0.",
    )
    .operator_only(),
    Field::optional(
        "azure_ad_endpoint",
        Shape::Url,
        "",
        "Address that gives tokens, in place of that of the cloud.",
    )
    .operator_only(),
    Field::optional(
        "allow_private_network",
        Shape::Switch,
        "false",
        "Lets both addresses be in a private network, where plain http is spoken as well.",
    )
    .operator_only(),
];

/// The address that gives tokens and that of Microsoft Graph, by cloud (Microsoft Graph, "National cloud
/// deployments").
fn addresses(cloud: &str) -> (&'static str, &'static str) {
    match cloud {
        "USGov" => ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
        "USGovDoD" => ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
        "China" => {
            ("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn")
        }
        _ => ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    }
}

/// How long a signed assertion is good, in seconds: at most ten minutes are accepted.
const ASSERTION_LIFETIME: i64 = 5 * 60;

fn text<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_set(config: &Object, name: &str) -> bool {
    config.get(name) == Some(&Value::Bool(true))
}

fn outbound(config: &Object, outbound: &Outbound) -> Outbound {
    match is_set(config, "allow_private_network") {
        true => outbound.in_private_networks(),
        false => outbound.clone(),
    }
}

fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    let wrong = |field: &str, message: String| Err((field.to_owned(), message));
    // It becomes a part of a path.
    for field in ["tenant_id", "client_id"] {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let value = text(config, field);
        if !value.chars().all(is_plain) || value.contains("..") {
            return wrong(field, "it must be a GUID, or for a tenant a domain.".to_owned());
        }
    }
    let allowed = outbound(config, allowed);
    for field in ["graph_endpoint", "azure_ad_endpoint"] {
        let address = text(config, field);
        if !address.is_empty()
            && let Err(message) = allowed.check(address)
        {
            return wrong(field, message);
        }
    }
    let is_name = |name: &str| {
        let name = name.trim();
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let select = text(config, "select");
    if let Some(name) = select.split(',').find(|name| !select.is_empty() && !is_name(name)) {
        return wrong("select", format!("\"{name}\" is no name of a property."));
    }
    proof(config, "").map(drop)
}

/// What the application shows to get a token; the error is the field and a sentence.
fn proof(config: &Object, token_url: &str) -> Result<Proof, (String, String)> {
    let wrong = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let client_id = text(config, "client_id").to_owned();
    let [secret, certificate, key] =
        ["client_secret", "certificate", "private_key"].map(|name| text(config, name));
    match (secret.is_empty(), certificate.is_empty(), key.is_empty()) {
        (false, true, true) => {
            return Ok(Proof::Secret { client_id, client_secret: secret.to_owned() });
        }
        (true, false, false) => {}
        (true, true, true) => {
            return wrong("client_secret", "send a client_secret, or certificate and private_key.");
        }
        (true, true, false) => return wrong("certificate", "it is required with a private_key."),
        (true, false, true) => return wrong("private_key", "it is required with a certificate."),
        (false, _, _) => {
            return wrong(
                "client_secret",
                "send a client_secret, or certificate and private_key, not both.",
            );
        }
    }
    let certificate =
        Certificate::read(certificate).map_err(|message| ("certificate".to_owned(), message))?;
    let key = PrivateKey::read(key).map_err(|message| ("private_key".to_owned(), message))?;
    if key.algorithm() != Algorithm::RS256 {
        return wrong("private_key", "it must be an RSA key.");
    }
    if !key.is_of(&certificate) {
        return wrong("private_key", "it is not the key of the certificate.");
    }
    let mut header = Object::new();
    header.insert("x5t#S256".to_owned(), certificate.thumbprint().into());
    let assertion = Assertion {
        key,
        algorithm: Algorithm::PS256,
        header,
        issuer: client_id.clone(),
        subject: client_id.clone(),
        audience: token_url.to_owned(),
        lifetime: ASSERTION_LIFETIME,
    };
    Ok(Proof::Client { client_id, assertion })
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let (usual_login, usual_graph) = addresses(text(config, "cloud"));
    let address = |field: &str, usual: &str| {
        let own = text(config, field).trim_end_matches('/').to_owned();
        if own.is_empty() { usual.to_owned() } else { own }
    };
    let login = address("azure_ad_endpoint", usual_login);
    let graph = address("graph_endpoint", usual_graph);
    let no_url = |_| SourceError::failed("an address of the configuration is no URL");
    let token_url = format!("{login}/{}/oauth2/v2.0/token", text(config, "tenant_id"));
    let base = Url::parse(&format!("{graph}/v1.0")).map_err(no_url)?;
    let proof = proof(config, &token_url)
        .map_err(|(field, message)| SourceError::failed(format!("{field}: {message}")))?;
    let token_url = Url::parse(&token_url).map_err(no_url)?;
    // The resource whose token it is has the name of its cloud, also behind another address.
    let scope = match text(config, "graph_endpoint").is_empty() {
        true => format!("{graph}/.default"),
        false => format!("{usual_graph}/.default"),
    };
    let outbound = outbound(config, &surroundings.outbound);
    let surroundings = Surroundings { outbound, ..surroundings };
    let wants_groups = surroundings.wants_groups;
    let tokens = Tokens::new(token_url, &scope, proof, surroundings.clone());
    let headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    let more = text(config, "select").split(',').map(str::trim).filter(|name| !name.is_empty());
    let mapping = Mapping {
        username: text(config, "username").to_owned(),
        more: more.map(str::to_owned).collect(),
        managers: is_set(config, "managers"),
    };
    let reading = Reading {
        mapping,
        user_filter: text(config, "user_filter").to_owned(),
        guests: match text(config, "guests") {
            "include" => Guests::Included,
            _ => Guests::Excluded,
        },
        group_types: match text(config, "group_types") {
            "security" => GroupTypes::Security,
            "microsoft365" => GroupTypes::Microsoft365,
            _ => GroupTypes::All,
        },
        nested: match text(config, "nested_groups") {
            "expand" => Nested::Expanded,
            _ => Nested::Kept,
        },
        page_size: config.get("page_size").and_then(Value::as_u64).unwrap_or(999),
        wants_groups,
    };
    let last = surroundings.last.clone();
    let client = Authorized::new(&base, headers, tokens, surroundings);
    Ok(Box::new(Tenant::new(client, base, reading, last.as_deref())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pull::field;

    fn checked(more: &Value) -> Result<(), (String, String)> {
        let mut config = Object::new();
        config.insert("tenant_id".into(), "7f1c0a1e-0000-4000-8000-000000000001".into());
        config.insert("client_id".into(), "7f1c0a1e-0000-4000-8000-000000000002".into());
        config.extend(more.as_object().expect("an object").clone());
        let whole = field::with_defaults(&config, FIELDS);
        check(&whole, &Outbound::new(Vec::new()))
    }

    #[test]
    fn configuration_says_what_is_wrong_with_it() {
        assert_eq!(checked(&json!({"client_secret": "x"})), Ok(()));
        assert_eq!(checked(&json!({"client_secret": "x", "select": "a, b_c"})), Ok(()));
        for (more, field) in [
            (json!({}), "client_secret"),
            (json!({"client_secret": "x", "tenant_id": "../x"}), "tenant_id"),
            (json!({"client_secret": "x", "client_id": "a/b"}), "client_id"),
            (json!({"client_secret": "x", "private_key": "y"}), "client_secret"),
            (json!({"certificate": "x"}), "private_key"),
            (json!({"private_key": "x"}), "certificate"),
            (json!({"private_key": "x", "certificate": "y"}), "certificate"),
            (json!({"client_secret": "x", "select": "a,,b"}), "select"),
            (json!({"client_secret": "x", "select": "a)&$top=1"}), "select"),
            (json!({"client_secret": "x", "graph_endpoint": "https://10.0.0.1"}), "graph_endpoint"),
            (
                json!({"client_secret": "x", "azure_ad_endpoint": "http://a.example"}),
                "azure_ad_endpoint",
            ),
        ] {
            let (wrong, message) = checked(&more).expect_err(field);
            assert_eq!(wrong, field, "{message}");
            assert!(message.ends_with('.'), "{message}");
        }
    }

    #[test]
    fn every_cloud_has_addresses_of_its_own() {
        let Some(Shape::Word(clouds)) =
            FIELDS.iter().find(|field| field.name == "cloud").map(|field| field.shape)
        else {
            panic!("a field of words");
        };
        let graphs: std::collections::HashSet<&str> =
            clouds.iter().map(|cloud| addresses(cloud).1).collect();
        assert_eq!(graphs.len(), clouds.len());
    }
}
