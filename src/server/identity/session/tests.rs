use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{TimeDelta, TimeZone, Utc};

use super::{LASTS, Session};
use crate::server::domain::model::Timestamp;
use crate::server::identity::token::OperatorToken;

fn token() -> OperatorToken {
    OperatorToken::parse("0123456789abcdef0123").unwrap()
}

fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap()
}

fn with(cookie: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())])
}

#[test]
fn a_cookie_is_good_at_its_server_for_its_time() {
    let (session, cookie) = Session::begin(&token(), now()).unwrap();
    let of = |line: &str, at| Session::of(&token(), &with(line), 8000, at);
    assert_eq!(of(&format!("a=b; job_runner_pages_8000={cookie}; c=d"), now()), Some(session.clone()));
    assert_eq!(of(&format!("job_runner_pages_8000=old; job_runner_pages_8000={cookie}"), now()), Some(session));
    assert_eq!(of(&format!("job_runner_pages_8001={cookie}"), now()), None);
    assert_eq!(of(&format!("job_runner_pages_8000={cookie}"), now() + LASTS), None);
    let longer = cookie.replacen('1', "9", 1);
    for wrong in [&cookie[1..], &format!("{cookie}0"), &longer, token().expose(), "", "..", "9999999999.a."] {
        assert_eq!(of(&format!("job_runner_pages_8000={wrong}"), now()), None, "{wrong}");
    }
    let other = OperatorToken::parse("0123456789abcdef0124").unwrap();
    assert_eq!(Session::of(&other, &with(&format!("job_runner_pages_8000={cookie}")), 8000, now()), None);
}

#[test]
fn a_form_belongs_to_one_session() {
    let (one, _) = Session::begin(&token(), now()).unwrap();
    let (other, cookie) = Session::begin(&token(), now() + TimeDelta::seconds(1)).unwrap();
    let said = one.form_token(&token());
    assert!(one.is_form_token(&token(), &said));
    assert!(!other.is_form_token(&token(), &said));
    // The seal of a cookie is no token for a form.
    assert!(!other.is_form_token(&token(), cookie.rsplit_once('.').unwrap().1));
}

#[test]
fn a_notice_is_told_to_whom_it_belongs_and_as_it_was_said() {
    let (one, _) = Session::begin(&token(), now()).unwrap();
    let (other, _) = Session::begin(&token(), now()).unwrap();
    for said in ["Run 12 is killed.", "a; b=c, \"ü\" <b>", ""] {
        let cookie = one.notice_cookie(&token(), said);
        assert!(cookie.bytes().all(|b| b.is_ascii_alphanumeric() || b"*-._+%".contains(&b)), "{cookie}");
        let headers = with(&format!("job_runner_notice_8000={cookie}"));
        let told = one.notice(&token(), &headers, 8000);
        assert_eq!(told.as_deref(), Some(said).filter(|said| !said.is_empty()));
        assert_eq!(other.notice(&token(), &headers, 8000), None);
    }
    let forged = with("job_runner_notice_8000=00.Call+this+number");
    assert_eq!(one.notice(&token(), &forged, 8000), None);
    assert!(one.notice_cookie(&token(), &"ü".repeat(5000)).len() < 4000);
}
