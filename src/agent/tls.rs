//! TLS: the authorities that are trusted, and the texts for handshakes that fail.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::sys;

/// Maximum size of a file with certificates of authorities in bytes.
const AUTHORITIES_BYTES_MAX: usize = 4 << 20;

/// A connection with TLS.
pub(crate) type SecureStream = TlsStream<TcpStream>;

/// How old certificates of authorities are before a certificate that is not accepted makes them be read again.
const AUTHORITIES_AGE: Duration = Duration::from_secs(5);

/// The TLS settings of some servers. The certificates of authorities are read at the first connection, and again after
/// a certificate was not accepted, because an administrator may have mended the file.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    /// A file with the certificates of authorities in PEM. `None`: those of the system.
    authorities: Option<String>,
    /// How the file is named where people configure it, such as `tls_ca=`.
    option: &'static str,
    /// Any certificate is accepted.
    is_insecure: bool,
    config: Mutex<Option<MadeConfig>>,
}

#[derive(Debug)]
struct MadeConfig {
    made: Instant,
    config: Arc<ClientConfig>,
}

impl TlsSettings {
    /// With the authorities in this file, or those of the system. `option` names the file in messages, and is empty if there
    /// is no such option.
    pub(crate) fn new(authorities: Option<String>, option: &'static str) -> Self {
        Self {
            authorities,
            option,
            is_insecure: false,
            config: Mutex::new(None),
        }
    }

    /// Without any check of certificates.
    pub(crate) fn insecure() -> Self {
        Self {
            is_insecure: true,
            ..Self::new(None, "")
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
    ) -> Result<SecureStream, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| "its host is no name that a certificate can have".to_owned())?;
        let connector = TlsConnector::from(self.config()?);
        let connected = connector.connect(name, stream).await;
        connected.map_err(|error| {
            if let Some(rustls::Error::InvalidCertificate(_)) = tls_error(&error) {
                self.forget_authorities();
            }
            self.failure_text(&error)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<MadeConfig>> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next connection read the authorities again, unless they were read just now: many servers may share these
    /// settings, and one of them with a wrong certificate must not cost a reading each time.
    fn forget_authorities(&self) {
        let mut config = self.lock();
        if config
            .as_ref()
            .is_some_and(|config| config.made.elapsed() >= AUTHORITIES_AGE)
        {
            *config = None;
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut config = self.lock();
        if let Some(config) = &*config {
            return Ok(Arc::clone(&config.config));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let builder = match (self.is_insecure, &self.authorities) {
            (true, _) => {
                let verifier = Arc::new(AnyCertificate(provider));
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
            }
            (false, Some(path)) => {
                builder.with_root_certificates(read_authorities(self.option, path)?)
            }
            (false, None) => builder.with_root_certificates(system_authorities(self.option)?),
        };
        let made = MadeConfig {
            made: Instant::now(),
            config: Arc::new(builder.with_no_client_auth()),
        };
        Ok(Arc::clone(&config.insert(made).config))
    }

    /// The text for a handshake that failed.
    fn failure_text(&self, error: &io::Error) -> String {
        match tls_error(error) {
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

/// The error of rustls in an error of a handshake. `None`: it has another cause.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Accepts every certificate. The signature of the handshake is checked all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
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
