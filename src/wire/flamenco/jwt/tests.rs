use super::*;

const NOW: f64 = 1_700_000_000.5;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn token(header: &str, claims: &str, mac: impl FnOnce(&str) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(&signed));
    format!("{signed}.{signature}")
}

fn mac<M: Mac + KeyInit>(key: &str) -> impl Fn(&str) -> Vec<u8> {
    let key = key.to_owned();
    move |signed| {
        let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

#[test]
fn a_token_is_valid_with_its_secret_and_while_it_lasts() {
    let token = sign(&secret("shared"), NOW);
    assert_eq!(verify(&secret("shared"), &token, NOW), Ok(()));
    assert_eq!(verify(&secret(" shared\n"), &token, NOW), Ok(()), "the white space of a file");
    assert_eq!(verify(&secret("other"), &token, NOW), Err(TokenRefusal::Signature));
    assert_eq!(verify(&secret("shared"), &token, NOW + 959.0), Ok(()));
    assert_eq!(verify(&secret("shared"), &token, NOW + 961.0), Err(TokenRefusal::Expired));
    assert_eq!(verify(&secret("shared"), &token, NOW - 59.0), Ok(()));
    assert_eq!(verify(&secret("shared"), &token, NOW - 61.0), Err(TokenRefusal::Early));
}

/// The example of RFC 7515, appendix A.1, whose key has bytes of any kind.
#[test]
fn the_signature_is_that_of_the_standard() {
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = Secret::new(URL_SAFE_NO_PAD.decode(key).unwrap());
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leG\
                 FtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    // The signature is right, and the token has no time at which it was made.
    assert_eq!(verify(&key, token, 1_300_819_000.0), Err(TokenRefusal::Unreadable));
    assert_eq!(verify(&key, &token.replace("dBj", "dBk"), 1_300_819_000.0), Err(TokenRefusal::Signature));
}

#[test]
fn other_hashes_are_accepted_and_other_algorithms_refused() {
    let claims = r#"{"iat":1700000000.5,"exp":1700000900.5}"#;
    for (alg, token) in [
        ("HS256", token(r#"{"alg":"HS256"}"#, claims, mac::<Hmac<Sha256>>("shared"))),
        ("HS384", token(r#"{"alg":"HS384"}"#, claims, mac::<Hmac<Sha384>>("shared"))),
        ("HS512", token(r#"{"alg":"HS512"}"#, claims, mac::<Hmac<Sha512>>("shared"))),
    ] {
        assert_eq!(verify(&secret("shared"), &token, NOW), Ok(()), "{alg}");
    }
    for alg in ["none", "None", "RS256", "ES256", ""] {
        let token = token(&format!(r#"{{"alg":"{alg}"}}"#), claims, |_| Vec::new());
        assert_eq!(verify(&secret("shared"), &token, NOW), Err(TokenRefusal::Algorithm), "{alg}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let no_times = token(r#"{"alg":"HS256"}"#, r#"{"iat":"1"}"#, mac::<Hmac<Sha256>>("shared"));
    let long = format!("{}.a.b", "a".repeat(MAX_TOKEN));
    for bad in ["", "a", "a.b", "a.b.c", "..", "é.é.é", &no_times, &long] {
        assert_eq!(verify(&secret("shared"), bad, NOW), Err(TokenRefusal::Unreadable), "{bad}");
    }
}
