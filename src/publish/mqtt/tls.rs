//! Certificates: whom we believe to be the broker, and how we show who we are.

use crate::publish::mqtt::MqttConfig;
use anyhow::{Context, Result, anyhow, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// What the settings say of certificates.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn config(settings: &MqttConfig) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("TLS")?;
    let builder = if settings.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
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

/// Those of a file, or of the system.
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
                bail!("this system has no certificates: install ca-certificates, or set mqtt.ca_file");
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
        bail!("{}: there is no certificate in it", shown());
    }
    Ok(found)
}

/// `insecure = true`: whoever answers is the broker.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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
