//! Certificates for servers of the tests, made by openssl.

use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::expect;
use super::temp_dir::TempDir;

/// Makes an authority of this name and a certificate for `localhost`. `None`: openssl is not installed.
pub fn certificates(place: &TempDir, authority: &str) -> Result<Option<()>, String> {
    certificates_for(place, authority, 2)
}

/// As [`certificates`], with the number of days for which the certificate is valid: -1 has expired.
pub fn certificates_for(place: &TempDir, authority: &str, days: i32) -> Result<Option<()>, String> {
    let script = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj \"/CN=$1\" \
            -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > extensions
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days $2 -extfile extensions -out server.pem
        chmod 0644 ca.pem";
    if Command::new("openssl").arg("version").output().is_err() {
        return Ok(None);
    }
    let done = Command::new("sh")
        .args(["-ec", script, "sh", authority, &days.to_string()])
        .current_dir(place.path())
        .output()
        .map_err(|error| error.to_string())?;
    expect(done.status.success(), format!("openssl: {done:?}"))?;
    Ok(Some(()))
}

/// The settings of a server with that certificate.
pub fn server_config(place: &TempDir) -> Result<Arc<rustls::ServerConfig>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let chain = CertificateDer::from_pem_file(place.join("server.pem")).map_err(|e| text(&e))?;
    let key = PrivateKeyDer::from_pem_file(place.join("server.key")).map_err(|e| text(&e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| text(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .map_err(|e| text(&e))?;
    Ok(Arc::new(config))
}
