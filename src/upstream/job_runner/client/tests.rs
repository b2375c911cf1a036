//! Tests of the transport: the client's reading of anything that a server can answer to one request.

mod certificates;
mod redirects;
mod refusals;

use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::tests::{RUN, Server, answer, client, listen, settings, signed};
use super::*;
use crate::upstream::health::ServerHealth;
use crate::wire::resources::{NewLog, RunPatch, RunResource};

async fn run(client: &RestClient) -> Result<RunResource, CallFailure> {
    run_numbered(client, 2).await
}

async fn run_numbered(client: &RestClient, number: i64) -> Result<RunResource, CallFailure> {
    client.get(&format!("/api/v1/run/{number}/")).await
}

async fn patch(client: &RestClient) -> Result<(), CallFailure> {
    client.write(Method::PATCH, "/api/v1/run/2/", None, &RunPatch::default()).await.map(drop)
}

async fn post(client: &RestClient) -> Result<Option<String>, CallFailure> {
    let log = NewLog { run: "/api/v1/run/2/".to_owned(), content: "" };
    Ok(client.write(Method::POST, "/api/v1/run_log/", None, &log).await?.location)
}

/// Makes a client with a time-out of 0.3 s.
fn impatient(url: &Url) -> RestClient {
    client(Settings { api_timeout: Duration::from_millis(300), ..settings(url) })
}

#[tokio::test]
async fn any_success_of_a_write_is_success() {
    for status in [200, 201, 202, 204] {
        let content = if status == 204 { "" } else { " whatever but a page" };
        let server = Server::with(status, content).await;
        assert_eq!(patch(&server.client()).await, Ok(()), "{status}");
        assert_eq!(post(&server.client()).await, Ok(None), "{status}");
    }
}

#[tokio::test]
async fn a_write_that_is_answered_with_a_web_page_leaves_doubt() {
    for status in [200, 201, 202] {
        let server = Server::with(status, "\n <html>whatever</html>").await;
        let page = CallFailure::Nonsense("a web page".to_owned());
        assert!(page.is_ambiguous());
        assert_eq!(patch(&server.client()).await, Err(page.clone()), "{status}");
        assert_eq!(post(&server.client()).await, Err(page), "{status}");
    }
}

#[tokio::test]
async fn a_path_in_the_base_url_is_replaced_as_urljoin_does() {
    let server = Server::with(200, RUN).await;
    let base = server.url.join("/somewhere/else/").expect("a URL");
    run(&client(settings(&base))).await.expect("a run");
    assert_eq!(server.paths(), ["/api/v1/run/2/"]);
}

/// Starts a server that answers each connection with these bytes and closes it.
async fn raw(bytes: Vec<u8>) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

/// Starts a server that answers each connection with a beginning, and then with a piece every 50 ms without end.
async fn dripping(beginning: &'static str, piece: &'static str) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(beginning.as_bytes()).await;
                let mut ticks = tokio::time::interval(Duration::from_millis(50));
                loop {
                    ticks.tick().await;
                    if stream.write_all(piece.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn no_answer(answer: Result<RunResource, CallFailure>) {
    assert!(matches!(answer, Err(CallFailure::NoAnswer(_))), "{answer:?}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let (listener, url) = listen().await;
    drop(listener);
    let client = client(settings(&url));
    assert!(matches!(run(&client).await, Err(CallFailure::Unreachable(_))));
    assert_eq!(client.health().verdict(), ServerHealth::Failing);
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer_leaves_doubt() {
    let url = raw(Vec::new()).await;
    no_answer(run(&client(settings(&url))).await);
    let write = patch(&client(settings(&url))).await;
    assert!(write.is_err_and(|failure| failure.is_ambiguous()));
}

#[tokio::test]
async fn an_answer_that_is_no_http_leaves_doubt() {
    for bytes in [b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(), vec![0; 100]] {
        no_answer(run(&client(settings(&raw(bytes).await))).await);
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_leaves_doubt() {
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{RUN}", RUN.len() + 1);
    no_answer(run(&client(settings(&raw(cut.into_bytes()).await))).await);
}

#[tokio::test]
async fn too_many_headers_are_not_read() {
    let headers = "x-more: x\r\n".repeat(100_000);
    let url = raw(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n").into_bytes()).await;
    no_answer(run(&client(settings(&url))).await);
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_not_read() {
    let url = raw(format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes()).await;
    no_answer(run(&client(settings(&url))).await);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    no_answer(run(&impatient(&dripping("", "").await)).await);
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    no_answer(run(&impatient(&dripping("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{", "").await)).await);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_as_a_whole() {
    let url = dripping("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{", " ").await;
    no_answer(run(&impatient(&url)).await);
}

#[tokio::test]
async fn one_silent_server_holds_up_no_other_call() {
    let server = Server::that(|call| {
        if call.path.ends_with("/3/") {
            let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            answer(200, &[], Body::from_stream(never))
        } else {
            answer(200, &[], RUN)
        }
    })
    .await;
    let client = server.client();
    let stuck = tokio::spawn({
        let client = client.clone();
        async move { run_numbered(&client, 3).await }
    });
    for _ in 0..5 {
        run(&client).await.expect("a run");
    }
    assert!(!stuck.is_finished());
    stuck.abort();
}

#[tokio::test]
async fn a_clock_that_differs_is_told_and_does_no_harm() {
    let server = Server::that(|_| answer(200, &[("date", "Mon, 23 Nov 2099 17:02:00 GMT")], RUN)).await;
    let client = server.client();
    run(&client).await.expect("a run");
    assert!(client.skew_told.load(Ordering::Relaxed));

    let punctual = Server::with(200, RUN).await.client();
    run(&punctual).await.expect("a run");
    assert!(!punctual.skew_told.load(Ordering::Relaxed));
}

#[test]
fn a_client_shows_its_secret_to_nobody() {
    let client = client(settings(&"http://host/".parse().expect("a URL")));
    assert!(!format!("{client:?}").contains("verysecret"));
}
