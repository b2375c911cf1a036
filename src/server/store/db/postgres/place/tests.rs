//! Promises about URLs.

use super::Place;

fn place(url: &str) -> Result<Place, String> {
    url.parse().map_err(|e: super::UrlError| e.to_string())
}

#[test]
fn a_place_is_named_by_host_and_database_and_never_by_its_password() {
    let name = |url| place(url).unwrap().name().to_string();
    assert_eq!(name("postgres://me:secret@db.example.org/jobs"), "db.example.org:5432/jobs");
    assert_eq!(name("postgresql://me@[::1]:5433/jobs?application_name=x"), "::1:5433/jobs");
    assert_eq!(name("postgres://me@a:1,b:2/jobs"), "a:1,b:2/jobs");
    assert_eq!(name("postgres://me@%2Frun%2Fpostgresql/jobs"), "/run/postgresql:5432/jobs");
    assert!(!format!("{:?}", place("postgres://me:secret@db/jobs").unwrap()).contains("secret"));
}

#[test]
fn a_database_on_another_machine_is_asked_for_its_certificate_unless_that_is_turned_off() {
    let encrypted = |url| place(url).unwrap().is_encrypted();
    assert!(encrypted("postgres://me@db.example.org/jobs"));
    assert!(encrypted("postgres://me@localhost,db.example.org/jobs"));
    assert!(encrypted("postgres://me@localhost/jobs?sslmode=require"));
    assert!(encrypted("postgres://me@localhost/jobs?connect_timeout=3&sslmode=verify-full"));
    assert!(!encrypted("postgres://me@localhost/jobs"));
    assert!(!encrypted("postgres://me@127.0.0.1/jobs"));
    assert!(!encrypted("postgres://me@%2Frun%2Fpostgresql/jobs"));
    assert!(!encrypted("postgres://me@db.example.org/jobs?sslmode=disable"));
    let roots = place("postgres://me@db/jobs?sslrootcert=%2Fetc%2Fca%20x.pem&application_name=y").unwrap().roots;
    assert_eq!(roots.unwrap().to_str(), Some("/etc/ca x.pem"));
}

#[test]
fn a_url_that_names_no_database_is_refused_in_one_sentence_without_the_password() {
    for (url, part) in [
        ("mysql://me:secret@db/jobs", "postgres://"),
        ("postgres://me:secret@db", "no database"),
        ("postgres://db/jobs", "no user"),
        ("postgres://me:secret@db/jobs?sslmode=prefer", "allowed are disable and verify-full"),
        ("postgres://me:secret@db/jobs?colour=red", "not understood"),
        ("postgres://me:secret@db:port/jobs", "not understood"),
    ] {
        let refused = place(url).unwrap_err();
        assert!(refused.contains(part), "{url}: {refused}");
        assert!(!refused.contains("secret") && !refused.contains('\n'), "{url}: {refused}");
    }
}
