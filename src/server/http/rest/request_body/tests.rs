//! Bodies and the values of their fields.

use super::*;

fn form(body: &str) -> Form {
    Form::read(body.as_bytes(), Some("application/json; charset=utf-8"), Tz::UTC).expect("a form")
}

#[test]
fn a_body_is_a_json_object() {
    for body in ["", "{", "[]", "\"text\"", "null"] {
        let read = Form::read(body.as_bytes(), None, Tz::UTC);
        assert!(matches!(read, Err(BodyFault::Unreadable(_))), "{body}");
    }
    assert!(matches!(Form::read(b"{}", Some("text/plain"), Tz::UTC), Err(BodyFault::Unreadable(_))));
}

#[test]
fn a_field_is_missing_null_or_of_its_type() {
    let form =
        form(r#"{"a": null, "n": 7, "digits": " 8 ", "t": true, "s": "x", "at": "2026-03-02", "big": 99999999999}"#);
    assert_eq!(form.number("missing"), Ok(None));
    assert_eq!(form.number("a"), Ok(Some(None)));
    assert_eq!(form.number("n"), Ok(Some(Some(7))));
    assert_eq!(form.number("digits"), Ok(Some(Some(8))));
    assert!(matches!(form.number("s"), Err(BodyFault::Unreadable(_))));
    assert!(matches!(form.count("big"), Err(BodyFault::Value(_))));
    assert_eq!(form.truth("t"), Ok(Some(Some(true))));
    assert!(matches!(form.truth("s"), Err(BodyFault::Value(_))));
    assert!(matches!(form.text("n"), Err(BodyFault::Value(_))));
    assert!(matches!(form.time("s"), Err(BodyFault::Value(_))));
    assert!(form.time("at").is_ok_and(|at| at.flatten().is_some()));
    assert!(Form::not_null("a", form.text("a").expect("a field")).is_err());
    assert!(Form::needed("b", form.text("b").expect("no field")).is_err());
}

#[test]
fn a_path_names_one_of_its_resource() {
    let form = form(r#"{"run": "/api/v1/run/3/", "job": "/api/v1/job/3/", "bare": "3", "zero": "/api/v1/run/0/"}"#);
    assert_eq!(form.needed_one("run", Resource::Run), Ok(3));
    for name in ["job", "bare", "zero", "missing"] {
        assert!(matches!(form.needed_one(name, Resource::Run), Err(BodyFault::Path(_))), "{name}");
    }
}
