//! Paths that the server names.

use super::*;

#[tokio::test]
async fn a_path_that_leads_away_is_not_followed() {
    let elsewhere = Server::with(200, JOB).await;
    let at = Server::with(200, JOB).await;
    let away = elsewhere.url.join("/api/v1/job/1/").expect("a URL");
    let other_scheme = at.url.as_str().replace("http:", "https:");
    for path in [
        away.as_str(),
        &format!("//{}/api/v1/job/1/", elsewhere.url.authority()),
        &other_scheme,
        "file:///etc/passwd",
        "http://",
        "data:application/json,{}",
    ] {
        let refused = Failure::Elsewhere(path.to_owned());
        assert_eq!(at.client().script(path).await, Err(refused.clone()));
        assert_eq!(at.client().change_log(path, "").await, Err(refused));
    }
    assert!(elsewhere.calls().is_empty() && at.calls().is_empty());
}
