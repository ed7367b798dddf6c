//! Which identity provider's client talks: what a request gives away, and how sure that is.
//!
//! No single sign is proof: a header can be made up, and shapes are shared. So the answer says what it
//! rests on, nothing is switched because of it, and a request without a sign is nobody's.

use serde_json::Value;

use crate::scim::Object;

/// How sure a detection is. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// One habit that others may have too.
    Weak,
    /// Several habits, or one that only this provider is known for.
    Likely,
    /// A name that the provider gives itself.
    Certain,
}

impl Confidence {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }

    pub fn number(self) -> i32 {
        match self {
            Self::Weak => 1,
            Self::Likely => 2,
            Self::Certain => 3,
        }
    }

    pub fn from_number(number: i32) -> Self {
        match number {
            3 => Self::Certain,
            2 => Self::Likely,
            _ => Self::Weak,
        }
    }
}

/// The client that a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// One of [`super::PROVIDERS`].
    pub provider: &'static str,
    pub confidence: Confidence,
    /// What was seen, in words for people; from a fixed set, so nothing of the request is in it.
    pub evidence: Vec<&'static str>,
}

/// What of a request is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signs<'r> {
    pub method: &'r str,
    /// The query string as it came: `Some("")` for a path that ends in `?`.
    pub query: Option<&'r str>,
    /// The parameters of that name, decoded.
    pub filter: Option<&'r str>,
    pub count: Option<&'r str>,
    pub user_agent: Option<&'r str>,
    /// Whether there is a header `Adscimversion`.
    pub adscimversion: bool,
    pub body: Option<&'r Object>,
}

type Sign = (&'static str, Confidence, &'static str);

use Confidence::{Certain, Likely, Weak};

/// The client that the signs speak for; `None` when there are none, or when they speak for several
/// alike. Sources: Microsoft's SCIM tutorial and its compatibility page, Okta's SCIM reference and
/// captured traffic, a captured OneLogin trace, authentik's and the Keycloak plug-ins' source code,
/// PingFederate's connector guide.
pub fn of_request(signs: &Signs<'_>) -> Option<Detection> {
    let mut found: Vec<Sign> = Vec::new();
    found.extend(user_agent(signs.user_agent));
    found.extend(query(signs));
    found.extend(signs.filter.and_then(filter));
    found.extend(signs.body.map(body).unwrap_or_default());
    if signs.adscimversion {
        found.push(("entra", Certain, "header Adscimversion"));
    }
    let strength = |provider: &str| {
        let signs = found.iter().filter(|(known, ..)| *known == provider);
        let strongest = signs.clone().map(|sign| sign.1).max();
        // Two habits together are rarely somebody else's.
        if signs.count() > 1 { strongest.max(Some(Likely)) } else { strongest }
    };
    let (confidence, provider) =
        found.iter().filter_map(|(name, ..)| Some((strength(name)?, *name))).max()?;
    let tied =
        found.iter().any(|(name, ..)| *name != provider && strength(name) == Some(confidence));
    if tied {
        return None;
    }
    let evidence = found.iter().filter(|(name, ..)| *name == provider).map(|sign| sign.2);
    Some(Detection { provider, confidence, evidence: evidence.collect() })
}

/// True when a directory made for `expected` may be used by that client.
pub fn matches(expected: &str, detected: &str) -> bool {
    matches!(expected, "generic" | "default" | "rfc" | "strict") || expected == detected
}

/// The text that the provider's client puts into `User-Agent`, in lower case.
const AGENTS: [(&str, Sign); 11] = [
    ("okta scim client", ("okta", Certain, "User-Agent \"Okta SCIM Client\"")),
    ("google-auto-provisioning", ("google", Certain, "User-Agent \"Google-Auto-Provisioning\"")),
    ("authentik@", ("authentik", Certain, "User-Agent \"authentik@…\"")),
    ("keycloak", ("keycloak", Likely, "User-Agent names Keycloak")),
    ("jumpcloud", ("jumpcloud", Likely, "User-Agent names JumpCloud")),
    ("onelogin", ("onelogin", Likely, "User-Agent names OneLogin")),
    ("pingfederate", ("pingfederate", Likely, "User-Agent names PingFederate")),
    ("pingone", ("pingone", Likely, "User-Agent names PingOne")),
    ("rippling", ("rippling", Likely, "User-Agent names Rippling")),
    ("cyberark", ("cyberark", Likely, "User-Agent names CyberArk")),
    ("oracle", ("oracle", Likely, "User-Agent names Oracle")),
];

fn user_agent(text: Option<&str>) -> Option<Sign> {
    let text = text?.to_ascii_lowercase();
    AGENTS.iter().find(|(name, _)| text.contains(name)).map(|(_, sign)| *sign)
}

fn query(signs: &Signs<'_>) -> Vec<Sign> {
    let mut found = Vec::new();
    let Some(query) = signs.query else { return found };
    let has = |name: &str| {
        query.split('&').any(|piece| {
            let known = piece.split('=').next().unwrap_or_default();
            known.eq_ignore_ascii_case(name)
        })
    };
    if has("aadOptscim062020") || has("AzureAdScimPatch2017") {
        found.push(("entra", Certain, "parameter aadOptscim062020 or AzureAdScimPatch2017"));
    }
    let nameless = signs.user_agent.is_none_or(|agent| agent.trim().is_empty());
    if nameless && query.ends_with('&') {
        found.push(("onelogin", Likely, "query ends in & and there is no User-Agent"));
    }
    if nameless && query.is_empty() && matches!(signs.method, "PUT" | "PATCH") {
        found.push(("onelogin", Weak, "path ends in ? and there is no User-Agent"));
    }
    if query == "startIndex=1&count=2" {
        found.push(("okta", Weak, "asks for the first two users, as the connection test does"));
    }
    if signs.count.is_some_and(|count| count.trim() == "-1") {
        found.push(("pingfederate", Weak, "count=-1 for the largest page"));
    }
    found
}

fn filter(text: &str) -> Option<Sign> {
    let (attribute, rest) = text.trim().split_once(char::is_whitespace)?;
    let (operator, value) = rest.trim_start().split_once(char::is_whitespace)?;
    let value = value.trim();
    if !operator.eq_ignore_ascii_case("eq") {
        return None;
    }
    let is_word = value.starts_with(char::is_alphabetic);
    if is_word && !["true", "false", "null"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return Some(("authentik", Weak, "filter with a value without quotes"));
    }
    if is_guid(value.trim_matches('"')) && !attribute.eq_ignore_ascii_case("id") {
        return Some(("entra", Weak, "looks for a GUID, as the connection test does"));
    }
    if attribute.eq_ignore_ascii_case("emails") {
        return Some(("pingfederate", Weak, "filter on emails as a whole"));
    }
    None
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_guid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

const ENTRA_GROUP: &str =
    "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";

fn body(body: &Object) -> Vec<Sign> {
    let mut found = Vec::new();
    let member = |name: &str| {
        body.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let list = |name: &str| member(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let schemas = || list("schemas").iter().filter_map(Value::as_str);
    if schemas().any(|urn| urn.eq_ignore_ascii_case(ENTRA_GROUP)) {
        found.push(("entra", Certain, "schema of Microsoft's own for groups"));
    }
    if schemas().any(|urn| {
        urn.to_ascii_lowercase().starts_with("urn:scim:schemas:") && urn.contains(":2.0")
    }) {
        found.push(("onelogin", Likely, "schemas urn:scim:schemas:…:2.0"));
    }
    if schemas().any(|urn| urn.to_ascii_lowercase().contains(":gsuite:")) {
        found.push(("google", Likely, "schema of Google Workspace"));
    }
    if member("externalId").and_then(Value::as_str).is_some_and(is_okta_id) {
        found.push(("okta", Likely, "externalId of the form 00u…"));
    }
    if list("groups").is_empty() && member("groups").is_some() && member("password").is_some() {
        found.push(("okta", Weak, "groups: [] with a password"));
    }
    let relative = |member: &Value| {
        let reference = member.get("$ref").and_then(Value::as_str);
        reference.is_some_and(|text| text.starts_with("Users/"))
    };
    if list("members").iter().any(relative) {
        found.push(("keycloak", Likely, "members with $ref: \"Users/…\""));
    }
    found.extend(operations(list("Operations")));
    found
}

/// `00u` and 17 letters and digits: an Okta user.
fn is_okta_id(text: &str) -> bool {
    text.len() == 20
        && text.starts_with("00u")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn operations(operations: &[Value]) -> Vec<Sign> {
    let mut found = Vec::new();
    let text = |operation: &Value, name: &str| {
        operation.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let any = |name: &str, words: &[&str]| {
        let values = operations.iter().filter_map(|operation| text(operation, name));
        values.into_iter().any(|value| words.contains(&value.as_str()))
    };
    if any("op", &["Add", "Replace", "Remove"]) {
        found.push(("entra", Likely, "operations in capitals: Add, Replace, Remove"));
    }
    if any("value", &["True", "False"]) {
        found.push(("entra", Weak, "booleans as text: True, False"));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::PROVIDERS;
    use super::*;

    fn agent(text: &str) -> Signs<'_> {
        Signs { method: "GET", user_agent: Some(text), ..Signs::default() }
    }

    fn asked(query: &'static str, filter: Option<&'static str>) -> Signs<'static> {
        Signs { query: Some(query), filter, ..agent("x") }
    }

    #[track_caller]
    fn assert_detected(signs: &Signs<'_>, expected: Option<(&str, Confidence)>) {
        let found = of_request(signs);
        let short = found.as_ref().map(|found| (found.provider, found.confidence));
        assert_eq!(short, expected, "{signs:?} {found:?}");
        if let Some(found) = found {
            assert!(!found.evidence.is_empty() && PROVIDERS.contains(&found.provider));
        }
    }

    #[test]
    fn names_that_clients_give_themselves() {
        for (text, expected) in [
            ("Okta SCIM Client 1.0.0", Some(("okta", Certain))),
            ("okta scim client 2", Some(("okta", Certain))),
            ("Google-Auto-Provisioning", Some(("google", Certain))),
            ("authentik@2026.8.1", Some(("authentik", Certain))),
            ("Keycloak/26", Some(("keycloak", Likely))),
            ("JumpCloud SCIM", Some(("jumpcloud", Likely))),
            ("python-requests/2.32", None),
            ("curl/8.9", None),
            ("okta", None),
            ("", None),
        ] {
            assert_detected(&agent(text), expected);
        }
    }

    #[test]
    fn queries_and_headers() {
        let nameless = |method, query| Signs { method, query: Some(query), ..Signs::default() };
        for (signs, expected) in [
            (asked("aadOptscim062020&count=1", None), Some(("entra", Certain))),
            (asked("count=1&AADOPTSCIM062020=", None), Some(("entra", Certain))),
            (Signs { adscimversion: true, ..agent("") }, Some(("entra", Certain))),
            (nameless("GET", "filter=userName+eq+%22a%22&"), Some(("onelogin", Likely))),
            (asked("filter=userName+eq+%22a%22&", None), None),
            (nameless("PUT", ""), Some(("onelogin", Weak))),
            (nameless("GET", ""), None),
            (nameless("GET", "count=1"), None),
            (asked("startIndex=1&count=2", None), Some(("okta", Weak))),
            (Signs { count: Some("-1"), ..asked("count=-1", None) }, Some(("pingfederate", Weak))),
        ] {
            assert_detected(&signs, expected);
        }
    }

    #[test]
    fn filters() {
        for (filter, expected) in [
            ("userName eq ada", Some(("authentik", Weak))),
            ("userName eq \"ada\"", None),
            ("active eq true", None),
            ("meta.version eq 7", None),
            ("userName eq \"6f1f3b9e-2c51-4f0e-9d0a-0f2b9f3c4d5e\"", Some(("entra", Weak))),
            ("id eq \"6f1f3b9e-2c51-4f0e-9d0a-0f2b9f3c4d5e\"", None),
            ("emails eq \"ada@example.com\"", Some(("pingfederate", Weak))),
            ("emails co \"a\"", None),
            ("userName pr", None),
            ("eq", None),
            ("", None),
        ] {
            assert_detected(&asked("filter=…", Some(filter)), expected);
        }
        let both = Signs { count: Some("-1"), ..asked("count=-1", Some("emails eq \"a\"")) };
        assert_detected(&both, Some(("pingfederate", Likely)));
    }

    #[test]
    fn bodies() {
        for (value, expected) in [
            (json!({"schemas": [ENTRA_GROUP]}), Some(("entra", Certain))),
            (json!({"Operations": [{"op": "Add"}]}), Some(("entra", Likely))),
            (json!({"operations": [{"op": "Replace", "value": "False"}]}), Some(("entra", Likely))),
            (json!({"Operations": [{"op": "add", "value": "true"}]}), None),
            (json!({"schemas": ["urn:scim:schemas:core:2.0"]}), Some(("onelogin", Likely))),
            (json!({"schemas": ["urn:scim:schemas:core:1.0"]}), None),
            (json!({"externalId": "00u1a2b3c4d5e6f7g8h9"}), Some(("okta", Likely))),
            (json!({"externalId": "00u"}), None),
            (json!({"groups": [], "password": "x"}), Some(("okta", Weak))),
            (json!({"groups": []}), None),
            (json!({"members": [{"$ref": "Users/1"}]}), Some(("keycloak", Likely))),
            (json!({"members": [{"value": "1"}]}), None),
            // As sure of one as of the other.
            (
                json!({"schemas": ["urn:scim:schemas:core:2.0"], "externalId": "00u1a2b3c4d5e6f7g8h9"}),
                None,
            ),
            // Shapes that make no sense.
            (json!({"schemas": 7, "Operations": {}, "members": [1, null], "externalId": []}), None),
            (json!({}), None),
        ] {
            let object = value.as_object().cloned().expect("an object");
            assert_detected(&Signs { body: Some(&object), ..agent("x") }, expected);
        }
    }

    #[test]
    fn stronger_sign_wins_and_its_evidence_is_told() {
        let object = json!({"Operations": [{"op": "Add"}]}).as_object().cloned().expect("one");
        let signs = Signs { body: Some(&object), ..agent("Okta SCIM Client 1.0.0") };
        let found = of_request(&signs).expect("a client");
        assert_eq!((found.provider, found.confidence), ("okta", Certain));
        assert_eq!(found.evidence, ["User-Agent \"Okta SCIM Client\""]);
    }

    #[test]
    fn generic_directories_are_anybody_s() {
        for (expected, detected, fits) in [
            ("generic", "okta", true),
            ("strict", "entra", true),
            ("okta", "okta", true),
            ("okta", "entra", false),
            ("pingone", "pingfederate", false),
        ] {
            assert_eq!(matches(expected, detected), fits, "{expected} {detected}");
        }
    }
}
