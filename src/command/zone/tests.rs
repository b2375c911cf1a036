use std::path::Path;

use chrono_tz::Tz;

use super::{of_name, of_path};

#[test]
fn a_zone_has_a_name_or_a_file() {
    assert_eq!(of_name("Europe/Amsterdam"), Some(Tz::Europe__Amsterdam));
    assert_eq!(of_name(":Asia/Tokyo"), Some(Tz::Asia__Tokyo));
    assert_eq!(of_name(":/usr/share/zoneinfo/Asia/Tokyo"), Some(Tz::Asia__Tokyo));
    assert_eq!(of_path(Path::new("/usr/share/zoneinfo/Etc/UTC")), Some(Tz::Etc__UTC));
    for odd in ["", "CET-1CEST,M3.5.0,M10.5.0/3", "/etc/localtime", "Nowhere/City"] {
        assert_eq!(of_name(odd), None, "{odd:?}");
    }
}
