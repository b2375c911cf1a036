use chrono::Utc;

use super::body;
use super::filter::LaneFilter;
use crate::server::http::dashboard::visit::Visit;

fn shown(query: &str) -> String {
    body(&LaneFilter::parse(query, None), Some("<b>"), &[], Utc::now(), &Visit::sample()).to_string()
}

#[test]
fn where_nothing_has_run_it_says_how() {
    assert!(shown("").contains("Nothing has run yet"));
    assert!(!shown("q=x").contains("Nothing has run yet"));
}

#[test]
fn what_is_sought_stays_in_the_fields() {
    let page = shown("q=%3Cb%3E&state=timed_out&job=3");
    assert!(page.contains("value=\"&lt;b&gt;\""), "{page}");
    assert!(page.contains("<option value=\"timed_out\" selected>timed out</option>"), "{page}");
    assert!(page.contains("Job &lt;b&gt;"), "{page}");
}
