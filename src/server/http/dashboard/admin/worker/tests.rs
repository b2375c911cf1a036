use super::read;
use crate::server::http::dashboard::form::FormValues;

fn form(pairs: &[(&str, &str)]) -> FormValues {
    FormValues::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn the_key_is_the_title_where_none_is_typed() {
    let values =
        read(&form(&[("title", " web1 "), ("enabled", "yes"), ("pools", "2"), ("pools", "x")]), Some("s")).unwrap();
    assert_eq!((values.title.as_str(), values.api_key.as_str(), values.enabled), ("web1", "web1", true));
    assert_eq!((values.pools.len(), values.secret.map(|secret| secret.expose().to_vec())), (1, Some(b"s".to_vec())));
    let values = read(&form(&[("title", "Web 1"), ("api_key", "web1")]), None).unwrap();
    assert_eq!((values.api_key.as_str(), values.enabled, values.secret.is_none()), ("web1", false, true));
}

#[test]
fn all_that_is_wrong_is_told() {
    let wrong = |pairs: &[(&str, &str)]| {
        let mistakes = read(&form(pairs), None).unwrap_err();
        mistakes.into_iter().map(|(name, what)| format!("{name}: {what}")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(wrong(&[]), "title: a title has 1 to 255 characters on one line");
    insta::assert_snapshot!(wrong(&[("title", "Web 1")]), @r#"api_key: "Web 1" contains a colon, a space or a control character"#);
    insta::assert_snapshot!(wrong(&[("title", ""), ("api_key", "a:b")]), @r#"title: a title has 1 to 255 characters on one line; api_key: "a:b" contains a colon, a space or a control character"#);
}
