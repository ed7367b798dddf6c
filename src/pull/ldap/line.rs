//! The line to a server: where it may lead, and TLS on it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use url::Url;

use crate::outbound::{Line, Outbound};
use crate::pull::SourceError;

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

/// A connection, secured or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

pub(super) fn is_wait(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Shakes hands over a connection; `goes_on` says whether there is time left.
pub(super) fn secured(
    stream: &TcpStream,
    name: &str,
    ca_pem: Option<&str>,
    goes_on: &dyn Fn() -> Result<(), SourceError>,
) -> Result<Stream, SourceError> {
    let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
        .map_err(|_| SourceError::failed(format!("no certificate can have the name {name}")))?;
    let failed = |error: &dyn std::fmt::Display| {
        SourceError::failed(format!("the TLS handshake fails: {error}"))
    };
    let mut stream = stream.try_clone().map_err(|error| failed(&error))?;
    let mut connection =
        ClientConnection::new(tls_config(ca_pem)?, name).map_err(|error| failed(&error))?;
    while connection.is_handshaking() {
        goes_on()?;
        match connection.complete_io(&mut stream) {
            Err(error) if !is_wait(&error) => return Err(failed(&error)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
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
    use super::*;

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
