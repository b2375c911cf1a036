use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};

use super::{back, own};

#[test]
fn a_way_back_never_leads_to_another_site() {
    for ours in ["/", "/runs/5", "/jobs?title=a+b&page=2", "/admin/jobs/3", "/runs/5?next=//evil.example"] {
        assert_eq!(own(ours), ours);
    }
    for other in [
        "",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " /runs/5",
        "https://evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "/ü",
        "/login?token=x",
        "/logout",
        "/parts/now",
        &format!("/{}", "a".repeat(3000)),
    ] {
        assert_eq!(own(other), "/", "{other:?}");
    }
}

#[test]
fn a_form_leads_back_to_its_page() {
    let uri: Uri = "/runs/5/kill".parse().unwrap();
    let from = |from: &str| HeaderMap::from_iter([(header::REFERER, HeaderValue::from_str(from).unwrap())]);
    assert_eq!(back(&Method::POST, &uri, &from("http://localhost:8000/runs/5?line=3#log")), "/runs/5?line=3");
    assert_eq!(back(&Method::POST, &uri, &from("http://localhost:8000//evil.example/")), "/");
    assert_eq!(back(&Method::POST, &uri, &HeaderMap::new()), "/");
    assert_eq!(back(&Method::GET, &"/jobs?page=2".parse().unwrap(), &HeaderMap::new()), "/jobs?page=2");
}
