//! Who calls, and under which address they reached the server.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HOST};

use super::State;
use crate::service::AuthError;

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

/// The client's address. Forwarding headers count only when every hop behind them is trusted.
pub(super) fn address(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let trusted = |address: &IpAddr| state.trusted_proxies.iter().any(|net| net.contains(address));
    if !trusted(&peer) {
        return Some(peer);
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let hops: Vec<IpAddr> = match (header("x-forwarded-for"), header("forwarded")) {
        (Some(list), _) => list.split(',').filter_map(parse_hop).collect(),
        (None, Some(list)) => list
            .split(',')
            .filter_map(|hop| {
                hop.split(';').find_map(|pair| {
                    let (name, value) = pair.trim().split_once('=')?;
                    name.eq_ignore_ascii_case("for").then(|| parse_hop(value)).flatten()
                })
            })
            .collect(),
        (None, None) => Vec::new(),
    };
    // From the nearest hop outwards, the first that is not a proxy of ours is the client.
    hops.iter()
        .rev()
        .find(|hop| !trusted(hop))
        .copied()
        .or_else(|| hops.first().copied())
        .or(Some(peer))
}

fn parse_hop(text: &str) -> Option<IpAddr> {
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
    let host = host.filter(|host| {
        let name = host.rsplit_once(':').map_or(*host, |(name, _)| name);
        state
            .trusted_hosts
            .iter()
            .any(|t| t.eq_ignore_ascii_case(name) || t.eq_ignore_ascii_case(host))
    });
    match host {
        Some(host) => {
            let scheme = if state.is_tls { "https" } else { "http" };
            format!("{scheme}://{host}")
        }
        None => state.service.public_url.clone(),
    }
}
