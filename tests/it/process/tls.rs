//! HTTPS when a certificate is configured.

use crate::support::{Client, Database, TestApp};

#[test]
fn server_speaks_https_with_a_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a pair");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let app = TestApp::start_with(Database::sqlite(), |config| {
        config.tls_cert = Some(cert);
        config.tls_key = Some(key);
    });
    assert!(app.directory.base_url.starts_with("https://"));
    app.scim.get("/Users").expect(200);
    let plain = app.directory.base_url.replace("https://", "http://");
    let plain = Client::new(&plain, &app.directory.token, "application/scim+json");
    assert!(plain.try_get("/Users").is_none_or(|answer| answer.status >= 400));
}
