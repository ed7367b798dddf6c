//! The line to a server: where it may lead, how long an operation on it may take, and TLS on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use url::Url;

use crate::clock::Stopwatch;
use crate::outbound::{Line, Outbound};
use crate::pull::{SourceError, Surroundings};

/// How long a socket waits before it looks whether the read is to end.
const LOOK: Duration = Duration::from_millis(200);

/// How a connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    Ldaps,
    StartTls,
    /// Not at all.
    Plain,
}

impl Security {
    /// By the words of a configuration.
    pub fn named(word: &str) -> Self {
        match word {
            "none" => Self::Plain,
            "starttls" => Self::StartTls,
            _ => Self::Ldaps,
        }
    }

    pub fn line(self) -> Line {
        match self {
            Self::Plain => Line::Plain,
            Self::Ldaps | Self::StartTls => Line::Tls,
        }
    }
}

/// What is wrong with the address of a server, as a sentence.
pub fn check_url(url: &str, security: Security, outbound: &Outbound) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|_| "it is no URL such as ldaps://ldap.example.com.")?;
    let wanted = if security == Security::Ldaps { "ldaps" } else { "ldap" };
    if parsed.scheme() != wanted {
        return Err(format!("it must begin with {wanted}://, as \"tls\" says."));
    }
    let host = parsed.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err("it has no host name.".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("it must not hold a user name or password.".to_owned());
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some()
    {
        return Err("it must end with the host name or the port.".to_owned());
    }
    outbound.check_host(host, security.line())?;
    Ok(parsed)
}

/// A socket on which an operation ends with its time. However little a server sends at once, and however
/// often TLS asks for the rest of a record, no operation has more.
pub(super) struct Socket {
    stream: TcpStream,
    timeout: Duration,
    watch: Stopwatch,
    /// Time since then that was not the server's.
    excused: Duration,
    surroundings: Surroundings,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        timeout: Duration,
        surroundings: Surroundings,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
        let (watch, excused) = (Stopwatch::start(), Duration::ZERO);
        Ok(Self { stream, timeout, watch, excused, surroundings })
    }

    fn again(&self) -> io::Result<Self> {
        let (stream, surroundings) = (self.stream.try_clone()?, self.surroundings.clone());
        Ok(Self { stream, surroundings, ..*self })
    }

    fn in_time(&self, mut act: impl FnMut(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            self.surroundings.term.check().map_err(Ended::because)?;
            if self.watch.elapsed().saturating_sub(self.excused) > self.timeout {
                let seconds = self.timeout.as_secs();
                let message = format!("the server has not answered within {seconds} seconds");
                return Err(Ended::because(SourceError::failed(message)));
            }
            match act(&self.stream) {
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.in_time(|mut stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.in_time(|mut stream| stream.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Why a socket ends an operation, on its way through TLS.
#[derive(Debug)]
struct Ended(SourceError);

impl Ended {
    fn because(error: SourceError) -> io::Error {
        io::Error::other(Self(error))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Ended {}

/// What the end of a connection means for the read; `doing` says what fails.
pub(super) fn broken(doing: &str, error: &io::Error) -> SourceError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Ended>()) {
        Some(Ended(reason)) => reason.clone(),
        None => SourceError::failed(format!("{doing}: {error}")),
    }
}

/// Why there is no session with a server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A moment later there may be one: the server cannot be reached, breaks off or is busy.
    Passing(String),
    Other(SourceError),
}

impl Trouble {
    /// A failure that a moment may end.
    pub(super) fn passing(error: SourceError) -> Self {
        match error {
            SourceError::Failed { message, .. } => Self::Passing(message),
            other => Self::Other(other),
        }
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Other(error)
    }
}

/// A connection, secured or not.
pub(super) enum Stream {
    Plain(Box<Socket>),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// An operation begins.
    pub(super) fn begin(&mut self) {
        let socket = self.socket();
        (socket.watch, socket.excused) = (Stopwatch::start(), Duration::ZERO);
    }

    /// So much time of the operation has gone into what the server has sent, which nobody else has waited for.
    pub(super) fn excuse(&mut self, time: Duration) {
        let socket = self.socket();
        socket.excused = socket.excused.saturating_add(time);
    }

    /// Shakes hands. The name is that of the certificate.
    pub(super) fn secure(&mut self, name: &str, ca_pem: Option<&str>) -> Result<(), Trouble> {
        let Self::Plain(socket) = self else { return Ok(()) };
        let fails = |error: &io::Error| broken("the TLS handshake fails", error);
        let mut socket = socket.again().map_err(|error| Trouble::passing(fails(&error)))?;
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
            .map_err(|_| SourceError::failed(format!("no certificate can have the name {name}")))?;
        let connection = ClientConnection::new(tls_config(ca_pem)?, name);
        let mut connection = connection
            .map_err(|error| SourceError::failed(format!("the TLS handshake fails: {error}")))?;
        while connection.is_handshaking() {
            let done = connection.complete_io(&mut socket);
            // What is wrong with the certificate, or is no TLS, will be so the next time.
            done.map_err(|error| match error.get_ref() {
                Some(inner) if inner.is::<rustls::Error>() => fails(&error).into(),
                _ => Trouble::passing(fails(&error)),
            })?;
        }
        *self = Self::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn tls_config(ca_pem: Option<&str>) -> Result<Arc<ClientConfig>, SourceError> {
    let roots = match ca_pem {
        Some(pem) => authorities(pem).map_err(SourceError::failed)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SourceError::failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates of a PEM file, or what is wrong with it.
pub fn authorities(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("it is no PEM: {error}."))?;
        roots.add(certificate).map_err(|error| format!("it cannot be used: {error}."))?;
    }
    match roots.is_empty() {
        true => Err("it holds no certificate.".to_owned()),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::clock::Clock;
    use crate::pull::term::Term;

    #[test]
    fn time_that_others_take_is_not_the_servers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("a connection");
        let (mut server, _) = listener.accept().expect("a connection");
        server.write_all(b"ab").expect("it is open");
        let clock = Clock::fixed(0);
        let surroundings = Surroundings {
            outbound: Outbound::new(Vec::new()),
            term: Term::begin(Arc::default(), clock.clone(), Duration::MAX),
            clock,
            request_timeout: Duration::ZERO,
            first_retry_ms: 1,
            patience_ms: 0,
            files: Arc::default(),
            wants_groups: true,
            last: None,
        };
        let socket = Socket::new(client, Duration::ZERO, surroundings).expect("a socket");
        let mut stream = Stream::Plain(Box::new(socket));
        stream.begin();
        assert!(stream.read(&mut [0]).is_err(), "its time is over at once");
        stream.excuse(Duration::from_secs(3_600));
        assert_eq!(stream.read(&mut [0]).ok(), Some(1));
        stream.begin();
        assert!(stream.read(&mut [0]).is_err(), "the next operation has its own time");
    }

    #[test]
    fn addresses_are_checked_by_how_they_are_secured() {
        let public = Outbound::new(Vec::new());
        let private = public.in_private_networks();
        for (url, security, in_public, in_private) in [
            ("ldaps://ldap.example.com", Security::Ldaps, true, true),
            ("ldap://ldap.example.com:3890/", Security::StartTls, true, true),
            ("ldap://ldap.example.com", Security::Plain, false, true),
            ("ldap://10.1.2.3", Security::StartTls, false, true),
            ("ldap://169.254.169.254", Security::Plain, false, false),
            ("ldap://ldap.example.com", Security::Ldaps, false, false),
            ("ldaps://ldap.example.com", Security::StartTls, false, false),
            ("ldaps://ldap.example.com/dc=x", Security::Ldaps, false, false),
            ("ldaps://a@ldap.example.com", Security::Ldaps, false, false),
            ("https://ldap.example.com", Security::Ldaps, false, false),
            ("ldap.example.com", Security::Ldaps, false, false),
        ] {
            assert_eq!(check_url(url, security, &public).is_ok(), in_public, "{url}");
            assert_eq!(check_url(url, security, &private).is_ok(), in_private, "{url}");
        }
    }
}
