use std::os::unix::fs::PermissionsExt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{FILE, OperatorToken, hex, unhex};

fn token() -> OperatorToken {
    OperatorToken::parse("0123456789abcdef0123").unwrap()
}

fn with(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn the_first_start_makes_it_and_the_next_ones_find_it() {
    let data = tempfile::tempdir().unwrap();
    let made = OperatorToken::of(data.path()).unwrap();
    assert_eq!(made.expose().len(), 48);
    assert_eq!(OperatorToken::of(data.path()).unwrap().expose(), made.expose());
    let mode = std::fs::metadata(data.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(OperatorToken::of(other.path()).unwrap().expose(), made.expose());
}

#[test]
fn a_file_without_a_token_is_an_error_and_stays() {
    let data = tempfile::tempdir().unwrap();
    for text in ["", "short\n", "0123456789abcdef with spaces\n"] {
        std::fs::write(data.path().join(FILE), text).unwrap();
        assert!(OperatorToken::of(data.path()).is_err(), "{text:?}");
        assert_eq!(std::fs::read_to_string(data.path().join(FILE)).unwrap(), text);
    }
}

#[test]
fn who_says_the_token_is_admitted() {
    for (value, admitted) in [
        ("Bearer 0123456789abcdef0123", true),
        ("bearer 0123456789abcdef0123", true),
        ("Bearer 0123456789abcdef0124", false),
        ("Bearer 0123456789abcdef", false),
        ("Bearer ", false),
        ("Bearer", false),
        ("Basic 0123456789abcdef0123", false),
        ("ApiKey 0123456789abcdef0123", false),
        ("0123456789abcdef0123", false),
        ("", false),
    ] {
        assert_eq!(token().admits(&with(header::AUTHORIZATION, value)), admitted, "{value:?}");
    }
    assert!(!token().admits(&HeaderMap::new()));
}

#[test]
fn a_seal_is_good_for_one_text_one_purpose_and_one_token() {
    let seal = token().seal("form", "text");
    assert!(!seal.contains(token().expose()));
    assert!(token().is_sealed("form", "text", &seal));
    assert!(!token().is_sealed("form", "texts", &seal));
    assert!(!token().is_sealed("for", "mtext", &seal));
    assert!(!token().is_sealed("notice", "text", &seal));
    assert!(!OperatorToken::parse("0123456789abcdef0124").unwrap().is_sealed("form", "text", &seal));
    for wrong in ["", "zz", &seal[1..], &format!("{seal}0"), token().expose()] {
        assert!(!token().is_sealed("form", "text", wrong), "{wrong:?}");
    }
}

#[test]
fn hex_is_read_as_it_is_written() {
    assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
    assert_eq!(unhex("0"), None);
    assert_eq!(unhex("0g"), None);
}
