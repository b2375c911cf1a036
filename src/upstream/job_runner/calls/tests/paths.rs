//! Tests of paths that the server names: only those of its API are requested.

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
        let refused = CallFailure::Elsewhere(path.to_owned());
        assert_eq!(at.client().job(path).await, Err(refused.clone()));
        assert_eq!(at.client().change_log(old_claim(), path, "").await, Err(refused));
    }
    assert!(elsewhere.calls().is_empty() && at.calls().is_empty());
}

#[tokio::test]
async fn a_job_outside_the_api_is_not_asked_for() {
    let at = Server::with(200, JOB).await;
    let inside = at.url.join("/api/v1/job/1/").expect("a URL").to_string();
    for path in [
        "/",
        "/job/1/",
        "/api/v1",
        "/api/v10/job/1/",
        "/api/v2/job/1/",
        "/API/v1/job/1/",
        "/api/v1/../../admin/",
        "/api/v1/%2e%2e/job/1/",
        "/api/v1/..\\job/1/",
        "/login/?next=/api/v1/job/1/",
    ] {
        let failure = at.client().job(path).await.expect_err("no job");
        assert_eq!(failure, CallFailure::Elsewhere(path.to_owned()));
        assert!(!failure.is_passing());
        assert_eq!(failure.to_string(), format!("{path} is no path of the server's API"));
    }
    assert!(at.calls().is_empty());
    for path in ["/api/v1/job/1/", "/api/v1/other/../job/1/", &inside] {
        assert!(at.client().job(path).await.is_ok_and(|job| job.script.is_some()), "{path}");
    }
}

#[tokio::test]
async fn the_api_is_where_the_run_resource_says() {
    for (run_resource, job, of_api) in [
        ("/run/", "/job/1/", true),
        ("/deep/er/api/v7/run/", "/deep/er/api/v7/job/1/", true),
        ("/deep/er/api/v7/run/", "/api/v1/job/1/", false),
        ("/deep/er/api/v7/run/", "/deep/er/api/job/1/", false),
    ] {
        let at = Server::with(200, JOB).await;
        let client = client(Settings { run_resource: run_resource.to_owned(), ..settings(&at.url) });
        assert_eq!(client.job(job).await.is_ok(), of_api, "{run_resource} {job}");
    }
}
