//! TLS: which certificates a broker may show, and the one that identifies this client.

use anyhow::{Context, Result, anyhow, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Certificates of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the authorities that may vouch for the broker; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate chain of this client.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the private key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// Accept any certificate of the broker.
    pub is_insecure: bool,
}

/// Reads the certificates and makes the configuration for rustls. Reads files: not for a task of the I/O runtime.
///
/// # Errors
/// Returns an error that names key and file if a file cannot be read, holds no certificate or key, or if a certificate
/// is given without its key; or if the system has no certificates and `ca_file` is not set.
pub fn client_config(settings: &TlsConfig) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("TLS")?;
    let builder = if settings.is_insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    } else {
        builder.with_root_certificates(roots(settings.ca_file.as_deref())?)
    };
    let config = match (&settings.client_cert_file, &settings.client_key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "mqtt.client_cert_file")?;
            let shown = || format!("mqtt.client_key_file: {}", key.display());
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| anyhow!("{}: {error}", shown()))?;
            builder.with_client_auth_cert(chain, key).with_context(shown)?
        }
        _ => bail!("mqtt.client_cert_file and mqtt.client_key_file go together"),
    };
    Ok(Arc::new(config))
}

/// Returns why the certificates cannot be used, in a sentence that names the key; `None` if they can. Reads files.
pub(crate) fn problem(settings: &TlsConfig) -> Option<String> {
    client_config(settings).err().map(|error| format!("{error:#}"))
}

/// Certificates of the authorities in `file`, or of the system.
fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file, "mqtt.ca_file")? {
                roots
                    .add(certificate)
                    .with_context(|| format!("mqtt.ca_file: {}", file.display()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                bail!("the system has no CA certificates: install ca-certificates, or set mqtt.ca_file");
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>> {
    let shown = || format!("{key}: {}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| anyhow!("{}: {error}", shown()))?;
    let found = found
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("{}: {error}", shown()))?;
    if found.is_empty() {
        bail!("{}: the file contains no certificate", shown());
    }
    Ok(found)
}

/// Verifier for `insecure = true`: accepts every certificate; signatures are still checked.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
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
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
