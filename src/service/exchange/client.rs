//! Which client a `User-Agent` speaks of.

/// Words of a `User-Agent` in lower case and the client that they mean; the first that stands in it
/// counts.
const CLIENTS: [(&str, &str); 22] = [
    ("okta", "okta"),
    ("onelogin", "onelogin"),
    ("azure", "entra"),
    ("entra", "entra"),
    ("microsoft", "entra"),
    ("jumpcloud", "jumpcloud"),
    ("pingfederate", "pingfederate"),
    ("pingone", "pingone"),
    ("google", "google"),
    ("rippling", "rippling"),
    ("cyberark", "cyberark"),
    ("idaptive", "cyberark"),
    ("oracle", "oracle"),
    ("keycloak", "keycloak"),
    ("authentik", "authentik"),
    ("postman", "postman"),
    ("curl", "curl"),
    ("python", "python"),
    ("go-http-client", "go"),
    ("okhttp", "java"),
    ("java", "java"),
    ("apache-httpclient", "java"),
];

/// The client as a word: of a provider, of a tool, `other`, or `none` without a `User-Agent`, as
/// OneLogin sends it.
pub(super) fn client_of(user_agent: &str) -> &'static str {
    let text = user_agent.trim().to_ascii_lowercase();
    if text.is_empty() {
        return "none";
    }
    CLIENTS.iter().find(|(word, _)| text.contains(word)).map_or("other", |(_, client)| client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_and_their_clients() {
        for (user_agent, client) in [
            ("Okta SCIM Client 1.0.0", "okta"),
            ("Microsoft.Azure.SyncFabric", "entra"),
            ("curl/8.5.0", "curl"),
            ("goauthentik.io/outpost/2026.2", "authentik"),
            ("python-requests/2.32", "python"),
            ("Something else", "other"),
            ("", "none"),
            ("  ", "none"),
        ] {
            assert_eq!(client_of(user_agent), client, "{user_agent}");
        }
    }
}
