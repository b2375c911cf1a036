use axum::http::{HeaderMap, HeaderValue, header};

use super::{FormValues, MAX_FIELDS, is_form};

#[test]
fn fields_are_read_as_a_browser_writes_them() {
    let form = FormValues::parse(b"title=+a+%26+b+&empty=&pool=1&pool=2").unwrap();
    assert_eq!(form.text("title"), Some("a & b"));
    assert_eq!(form.text("empty"), None);
    assert_eq!(form.text("missing"), None);
    assert_eq!(form.all("pool").collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn a_form_has_an_end() {
    assert!(FormValues::parse("a=1&".repeat(MAX_FIELDS).as_bytes()).is_some());
    assert_eq!(FormValues::parse("a=1&".repeat(MAX_FIELDS + 1).as_bytes()), None);
    assert_eq!(FormValues::parse(b"%ff=%fe"), Some(FormValues(vec![("\u{fffd}".to_owned(), "\u{fffd}".to_owned())])));
}

#[test]
fn what_scripts_of_other_sites_may_send_is_no_form() {
    for (kind, form) in [
        ("application/x-www-form-urlencoded", true),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", true),
        ("text/plain", false),
        ("multipart/form-data; boundary=x", false),
        ("", false),
    ] {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
        assert_eq!(is_form(&headers), form, "{kind}");
    }
    assert!(!is_form(&HeaderMap::new()));
}
