//! OAuth 2.0: the clients of a directory and the access tokens that they get (RFC 6749 §4.4, RFC
//! 7523), and what signed tokens, ours and those that Entra issues, open over SCIM.
//!
//! [`grant`] is the token endpoint, [`assertion`] checks what a client has signed, [`access`] lets
//! callers in, [`entra`] says which tokens of a tenant count, [`keys`] fetches that tenant's keys.

mod access;
mod assertion;
mod entra;
mod grant;
mod keys;

pub use access::TokenFault;
pub use entra::EntraToken;
pub use grant::{ClientProof, GrantError, Granted, Refusal, TokenRequest};
pub use keys::TenantKeys;

use super::authenticate::TokenScope;

/// Where clients fetch tokens, below the public URL.
pub const TOKEN_PATH: &str = "/oauth/token";

/// Words of scope: `read` and `write` as everywhere, `scim` for all that the client may do.
pub const SCOPES: [&str; 3] = ["scim", "read", "write"];

/// What the words of a token's scope allow a client with that scope.
fn effective(words: &str, client: TokenScope) -> TokenScope {
    let writes = words.split(' ').any(|word| matches!(word, "scim" | "write"));
    if writes { client } else { TokenScope::Read }
}
