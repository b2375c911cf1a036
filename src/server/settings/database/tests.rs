use super::{DatabaseUrl, WrongDatabaseUrl};
use crate::run::Secret;

/// Returns the text to connect with of a URL, and the text that is shown.
fn both(text: &str) -> (String, String) {
    let url = DatabaseUrl::parse(text).expect("a URL");
    (url.expose().to_string(), url.to_string())
}

#[test]
fn a_url_is_shown_without_its_password() {
    let (exposed, shown) = both("postgres://jobs:p%40ss%2Fw@db.example.com:5433/jobs?sslmode=require");
    assert_eq!(shown, "postgres://jobs@db.example.com:5433/jobs?sslmode=require");
    assert_eq!(exposed, "postgres://jobs@db.example.com:5433/jobs?sslmode=require&password=p%40ss%2Fw");
    let url = DatabaseUrl::parse("postgres://jobs:geheim@db/jobs").expect("a URL");
    assert!(!format!("{url:?} {url}").contains("geheim"), "{url:?}");
}

#[test]
fn a_password_from_elsewhere_is_encoded_byte_by_byte() {
    let url = DatabaseUrl::parse("postgresql://jobs@[::1]/jobs").expect("a URL");
    assert!(!url.has_password());
    let url = url.with_password(Secret::new("a &=%+#é\u{1f600}".as_bytes().to_vec()));
    assert_eq!(url.expose().as_str(), "postgresql://jobs@[::1]/jobs?password=a%20%26%3D%25%2B%23%C3%A9%F0%9F%98%80");
}

#[test]
fn a_socket_is_named_as_libpq_does() {
    for text in [
        "postgres:///jobs?host=/run/postgresql&user=jobs",
        "postgres://jobs@%2Frun%2Fpostgresql/jobs",
        "postgres://jobs@%2Frun%2Fpostgresql:5433/jobs",
    ] {
        assert_eq!(both(text), (text.to_owned(), text.to_owned()));
    }
}

#[test]
fn every_fault_is_named_without_the_text() {
    for (text, fault) in [
        ("", WrongDatabaseUrl::Scheme),
        ("/var/lib/jobs.sqlite", WrongDatabaseUrl::Scheme),
        ("mysql://jobs@db/jobs", WrongDatabaseUrl::Scheme),
        ("postgres://jobs@db/jo bs", WrongDatabaseUrl::Blank),
        ("postgres://jobs@db:port/jobs", WrongDatabaseUrl::NoUrl),
        ("postgres://jobs:a/b@db/jobs", WrongDatabaseUrl::NoUrl),
        ("postgres:///jobs", WrongDatabaseUrl::NoHost),
        ("postgres://db/jobs", WrongDatabaseUrl::NoUser),
        ("postgres://jobs@db", WrongDatabaseUrl::NoName),
        ("postgres://jobs@db/", WrongDatabaseUrl::NoName),
        ("postgres://jobs@db:0/jobs", WrongDatabaseUrl::Port),
        ("postgres:///jobs?host=/run&user=jobs&port=x", WrongDatabaseUrl::Port),
        ("postgres://jobs@db/jobs#1", WrongDatabaseUrl::Fragment),
        ("postgres://jobs@db/jobs?target_session_attrs=any", WrongDatabaseUrl::Option),
        ("postgres://jobs@db/jobs?password=x", WrongDatabaseUrl::Option),
        ("postgres://jobs@db/jobs?sslmode=prefer", WrongDatabaseUrl::SslMode),
    ] {
        assert_eq!(DatabaseUrl::parse(text).expect_err(text), fault, "{text}");
    }
}
