//! TLS: the authorities that are trusted, and the texts for handshakes that fail.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::sys;

/// Maximum size of a file with certificates of authorities in bytes.
const AUTHORITIES_BYTES_MAX: usize = 4 << 20;

/// A connection with TLS.
pub(super) type SecureStream = TlsStream<TcpStream>;

/// The TLS settings of some servers. The certificates of authorities are read at the first connection, and again after
/// one that failed, because an administrator may have mended the file.
#[derive(Debug)]
pub(super) struct TlsSettings {
    /// A file with the certificates of authorities in PEM. `None`: those of the system.
    authorities: Option<String>,
    /// How the file is named where people configure it, such as `tls_ca=`.
    option: &'static str,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl TlsSettings {
    /// With the authorities in this file, or those of the system. `option` names the file in messages, and is empty if there
    /// is no such option.
    pub(super) fn new(authorities: Option<String>, option: &'static str) -> Self {
        Self {
            authorities,
            option,
            config: Mutex::new(None),
        }
    }

    /// Makes a TLS connection to `host` over `stream`.
    ///
    /// # Errors
    /// What went wrong, in one line.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| "its host is no name that a certificate can have".to_owned())?;
        let connector = TlsConnector::from(self.config()?);
        let connected = connector.connect(name, stream).await;
        connected.map_err(|error| {
            *self.config.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.failure_text(&error)
        })
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*config {
            return Ok(Arc::clone(config));
        }
        let roots = match &self.authorities {
            Some(path) => read_authorities(self.option, path)?,
            None => system_authorities(self.option)?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(config.insert(Arc::new(made))))
    }

    /// The text for a handshake that failed.
    fn failure_text(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(problem)) => {
                let trusted = match &self.authorities {
                    Some(path) => format!("those in {}{path}", self.option),
                    None => format!(
                        "those of the system; name another one with {}",
                        word(self.option)
                    ),
                };
                certificate_text(problem, &trusted)
            }
            Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
            Some(rustls::Error::AlertReceived(alert)) => {
                format!("it refused the TLS connection: {alert:?}")
            }
            Some(error) => format!("no TLS connection: {error}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "it closed the connection during the TLS handshake".to_owned()
            }
            None => format!("no TLS connection: {error}"),
        }
    }
}

/// The text for a certificate that is not accepted. `trusted`: the authorities that are.
fn certificate_text(problem: &CertificateError, trusted: &str) -> String {
    let why = match problem {
        CertificateError::UnknownIssuer => {
            format!("is from an unknown authority (known are {trusted})")
        }
        CertificateError::BadSignature => {
            "is from an authority that has the name of a known one, but another key".to_owned()
        }
        CertificateError::NotValidForName => "is for another name".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => match presented.as_slice() {
            [] => "names no host (it needs a subjectAltName)".to_owned(),
            names => format!("is for another name ({})", names.join(", ")),
        },
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet (or the clock of this host is wrong)".to_owned()
        }
        CertificateError::Revoked => "was revoked".to_owned(),
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is that of an authority (a server needs one with CA:FALSE)".to_owned()
        }
        other => format!("is not accepted: {other}"),
    };
    format!("its TLS certificate {why}")
}

/// An option without the sign before its value.
fn word(option: &str) -> &str {
    option.trim_end_matches(['=', ' '])
}

fn read_authorities(option: &str, path: &str) -> Result<RootCertStore, String> {
    let pem = sys::read_small_file(Path::new(path), AUTHORITIES_BYTES_MAX)
        .map_err(|error| format!("{option}{path} cannot be read by this user: {error}"))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(format!("{option}{path} has no certificate in PEM")),
        _ => Ok(roots),
    }
}

fn system_authorities(option: &str) -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(found.certs) {
        (0, _) => Err(format!(
            "the system has no certificates of authorities; name a file with {}",
            word(option)
        )),
        _ => Ok(roots),
    }
}
