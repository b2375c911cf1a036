use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn a_secret_is_recognised_and_not_kept() {
    let kept = keep(&secret("correct horse battery staple")).unwrap();
    assert!(fits(&kept, &secret("correct horse battery staple")));
    assert!(!fits(&kept, &secret("correct horse battery stapl")));
    assert!(!fits(&kept, &secret("")));
    assert!(!format!("{kept:?}").contains("horse"));
    let again = keep(&secret("correct horse battery staple")).unwrap();
    assert_ne!((kept.salt, kept.hash), (again.salt, again.hash), "two workers with one secret are not alike");
}

#[test]
fn a_check_that_is_damaged_fits_nothing() {
    for hash in ["", "zz", "abc", "é"] {
        let kept = FarmCredentials { salt: "s".to_owned(), hash: hash.to_owned() };
        assert!(!fits(&kept, &secret("")), "{hash}");
    }
}
