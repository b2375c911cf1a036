use minijinja::Value;

use super::{Head, Section, page};
use crate::server::domain::model::ProjectId;
use crate::server::http::dashboard::notice::Notice;
use crate::server::http::dashboard::plain_page::{message, plain_page};
use crate::server::http::dashboard::visit::Visit;

const HEAD: Head<'_> = Head { title: "Now", section: Section::Now, script: Some("now"), by_project: Some("/") };

#[test]
fn a_view_stands_in_this() {
    let visit =
        Visit { notice: Some(Notice::done("Run 12 is killed.")), project: ProjectId::new(1), ..Visit::sample() };
    insta::assert_snapshot!(page(&visit, HEAD, &Value::from_safe_string("<p>The view</p>".to_owned())));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let visit = Visit { notice: Some(Notice::refused(evil)), ..Visit::sample() };
    let whole = page(&visit, Head { title: evil, ..HEAD }, &Value::from(evil));
    for page in [whole, message(evil), plain_page(evil, &Value::from(evil))] {
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
        assert!(!page.contains(" style=") && !page.contains(" onclick"), "nothing inline: {page}");
    }
}
