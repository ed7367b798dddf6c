//! The one client for addresses that somebody configured: webhooks, key sets, pulled directories.
//!
//! What an address resolves to is checked, and the connection goes to what was checked: a name that
//! changes its mind in between gains nothing. No redirects, no proxy from the environment, bounded
//! time and size. Private networks are reached only where the operator allows them, and only there
//! is plain `http` spoken.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::header::{HeaderName, HeaderValue};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

/// Longest time of one request, from the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);

/// Largest headers of an answer, in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Why a request was not made, or came to nothing.
#[derive(Debug)]
pub enum OutboundError {
    /// The address must not be called.
    Forbidden(String),
    /// Nobody who is trusted vouches for the other side, or not for its name. It will be so the next time.
    Untrusted(String),
    /// The other side could not be reached, or answered with something else than was asked for.
    Failed(String),
}

impl std::fmt::Display for OutboundError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forbidden(reason) => write!(f, "the address must not be called: {reason}"),
            Self::Untrusted(reason) | Self::Failed(reason) => {
                write!(f, "the request failed: {reason}")
            }
        }
    }
}

impl std::error::Error for OutboundError {}

impl From<Error> for OutboundError {
    fn from(error: Error) -> Self {
        match error {
            Error::Other(other) if other.is::<Forbidden>() => Self::Forbidden(other.to_string()),
            Error::BadUri(reason) => Self::Forbidden(reason),
            Error::Io(broken) if is_untrusted(&broken) => Self::Untrusted(broken.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Whether a handshake has ended because of the certificate.
fn is_untrusted(broken: &std::io::Error) -> bool {
    let tls = broken.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

/// Makes requests. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    allowed: Arc<[IpNet]>,
    /// Who vouches for servers.
    roots: RootCerts,
    agent: Agent,
}

/// Makes several requests to one address, one after another, over one connection.
#[derive(Clone)]
pub struct Session {
    agent: Agent,
}

/// An answer, of whatever status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub status: u16,
    /// Seconds, where `Retry-After` says so.
    pub retry_after: Option<i64>,
    /// The first bytes of the body.
    pub body: Vec<u8>,
}

/// An answer that arrived to its end, of whatever status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    /// Names in lower case; a name may stand there several times.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

const NOT_ALLOWED: &str = "it is in a network that is not public, which the operator has not allowed \
                           (ROLLBOOK_OUTBOUND_NETWORKS).";

/// Whether what is spoken over a connection is encrypted before anything secret is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Tls,
    Plain,
}

impl Line {
    /// The scheme of HTTP for which the same is allowed.
    fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "https",
            Self::Plain => "http",
        }
    }
}

/// How long a kept connection is used: what its name was checked for may change.
const IDLE: Duration = Duration::from_secs(2);

/// Longest time until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);

impl Outbound {
    /// `allowed` are the networks that are reached although they are not public.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self::with(Arc::from(allowed), RootCerts::WebPki)
    }

    fn with(allowed: Arc<[IpNet]>, roots: RootCerts) -> Self {
        // A kept connection would outlive what its name was checked for.
        let agent = agent(&allowed, &roots, DEADLINE, 0);
        Self { allowed, roots, agent }
    }

    /// The same where the certificates of `pem` vouch for servers, in place of the public authorities.
    /// Refuses what holds no certificate, or one that nobody can go by, with a sentence.
    pub fn trusting(&self, pem: &str) -> Result<Self, String> {
        let (mut checked, mut certificates) = (RootCertStore::empty(), Vec::new());
        for found in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let found = found.map_err(|error| format!("it is no PEM: {error}."))?;
            certificates.push(Certificate::from_der(&found).to_owned());
            checked.add(found).map_err(|error| format!("it cannot be used: {error}."))?;
        }
        match certificates.is_empty() {
            true => Err("it holds no certificate.".to_owned()),
            false => Ok(Self::with(Arc::clone(&self.allowed), certificates.into())),
        }
    }

    /// The body of a 200, at most `limit` bytes of it; more is a failure. Blocks the thread.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, OutboundError> {
        let mut response = self.agent.get(url).call()?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(OutboundError::Failed(format!("the answer was {status}")));
        }
        Ok(response.body_mut().with_config().limit(limit).read_to_vec()?)
    }

    /// Requests that follow each other closely; each may take `deadline` from the name to the last byte.
    pub fn session(&self, deadline: Duration) -> Session {
        Session { agent: agent(&self.allowed, &self.roots, deadline, 1) }
    }

    /// The same where the private networks of a company are reached as well: a directory stands in one.
    /// What answers for the machine itself at cloud providers (169.254.0.0/16) is not among them.
    pub fn in_private_networks(&self) -> Self {
        let all = self.allowed.iter().copied().chain(PRIVATE).collect();
        Self::with(all, self.roots.clone())
    }

    /// A connection for what is no HTTP, to an address that may be called. Blocks the thread.
    pub fn connect(&self, host: &str, port: u16, line: Line) -> Result<TcpStream, OutboundError> {
        let uri: Uri = format!("{}://{host}:{port}/", line.scheme())
            .parse()
            .map_err(|_| OutboundError::Forbidden(format!("{host} is no host name")))?;
        let resolver =
            Checked { allowed: Arc::clone(&self.allowed), names: DefaultResolver::default() };
        let within = NextTimeout { after: CONNECT.into(), ..NextTimeout::default() };
        let addresses = resolver.resolve(&uri, self.agent.config(), within)?;
        let mut last = format!("{host} has no address");
        for address in addresses.iter() {
            match TcpStream::connect_timeout(address, CONNECT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.to_string(),
            }
        }
        Err(OutboundError::Failed(last))
    }

    /// Whether a host may be called, as far as it can be told without asking for its name; the sentence
    /// says what is wrong with it.
    pub fn check_host(&self, host: &str, line: Line) -> Result<(), String> {
        match (self.may_be_called(host, line.scheme()), line) {
            (true, _) => Ok(()),
            (false, Line::Plain) => Err("without TLS only networks are called that the operator \
                                         allows (ROLLBOOK_OUTBOUND_NETWORKS)."
                .to_owned()),
            (false, Line::Tls) => Err(NOT_ALLOWED.to_owned()),
        }
    }

    fn may_be_called(&self, host: &str, scheme: &str) -> bool {
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match literal {
            Some(ip) => may_call(scheme, &SocketAddr::new(ip, 0), &self.allowed),
            None => scheme == "https" || !self.allowed.is_empty(),
        }
    }

    /// Whether the address may be called, as far as it can be told without asking for its name; the
    /// sentence says what is wrong with it.
    pub fn check(&self, url: &str) -> Result<(), String> {
        let uri: Uri =
            url.parse().map_err(|_| "it is no URL such as https://app.example.com/hooks.")?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err("it must begin with https://.".to_owned());
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err("it has no host name.".to_owned());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("it must not hold a user name or password.".to_owned());
        }
        match self.may_be_called(host, scheme) {
            true => Ok(()),
            false if scheme == "http" => Err("plain http is spoken only in networks that the \
                                              operator allows (ROLLBOOK_OUTBOUND_NETWORKS); use https."
                .to_owned()),
            false => Err(NOT_ALLOWED.to_owned()),
        }
    }
}

impl Session {
    /// Sends a body and gives the answer with at most `limit` bytes of its body. Blocks the thread.
    pub fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: &str,
        limit: u64,
    ) -> Result<Posted, OutboundError> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send(body)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        // The status counts, also when what follows it is cut off.
        let _ = response.body_mut().as_reader().take(limit).read_to_end(&mut body);
        Ok(Posted { status, retry_after, body })
    }
}

impl Session {
    /// Asks, or sends a body by POST, and gives the whole answer; a body that breaks off or is larger than
    /// `limit` bytes is a failure. Blocks the thread.
    pub fn fetch(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Option<&[u8]>,
        limit: u64,
    ) -> Result<Fetched, OutboundError> {
        let mut response = match body {
            None => with_headers(self.agent.get(url), headers).call()?,
            Some(body) => with_headers(self.agent.post(url), headers).send(body)?,
        };
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.trim().to_owned()))
        };
        let headers = response.headers().iter().filter_map(text).collect();
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(limit).read_to_vec()?;
        Ok(Fetched { status, headers, body })
    }
}

fn with_headers<B>(
    request: ureq::RequestBuilder<B>,
    headers: &[(String, String)],
) -> ureq::RequestBuilder<B> {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

fn agent(allowed: &Arc<[IpNet]>, roots: &RootCerts, deadline: Duration, idle: usize) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
        .timeout_connect(Some(CONNECT.min(deadline)))
        .timeout_global(Some(deadline))
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .max_idle_age(IDLE)
        .user_agent(concat!("rollbook/", env!("CARGO_PKG_VERSION")))
        .build();
    let resolver = Checked { allowed: Arc::clone(allowed), names: DefaultResolver::default() };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// An address that must not be called.
#[derive(Debug)]
struct Forbidden(String);

impl std::fmt::Display for Forbidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Forbidden {}

/// Resolves names to addresses that may be called. The connection is made to these.
#[derive(Debug)]
struct Checked {
    allowed: Arc<[IpNet]>,
    names: DefaultResolver,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let forbidden = |reason: String| Error::Other(Box::new(Forbidden(reason)));
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err(forbidden(format!("\"{scheme}\" is not http or https")));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(forbidden("it holds a user name".into()));
        }
        let mut checked = self.empty();
        let found = self.names.resolve(uri, config, timeout)?;
        for address in found.iter().filter(|address| may_call(scheme, address, &self.allowed)) {
            checked.push(*address);
        }
        if checked.is_empty() {
            let host = uri.host().unwrap_or_default();
            let reason = match scheme {
                "http" => format!("{host} is not in a network that may be called without TLS"),
                _ => format!("{host} is in a network that is not public"),
            };
            return Err(forbidden(reason));
        }
        Ok(checked)
    }
}

/// Public addresses are called over TLS; others, and plain HTTP, need the operator's word.
fn may_call(scheme: &str, address: &SocketAddr, allowed: &[IpNet]) -> bool {
    let ip = plain(address.ip());
    allowed.iter().any(|net| net.contains(&ip)) || (scheme == "https" && is_public(ip))
}

/// An IPv4 address that is written as one of IPv6 is that IPv4 address.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(a: u16, b: u16, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix))
}

/// Networks that are not the internet, or that lead to another network behind a gateway (IANA special
/// purpose registries for IPv4 and IPv6).
const NOT_PUBLIC: [IpNet; 26] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    // Unspecified, loopback, and IPv4 in its old clothes.
    v6(0, 0, 32),
    // Translation to IPv4, public and local.
    v6(0x64, 0xff9b, 32),
    v6(0x100, 0, 64),
    // Teredo, benchmarking, documentation, 6to4.
    v6(0x2001, 0, 23),
    v6(0x2001, 0xdb8, 32),
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
    v6(0x5f00, 0, 16),
    v6(0xfc00, 0, 7),
    v6(0xfe80, 0, 9),
    v6(0xff00, 0, 8),
];

/// Networks inside companies, and the machine itself.
const PRIVATE: [IpNet; 7] = [
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v6(0xfc00, 0, 7),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

fn is_public(ip: IpAddr) -> bool {
    !NOT_PUBLIC.iter().any(|net| net.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().expect("an address"), 443)
    }

    #[test]
    fn only_the_internet_is_called() {
        for (ip, called) in [
            ("203.0.114.1", true),
            ("8.8.8.8", true),
            ("2606:4700::1111", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("10.1.2.3", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("::", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b:1::a00:1", false),
            ("2002:a00:1::", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(may_call("https", &socket(ip), &[]), called, "{ip}");
            assert!(!may_call("http", &socket(ip), &[]), "{ip}");
        }
    }

    #[test]
    fn the_operator_may_allow_a_network() {
        let allowed: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        for scheme in ["http", "https"] {
            assert!(may_call(scheme, &socket("10.1.2.3"), &allowed));
            assert!(may_call(scheme, &socket("::ffff:10.1.2.3"), &allowed));
            assert!(!may_call(scheme, &socket("192.168.1.1"), &allowed));
        }
        assert!(!may_call("http", &socket("8.8.8.8"), &allowed));
    }

    #[test]
    fn private_networks_are_without_the_address_of_cloud_machines() {
        let private = Outbound::new(Vec::new()).in_private_networks();
        for (url, is_let) in [
            ("http://10.1.2.3/", true),
            ("https://[::1]/", true),
            ("http://169.254.169.254/", false),
            ("https://[fe80::1]/", false),
            ("http://8.8.8.8/", false),
        ] {
            assert_eq!(private.check(url).is_ok(), is_let, "{url}");
        }
    }

    #[test]
    fn address_that_may_never_be_called_is_refused_before_it_is_stored() {
        let public = Outbound::new(Vec::new());
        let private = Outbound::new(vec!["10.0.0.0/8".parse().expect("a network")]);
        for (url, in_public, in_private) in [
            ("https://app.example.com/hooks?x=1", true, true),
            ("https://8.8.8.8:8443/", true, true),
            ("https://10.1.2.3/", false, true),
            ("https://[::1]/", false, false),
            ("https://127.0.0.1/", false, false),
            ("http://app.example.com/", false, true),
            ("http://10.1.2.3/", false, true),
            ("http://8.8.8.8/", false, false),
            ("https://user@app.example.com/", false, false),
            ("ftp://app.example.com/", false, false),
            ("https://", false, false),
            ("https:///hooks", false, false),
            ("/hooks", false, false),
            ("", false, false),
            ("not a url", false, false),
        ] {
            assert_eq!(public.check(url).is_ok(), in_public, "{url}");
            assert_eq!(private.check(url).is_ok(), in_private, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_the_internet_is_forbidden_before_anything_is_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("not blocking");
        let port = listener.local_addr().expect("an address").port();
        let outbound = Outbound::new(Vec::new());
        for url in [
            format!("http://127.0.0.1:{port}/"),
            format!("https://127.0.0.1:{port}/"),
            format!("http://localhost:{port}/"),
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            format!("http://2130706433:{port}/"),
            format!("http://user:secret@127.0.0.1:{port}/"),
            "file:///etc/passwd".to_owned(),
            "/relative".to_owned(),
        ] {
            assert!(outbound.get(&url, 100).is_err(), "{url}");
        }
        assert!(listener.accept().is_err(), "nothing was called");
    }
}
