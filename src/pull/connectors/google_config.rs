//! The configuration of `pull.google`: its fields, what is wrong with them, and the service account's key.

use serde_json::Value;
use url::Url;

use super::google_entry::Wanted;
use super::google_members::Nested;
use crate::auth::jwt::Algorithm;
use crate::auth::private_key::PrivateKey;
use crate::outbound::Outbound;
use crate::pull::SourceError;
use crate::pull::field::{Field, Shape, TEXT};
use crate::pull::oauth::Assertion;
use crate::scim::Object;

pub(super) const FIELDS: &[Field] = &[
    Field::required(
        "service_account_key",
        Shape::Secret,
        "The JSON key of the service account, as Google Cloud lets you download it, as text.",
    )
    .holding("application/json"),
    Field::required(
        "delegated_admin_email",
        Shape::Text,
        "Address of the administrator in whose name the service account reads. What this administrator does \
         not see is not read.",
    ),
    Field::optional(
        "customer",
        Shape::Text,
        "\"my_customer\"",
        "Id of the Google Workspace account; my_customer is that of the administrator.",
    ),
    Field::optional(
        "domain",
        Shape::Text,
        "",
        "Only users and groups of this domain. Without it those of all domains of the account are read.",
    ),
    Field::optional(
        "org_units",
        Shape::Text,
        "",
        "Only users in or below these organizational units: paths such as /Staff, one on a line or divided \
         by semicolons.",
    )
    .holding(TEXT),
    Field::optional(
        "org_units_excluded",
        Shape::Text,
        "",
        "No users in or below these organizational units, also where they are below others that are named.",
    )
    .holding(TEXT),
    Field::optional(
        "user_query",
        Shape::Text,
        "",
        "Search query for users, evaluated by Google, such as isEnforcedIn2Sv=true. Users whom it leaves out \
         count as missing.",
    ),
    Field::optional("group_query", Shape::Text, "", "The same for groups, such as name:Team*."),
    Field::optional(
        "group_emails",
        Shape::Text,
        "",
        "Only groups with these addresses, one on a line or divided by semicolons; * stands for anything.",
    )
    .holding(TEXT),
    Field::optional(
        "suspended_users",
        Shape::Word(&["read", "leave_out"]),
        "\"read\"",
        "Whether suspended users are read, as suspended, or count as missing.",
    ),
    Field::optional(
        "archived_users",
        Shape::Word(&["read", "leave_out"]),
        "\"read\"",
        "Whether archived users are read, as inactive, or count as missing.",
    ),
    Field::optional(
        "web_login_required",
        Shape::Word(&["suspended", "active"]),
        "\"suspended\"",
        "What a user is whom Google suspends only until the first sign-in on the web \
         (WEB_LOGIN_REQUIRED).",
    ),
    Field::optional(
        "external_members",
        Shape::Word(&["skip", "keep"]),
        "\"skip\"",
        "Whether members of groups who belong to another organization are left out, or kept as guests of \
         whom the address alone is known.",
    ),
    Field::optional(
        "customer_members",
        Shape::Word(&["expand", "skip"]),
        "\"expand\"",
        "Whether a group that has the whole organization as a member (CUSTOMER) has every user as a member, \
         or none because of that.",
    ),
    Field::optional(
        "nested_groups",
        Shape::Word(&["keep", "expand", "flatten"]),
        "\"keep\"",
        "What becomes of groups in groups: they are members; they are, and whoever is below them is, too; or \
         only whoever is below them is.",
    ),
    Field::optional(
        "custom_schemas",
        Shape::Text,
        "",
        "Names of custom schemas whose fields are kept, one on a line or divided by semicolons; * for all.",
    ),
    Field::optional(
        "show_deleted",
        Shape::Switch,
        "true",
        "Also reads who was deleted in the last 20 days: a deletion then needs no other proof.",
    ),
    Field::optional(
        "base_url",
        Shape::Url,
        "\"https://admin.googleapis.com/\"",
        "Where the Directory API is.",
    )
    .operator_only(),
    Field::optional(
        "token_url",
        Shape::Url,
        "\"https://oauth2.googleapis.com/token\"",
        "Where access tokens are asked for.",
    )
    .operator_only(),
    Field::optional(
        "token_audience",
        Shape::Text,
        "\"https://oauth2.googleapis.com/token\"",
        "The audience (aud) of the assertion.",
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

/// How long an assertion lasts, in seconds: no longer is allowed.
const LIFETIME: i64 = 3_600;

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) customer: String,
    pub(super) domain: String,
    pub(super) units: Vec<String>,
    pub(super) units_excluded: Vec<String>,
    pub(super) user_query: String,
    pub(super) group_query: String,
    pub(super) group_emails: Vec<String>,
    pub(super) reads_suspended: bool,
    pub(super) reads_archived: bool,
    pub(super) keeps_external: bool,
    pub(super) expands_customer: bool,
    pub(super) nested: Nested,
    pub(super) shows_deleted: bool,
    pub(super) wanted: Wanted,
    pub(super) administrator: String,
}

fn text<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of a text, each on a line or divided by semicolons.
fn entries(text: &str) -> Vec<String> {
    let entries = text.split(['\n', ';']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(str::to_owned).collect()
}

impl Settings {
    pub(super) fn of(config: &Object) -> Self {
        let is = |name: &str, word: &str| text(config, name) == word;
        let list = |name: &str| entries(text(config, name));
        let own = |name: &str| text(config, name).trim().to_owned();
        Self {
            customer: own("customer"),
            domain: own("domain"),
            units: list("org_units"),
            units_excluded: list("org_units_excluded"),
            user_query: own("user_query"),
            group_query: own("group_query"),
            group_emails: list("group_emails"),
            reads_suspended: is("suspended_users", "read"),
            reads_archived: is("archived_users", "read"),
            keeps_external: is("external_members", "keep"),
            expands_customer: is("customer_members", "expand"),
            nested: Nested::of(text(config, "nested_groups")),
            shows_deleted: config.get("show_deleted") == Some(&Value::Bool(true)),
            wanted: Wanted {
                custom_schemas: list("custom_schemas"),
                web_login_is_active: is("web_login_required", "active"),
            },
            administrator: own("delegated_admin_email"),
        }
    }

    /// Whether every membership has to be known to say what one group has.
    pub(super) fn needs_all_members(&self) -> bool {
        self.nested != Nested::Keep || self.keeps_external
    }
}

pub(super) fn outbound(config: &Object, outbound: &Outbound) -> Outbound {
    match config.get("allow_private_network") {
        Some(Value::Bool(true)) => outbound.in_private_networks(),
        _ => outbound.clone(),
    }
}

pub(super) fn url(config: &Object, name: &str) -> Result<Url, SourceError> {
    Url::parse(text(config, name)).map_err(|_| SourceError::failed(format!("{name} is no URL")))
}

pub(super) fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    let wrong = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let reached = outbound(config, allowed);
    for name in ["base_url", "token_url"] {
        if let Err(message) = reached.check(text(config, name)) {
            return wrong(name, &message);
        }
        let parsed = Url::parse(text(config, name));
        if parsed.is_ok_and(|url| url.query().is_some() || url.fragment().is_some()) {
            return wrong(name, "it must end with the path; leave out what begins with ? or #.");
        }
    }
    if let Err(message) = account(config) {
        return wrong("service_account_key", &message);
    }
    let administrator = text(config, "delegated_admin_email").trim();
    if administrator.split_once('@').is_none_or(|(name, host)| name.is_empty() || host.is_empty()) {
        return wrong("delegated_admin_email", "it is no e-mail address.");
    }
    for name in ["org_units", "org_units_excluded"] {
        if entries(text(config, name)).iter().any(|path| !path.starts_with('/')) {
            return wrong(name, "the path of an organizational unit begins with /.");
        }
    }
    let settings = Settings::of(config);
    if settings.keeps_external && !(settings.domain.is_empty() && settings.user_query.is_empty()) {
        return wrong(
            "external_members",
            "\"keep\" needs all users of the account, to tell who is not one of them; leave out domain and \
             user_query (org_units and the filter of the directory can be used).",
        );
    }
    Ok(())
}

/// What the key of a service account says.
struct Account {
    email: String,
    key_id: String,
    key: PrivateKey,
}

/// The error is a sentence without any of the key.
fn account(config: &Object) -> Result<Account, String> {
    let key = text(config, "service_account_key");
    let Ok(Value::Object(members)) = serde_json::from_str(key) else {
        return Err("it is no JSON object; send the whole file of the key as one text.".to_owned());
    };
    if text(&members, "type") != "service_account" {
        return Err(
            "its \"type\" is not \"service_account\"; make a key of a service account, not of an \
                    OAuth client."
                .to_owned(),
        );
    }
    let needed = |name: &str| match text(&members, name) {
        "" => Err(format!("it has no \"{name}\".")),
        text => Ok(text.to_owned()),
    };
    let key = PrivateKey::read(&needed("private_key")?)
        .map_err(|message| format!("its \"private_key\" cannot be used: {message}"))?;
    Ok(Account { email: needed("client_email")?, key_id: needed("private_key_id")?, key })
}

/// What is signed for an access token (RFC 7523): the service account speaks for the administrator.
pub(super) fn assertion(config: &Object) -> Result<Assertion, SourceError> {
    let failed = |message: String| {
        SourceError::failed(format!("the service_account_key cannot be used: {message}"))
    };
    let Account { email, key_id, key } = account(config).map_err(failed)?;
    Ok(Assertion {
        key,
        algorithm: Algorithm::RS256,
        header: [("kid".to_owned(), key_id.into())].into_iter().collect(),
        issuer: email,
        subject: text(config, "delegated_admin_email").trim().to_owned(),
        audience: text(config, "token_audience").to_owned(),
        lifetime: LIFETIME,
    })
}
