use chrono::Utc;
use chrono_tz::Tz;

use super::runs;

#[test]
fn where_nothing_has_run_it_says_how() {
    assert!(runs(&[], Utc::now(), Tz::UTC).to_string().contains("Nothing has run yet"));
}
