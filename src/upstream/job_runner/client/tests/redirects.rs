//! Tests of redirects: a GET is redirected within the origin, and no other call is.

use super::*;

/// Starts a server that redirects to the next lower number down to run 1, which it returns.
async fn chain() -> Server {
    Server::that(|call| {
        let number: u32 = call.path.trim_matches('/').rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        match number {
            1 => answer(200, &[], RUN),
            n => answer(301, &[("location", &format!("/api/v1/run/{}/", n - 1))], ""),
        }
    })
    .await
}

#[tokio::test]
async fn a_get_is_redirected_three_times_and_signed_for_each_path() {
    let server = chain().await;
    run_numbered(&server.client(), 4).await.expect("a run");
    assert_eq!(server.paths(), ["/api/v1/run/4/", "/api/v1/run/3/", "/api/v1/run/2/", "/api/v1/run/1/"]);
    for call in server.calls() {
        assert_eq!(call.authorization, signed(&call), "{}", call.path);
    }
}

#[tokio::test]
async fn a_fourth_redirect_is_one_too_many() {
    let server = chain().await;
    assert!(matches!(run_numbered(&server.client(), 5).await, Err(CallFailure::Redirected(_))));
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::that(move |call| {
            if call.path.ends_with("/2/") {
                answer(status, &[("location", "../1/?a=b")], "")
            } else {
                answer(200, &[], RUN)
            }
        })
        .await;
        run(&server.client()).await.expect("a run");
        assert_eq!(server.paths(), ["/api/v1/run/2/", "/api/v1/run/1/?a=b"], "{status}");
        assert!(server.calls().iter().all(|call| call.authorization == signed(call)));
    }
}

#[tokio::test]
async fn another_origin_gets_no_call() {
    let elsewhere = Server::with(200, RUN).await;
    let away = elsewhere.url.join("/api/v1/run/2/").expect("a URL");
    for to in [away.to_string(), format!("//{}/", elsewhere.url.authority()), "https://127.0.0.1/".to_owned()] {
        let location = to.clone();
        let server = Server::that(move |_| answer(302, &[("location", &location)], "")).await;
        assert_eq!(run(&server.client()).await.expect_err("no run"), CallFailure::Redirected(to));
    }
    assert!(elsewhere.calls().is_empty());
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_an_error() {
    for status in [301, 304] {
        let server = Server::with(status, "").await;
        assert!(matches!(run(&server.client()).await, Err(CallFailure::Redirected(_))), "{status}");
    }
}

#[tokio::test]
async fn a_write_is_never_redirected() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::that(move |_| answer(status, &[("location", "/api/v1/run/1/")], "")).await;
        let redirected = CallFailure::Redirected("/api/v1/run/1/".to_owned());
        assert_eq!(patch(&server.client()).await, Err(redirected.clone()));
        assert_eq!(post(&server.client()).await, Err(redirected));
        assert_eq!(server.calls().len(), 2, "{status}");
    }
}
