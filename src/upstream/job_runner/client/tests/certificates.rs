//! Tests of certificates: which servers the client accepts, with and without `ca_file`.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

use super::*;

struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    pem: String,
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).expect("a host")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn self_signed(params: &CertificateParams) -> Identity {
    let key = key();
    let certificate = params.self_signed(&key).expect("a certificate");
    Identity { pem: certificate.pem(), certificate: certificate.into(), key }
}

/// Makes an authority: its certificate as PEM, and the issuer that signs with it.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = key();
    let pem = params.self_signed(&key).expect("a certificate").pem();
    (pem, Issuer::new(params, key))
}

fn signed_by(params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) -> Identity {
    let key = key();
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    Identity { pem: certificate.pem(), certificate: certificate.into(), key }
}

/// Starts a TLS server with this identity; returns its URL and the counter of its requests.
async fn serving(identity: &Identity) -> (Url, Arc<Mutex<u32>>) {
    let key = PrivatePkcs8KeyDer::from(identity.key.serialize_der()).into();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
    // Certificate and key are not checked against each other here: that is the client's task.
    let identity = SingleCertAndKey::from(CertifiedKey::new(vec![identity.certificate.clone()], key));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, url) = listen().await;
    let requests: Arc<Mutex<u32>> = Arc::default();
    let noted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let Ok(1..) = stream.read(&mut request).await else { continue };
            *noted.lock().expect("the requests") += 1;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{RUN}", RUN.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let url = format!("https://localhost:{}/", url.port().expect("a port"));
    (url.parse().expect("a URL"), requests)
}

fn ca_file(pem: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("a file");
    file
}

async fn ask(url: &Url, ca: Option<&NamedTempFile>) -> Result<RunResource, CallFailure> {
    let ca_file = ca.map(|file| file.path().to_owned());
    run(&client(Settings { tls_verify: true, ca_file, ..settings(url) })).await
}

/// Asserts that no request was made, and returns the reason.
async fn refused(identity: &Identity, ca: Option<&NamedTempFile>) -> String {
    let (url, requests) = serving(identity).await;
    let answer = ask(&url, ca).await;
    assert_eq!(*requests.lock().expect("the requests"), 0, "a request was made");
    match answer {
        Err(CallFailure::Unreachable(reason)) => {
            assert!(reason.contains("ca_file"), "{reason}");
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn p17_a_certificate_of_an_authority_in_ca_file_is_accepted() {
    let (pem, issuer) = authority();
    let (url, _) = serving(&signed_by(&params("localhost"), &issuer)).await;
    assert_eq!(ask(&url, Some(&ca_file(&pem))).await.expect("a run").id, 2);
}

#[tokio::test]
async fn p17_an_authority_of_nobody_is_refused() {
    let (_, issuer) = authority();
    let (other, _) = authority();
    let identity = signed_by(&params("localhost"), &issuer);
    let reason = refused(&identity, None).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    refused(&identity, Some(&ca_file(&other))).await;
}

#[tokio::test]
async fn p17_a_self_signed_certificate_is_refused_unless_it_stands_in_ca_file() {
    let identity = self_signed(&params("localhost"));
    let reason = refused(&identity, None).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    let (url, _) = serving(&identity).await;
    assert_eq!(ask(&url, Some(&ca_file(&identity.pem))).await.expect("a run").id, 2);
}

/// Parameters as `openssl req -x509` uses them: an authority that serves as a server's certificate.
fn of_openssl(host: &str) -> CertificateParams {
    let mut params = params(host);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

#[tokio::test]
async fn a_self_signed_authority_is_refused_unless_it_stands_in_ca_file_itself() {
    let identity = self_signed(&of_openssl("localhost"));
    let twin = of_openssl("localhost").self_signed(&identity.key).expect("a certificate").pem();
    let (other, _) = authority();
    for ca in [None, Some(ca_file(&other)), Some(ca_file(&twin))] {
        let reason = refused(&identity, ca.as_ref()).await;
        assert!(reason.contains("CaUsedAsEndEntity"), "{reason}");
    }
    let (url, _) = serving(&identity).await;
    for pem in [identity.pem.clone(), format!("{other}{}", identity.pem)] {
        assert_eq!(ask(&url, Some(&ca_file(&pem))).await.expect("a run").id, 2);
    }
}

#[tokio::test]
async fn a_self_signed_authority_in_ca_file_needs_a_name_and_dates_that_fit() {
    let mut over = of_openssl("localhost");
    over.not_after = date_time_ymd(2020, 1, 1);
    let mut early = of_openssl("localhost");
    early.not_before = date_time_ymd(2090, 1, 1);
    let another = of_openssl("somebody.else");
    for (params, wanted) in [(over, "expired"), (early, "not valid yet"), (another, "not valid for name")] {
        let identity = self_signed(&params);
        let reason = refused(&identity, Some(&ca_file(&identity.pem))).await;
        assert!(reason.contains(wanted), "{reason}");
    }
}

#[tokio::test]
async fn a_self_signed_authority_in_ca_file_is_nobody_without_its_key() {
    let mut identity = self_signed(&of_openssl("localhost"));
    let pem = identity.pem.clone();
    identity.key = key();
    let reason = refused(&identity, Some(&ca_file(&pem))).await;
    assert!(reason.contains("BadSignature"), "{reason}");
}

#[tokio::test]
async fn any_certificate_is_accepted_where_the_operator_says_so() {
    let mut expired = params("somebody.else");
    expired.not_after = date_time_ymd(2020, 1, 1);
    for params in [params("localhost"), expired] {
        let (url, _) = serving(&self_signed(&params)).await;
        assert_eq!(run(&client(settings(&url))).await.expect("a run").id, 2);
    }
}

#[tokio::test]
async fn p17_a_certificate_of_another_host_is_refused() {
    let (pem, issuer) = authority();
    let reason = refused(&signed_by(&params("somebody.else"), &issuer), Some(&ca_file(&pem))).await;
    assert!(reason.contains("not valid for name"), "{reason}");
}

#[tokio::test]
async fn p17_a_certificate_that_is_over_or_not_yet_valid_is_refused() {
    let (pem, issuer) = authority();
    let mut over = params("localhost");
    over.not_after = date_time_ymd(2020, 1, 1);
    let mut early = params("localhost");
    early.not_before = date_time_ymd(2090, 1, 1);
    for (params, wanted) in [(over, "expired"), (early, "not valid yet")] {
        let reason = refused(&signed_by(&params, &issuer), Some(&ca_file(&pem))).await;
        assert!(reason.contains(wanted), "{reason}");
    }
}

#[test]
fn a_ca_file_that_is_none_is_told_at_once() {
    let url = "https://localhost/".parse().expect("a URL");
    let said = |path| {
        let settings = Settings { tls_verify: true, ca_file: Some(path), ..settings(&url) };
        RestClient::new(settings).expect_err("no client").to_string()
    };
    assert!(said("/no/such.pem".into()).contains("/no/such.pem: cannot be read"));
    let empty = ca_file("no certificate at all\n");
    assert!(said(empty.path().to_owned()).contains("contains no certificate in PEM form"));
}

#[tokio::test]
async fn a_client_learns_of_another_authority_and_keeps_what_it_knows_where_that_is_none() {
    let (pem, issuer) = authority();
    let (url, _) = serving(&signed_by(&params("localhost"), &issuer)).await;
    let client = client(Settings { tls_verify: true, ..settings(&url) });
    run(&client).await.expect_err("an unknown authority");
    let (good, empty) = (ca_file(&pem), ca_file(""));
    let with =
        |file: &NamedTempFile| Settings { tls_verify: true, ca_file: Some(file.path().to_owned()), ..settings(&url) };
    client.reconfigure(with(&good)).expect("a client");
    assert_eq!(run(&client).await.expect("a run").id, 2);
    client.reconfigure(with(&empty)).expect_err("no authority");
    assert_eq!(run(&client).await.expect("a run").id, 2);
}
