use axum::http::HeaderValue;

use super::*;

#[test]
fn the_id_and_the_secret_are_read() {
    let read = |text: &str| {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(text).unwrap())]);
        basic(&headers).map(|(id, secret)| (id.to_string(), String::from_utf8(secret.expose().to_vec()).unwrap()))
    };
    let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let id = "5a1b2c3d4e5f60718293a4b5";
    assert_eq!(read(&header(&format!("{id}:s:t"))), Some((id.to_owned(), "s:t".to_owned())));
    assert_eq!(read(&header(&format!("{id}:")).replace("Basic", "basic")), Some((id.to_owned(), String::new())));
    for bad in ["Basic", "Basic %", "Bearer x", &header(id), &header("../x:y"), &header("")] {
        assert_eq!(read(bad), None, "{bad}");
    }
}
