//! Signatures, against those that the original's `HmacAuth` made.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// One row of `signatures.json`; see `record.py` beside it. Secret and body are in hex.
#[derive(Deserialize)]
struct Recorded {
    key: String,
    secret: String,
    method: String,
    path: String,
    body: String,
    authorization: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("two digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte in hex")).collect()
}

#[test]
fn every_recorded_request_is_signed_as_the_original_signs_it() {
    let rows = include_str!("../../../tests/fixtures/python/signatures.json");
    let rows: Vec<Recorded> = serde_json::from_str(rows).expect("the recorded rows");
    assert!(rows.len() >= 20, "only {} signatures are recorded", rows.len());
    for row in rows {
        let key = ApiKey::parse(&row.key).expect("a key");
        let secret = Secret::new(bytes(&row.secret));
        let method = row.method.to_ascii_uppercase();
        let ours = authorization(&key, &secret, &method, &row.path, &bytes(&row.body));
        assert_eq!(ours, row.authorization, "{method} {}", row.path);
    }
}

#[cfg(feature = "server")]
#[test]
fn a_signature_fits_what_was_signed_and_nothing_else() {
    let (key, secret) = (ApiKey::parse("web1").expect("a key"), Secret::new(b"verysecret".to_vec()));
    let header = authorization(&key, &secret, "PATCH", "/api/v1/run/1/", b"{}");
    let (named, signed) = claimed(&header).expect("a claim");
    assert_eq!(named, "web1");
    assert!(fits(signed, &secret, "PATCH", "/api/v1/run/1/", b"{}"));
    let other = Secret::new(b"verysecre".to_vec());
    assert!(!fits(signed, &other, "PATCH", "/api/v1/run/1/", b"{}"), "another secret");
    assert!(!fits(signed, &secret, "GET", "/api/v1/run/1/", b"{}"), "another method");
    assert!(!fits(signed, &secret, "PATCH", "/api/v1/run/2/", b"{}"), "another path");
    assert!(!fits(signed, &secret, "PATCH", "/api/v1/run/1/", b"{ }"), "another body");
    for junk in ["", "0", &signed[..38], &signed.replace(|c: char| c.is_ascii_digit(), "g"), &format!("{signed}00")] {
        assert!(!fits(junk, &secret, "PATCH", "/api/v1/run/1/", b"{}"), "{junk}");
    }
    for header in ["", "Basic x:y", "ApiKey", "ApiKey web1", "apikey web1:00"] {
        assert_eq!(claimed(header), None, "{header}");
    }
}

#[test]
fn a_secret_shows_itself_to_nobody() {
    assert_eq!(format!("{:?}", Secret::new(b"verysecret".to_vec())), "Secret(…)");
}

proptest! {
    #[test]
    fn a_signature_is_forty_hex_digits_for_any_secret_and_body(
        secret in proptest::collection::vec(any::<u8>(), 0..200), path in "/\\PC{0,30}", body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let signed = signature(&secret, "PATCH", &path, &body);
        prop_assert_eq!(signed.len(), 40);
        prop_assert!(signed.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)));
    }
}
