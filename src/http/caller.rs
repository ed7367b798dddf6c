//! Who calls, and under which address they reached the server.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HOST};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ipnet::IpNet;

use super::State;
use crate::service::{AuthError, Credentials};

/// The bearer secret of the request (RFC 6750 §2.1).
pub(super) fn bearer(request: &HttpRequest) -> Result<&str, AuthError> {
    const MISSING: AuthError = AuthError::Refused(
        "This endpoint needs a bearer token: send the header Authorization: Bearer <token>.",
    );
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match header.and_then(|text| text.trim().split_once(' ')) {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("Bearer") => Ok(secret.trim()),
        _ => Err(MISSING),
    }
}

/// What a caller of SCIM presents: a bearer token, the token alone as some providers send it, or user
/// name and password.
pub(super) fn credentials(request: &HttpRequest) -> Result<Credentials<'_>, AuthError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let text = header.unwrap_or_default().trim();
    match text.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("Bearer") => {
            Ok(Credentials::Token(secret.trim()))
        }
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("Basic") => {
            let (user, password) = user_and_password(encoded).ok_or(AuthError::WrongPassword)?;
            Ok(Credentials::Password(user, password))
        }
        None if !["", "bearer", "basic"].contains(&text.to_ascii_lowercase().as_str()) => {
            Ok(Credentials::Token(text))
        }
        _ => Err(AuthError::NoCredentials),
    }
}

/// What stands behind `Basic` (RFC 7617 §2).
pub(super) fn user_and_password(encoded: &str) -> Option<(String, String)> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim().trim_end_matches('=')).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The client's address. Forwarding headers count only when every hop behind them is trusted.
pub(super) fn address(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    // A proxy may add a line of its own instead of extending the one that the client sent.
    let header = |name: &str| {
        let lines: Vec<&str> =
            request.headers().get_all(name).filter_map(|value| value.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    let peer = request.peer_addr()?.ip();
    let forwarded = (header("x-forwarded-for"), header("forwarded"));
    let forwarded = (forwarded.0.as_deref(), forwarded.1.as_deref());
    Some(client(peer, forwarded, &state.trusted_proxies))
}

/// From the nearest hop outwards, the first that is not a trusted proxy. `forwarded` are the values
/// of `X-Forwarded-For` and `Forwarded` (RFC 7239).
fn client(peer: IpAddr, forwarded: (Option<&str>, Option<&str>), trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let hops: Vec<IpAddr> = match forwarded {
        (Some(list), _) => list.split(',').filter_map(hop).collect(),
        (None, Some(list)) => list.split(',').filter_map(forwarded_for).collect(),
        (None, None) => Vec::new(),
    };
    let outermost = hops.first().copied();
    hops.iter().rev().find(|hop| !is_trusted(hop)).copied().or(outermost).unwrap_or(peer)
}

/// `for=` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| hop(value)).flatten()
    })
}

/// An address with or without port, brackets and quotes.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some(socket.ip());
    }
    text.strip_prefix('[')?.split(']').next()?.parse().ok()
}

/// The URL in front of every link: the operator's, or the request's host if it is a trusted name,
/// else where the server listens.
pub(super) fn public_url(request: &HttpRequest, state: &State) -> String {
    if let Some(url) = &state.fixed_public_url {
        return url.clone();
    }
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    match host.filter(|host| is_trusted_host(host, &state.trusted_hosts)) {
        Some(host) => format!("{}://{host}", if state.is_tls { "https" } else { "http" }),
        None => state.service.public_url.clone(),
    }
}

/// True for a trusted name, with or without a port.
fn is_trusted_host(host: &str, trusted: &[String]) -> bool {
    let is_port = |text: &str| {
        (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    trusted.iter().any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        for (peer, list, forwarded, expected) in [
            ("203.0.113.9", Some("198.51.100.1"), None, "203.0.113.9"),
            ("10.0.0.1", Some("198.51.100.1"), None, "198.51.100.1"),
            ("10.0.0.1", Some("6.6.6.6, 198.51.100.1, 10.0.0.2"), None, "198.51.100.1"),
            ("10.0.0.1", None, Some("for=198.51.100.1;proto=https"), "198.51.100.1"),
            ("10.0.0.1", None, Some("For=\"[2001:db8::1]:443\""), "2001:db8::1"),
            ("10.0.0.1", Some("garbage"), None, "10.0.0.1"),
            ("10.0.0.1", Some("10.0.0.7"), None, "10.0.0.7"),
            ("10.0.0.1", None, None, "10.0.0.1"),
        ] {
            let peer = peer.parse().expect("an address");
            let found = client(peer, (list, forwarded), &trusted);
            assert_eq!(found.to_string(), expected, "{list:?} {forwarded:?}");
        }
    }

    #[test]
    fn host_is_believed_only_by_name() {
        let trusted = ["scim.example.com".to_owned()];
        for (host, expected) in [
            ("scim.example.com", true),
            ("SCIM.example.com:8443", true),
            ("evil.example.com", false),
            ("scim.example.com.evil.com", false),
            ("scim.example.com:@evil.com", false),
            ("", false),
        ] {
            assert_eq!(is_trusted_host(host, &trusted), expected, "{host}");
        }
    }
}
