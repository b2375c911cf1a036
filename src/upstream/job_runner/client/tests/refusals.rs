//! Tests of statuses and bodies that are no success.

use super::*;

fn server(status: u16) -> CallFailure {
    CallFailure::Server { status, retry_after: None }
}

#[tokio::test]
async fn every_status_says_what_it_means_to_the_caller() {
    for (status, failure) in [
        (400, CallFailure::Rejected(400)),
        (401, CallFailure::Unauthorised(401)),
        (403, CallFailure::Unauthorised(403)),
        (404, CallFailure::NotFound),
        (405, CallFailure::Rejected(405)),
        (408, server(408)),
        (409, CallFailure::Conflict),
        (410, CallFailure::NotFound),
        (413, CallFailure::TooLarge),
        (418, CallFailure::Rejected(418)),
        (422, CallFailure::Rejected(422)),
        (425, server(425)),
        (429, server(429)),
        (500, server(500)),
        (502, server(502)),
        (503, server(503)),
        (504, server(504)),
        (599, server(599)),
    ] {
        let at = Server::with(status, include_str!("../../../../../tests/fixtures/wire/error.json")).await;
        assert_eq!(run(&at.client()).await.expect_err("no run"), failure, "GET {status}");
        assert_eq!(patch(&at.client()).await, Err(failure.clone()), "PATCH {status}");
        assert_eq!(post(&at.client()).await, Err(failure), "POST {status}");
    }
}

#[tokio::test]
async fn what_the_server_asks_to_wait_is_known() {
    for (status, header, wanted) in [
        (503, "7", Some(7)),
        (429, "7", Some(7)),
        (503, "315360000", Some(300)),
        (503, "Fri, 23 Nov 2996 17:02:00 GMT", None),
        (503, "soon", None),
    ] {
        let at = Server::that(move |_| answer(status, &[("retry-after", header)], "")).await;
        let failure = run(&at.client()).await.expect_err("no run");
        assert_eq!(failure.retry_after().map(|wait| wait.as_secs()), wanted, "{header}");
    }
}

#[tokio::test]
async fn success_without_a_resource_makes_no_sense() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0".as_slice();
    let truncated = &RUN.as_bytes()[..RUN.len() / 2];
    for content in [
        b"<!DOCTYPE html><html><body>Sign in to the hotel</body></html>".as_slice(),
        b"",
        b"null",
        b"[]",
        b"\"run\"",
        b"7",
        b"{\"id\": \"two\"}",
        b"{\"id\": 2, \"job\": {}}",
        b"\xff\xfe",
        truncated,
        gzip,
    ] {
        let at = Server::with(200, content).await;
        let answer = run(&at.client()).await;
        assert!(matches!(answer, Err(CallFailure::Nonsense(_))), "{}: {answer:?}", content.escape_ascii());
    }
    let nothing = Server::with(204, "").await;
    assert!(matches!(run(&nothing.client()).await, Err(CallFailure::Nonsense(_))));
}

#[tokio::test]
async fn an_answer_is_asked_for_uncompressed_and_never_unpacked() {
    let at = Server::that(|_| answer(200, &[("content-encoding", "gzip")], vec![0x1f, 0x8b, 8, 0])).await;
    assert!(matches!(run(&at.client()).await, Err(CallFailure::Nonsense(_))));
}

#[tokio::test]
async fn of_what_kind_an_answer_says_it_is_does_not_matter() {
    let at = Server::that(|_| answer(200, &[("content-type", "text/plain; charset=latin-1")], RUN)).await;
    assert_eq!(run(&at.client()).await.expect("a run").id, 2);
}

#[tokio::test]
async fn an_answer_is_read_up_to_sixteen_megabytes() {
    let padded = |length: usize| format!("{RUN}{}", " ".repeat(length - RUN.len()));
    let fits = Server::with(200, padded(MAX_BODY)).await;
    assert_eq!(run(&fits.client()).await.expect("a run").id, 2);
    let too_large = Server::with(200, padded(MAX_BODY + 1)).await;
    assert_eq!(run(&too_large.client()).await.expect_err("no run"), CallFailure::TooLarge);
}

#[tokio::test]
async fn an_answer_without_an_end_is_left_at_sixteen_megabytes() {
    let at = Server::that(|_| {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
        answer(200, &[], Body::from_stream(endless))
    })
    .await;
    assert_eq!(run(&at.client()).await.expect_err("no run"), CallFailure::TooLarge);
}

#[tokio::test]
async fn a_server_that_is_down_is_known_and_a_single_500_is_not_that() {
    for (status, verdict) in
        [(500, ServerHealth::Ok), (404, ServerHealth::Ok), (502, ServerHealth::Failing), (503, ServerHealth::Failing)]
    {
        let client = Server::with(status, "").await.client();
        run(&client).await.expect_err("no run");
        assert_eq!(client.health().verdict(), verdict, "{status}");
    }
}
