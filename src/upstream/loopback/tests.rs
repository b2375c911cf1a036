//! Tests of loopback URLs: only hosts that cannot be another machine count.

use super::is_loopback;
use url::Url;

#[test]
fn this_machine_has_many_names_and_no_other_has_them() {
    let loopback = |url: &str| is_loopback(&Url::parse(url).unwrap());
    for ours in ["http://localhost/", "http://a.localhost:8000/", "http://127.3.2.1/", "http://[::1]:1/"] {
        assert!(loopback(ours), "{ours}");
    }
    for other in [
        "http://example.org/",
        "http://localhost.example.org/",
        "http://128.0.0.1/",
        "http://[::2]/",
        "http://notlocalhost/",
    ] {
        assert!(!loopback(other), "{other}");
    }
}
