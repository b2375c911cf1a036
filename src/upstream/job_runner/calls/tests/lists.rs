//! Tests of lists: their pages, and the choice of this worker among several.

use serde_json::json;

use super::*;

fn page(next: Value, ids: &[i64]) -> String {
    let objects: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
    json!({"meta": {"next": next}, "objects": objects}).to_string()
}

async fn listed(server: &Server) -> Result<Vec<i64>, CallFailure> {
    Ok(server.client().incomplete(SeenRunState::Started).await?.iter().map(|found| found.run.get()).collect())
}

#[tokio::test]
async fn all_pages_are_read_in_order() {
    let server = Server::that(|call| {
        let content = if call.path.contains("offset=2") {
            page(Value::Null, &[3])
        } else {
            page(json!("/api/v1/run/?state=started&offset=2"), &[1, 2])
        };
        answer(200, &[], content)
    })
    .await;
    assert_eq!(listed(&server).await, Ok(vec![1, 2, 3]));
    assert_eq!(
        server.paths(),
        ["/api/v1/run/?state=started&worker__api_key=testworker", "/api/v1/run/?state=started&offset=2"]
    );
    assert!(server.calls().iter().all(|call| call.authorization == signed(call)));
}

#[tokio::test]
async fn a_key_is_escaped_in_a_query() {
    let server = Server::with(200, page(Value::Null, &[])).await;
    let key = ApiKey::parse("a&b=c#d+é").expect("a key");
    let client = client(Settings { api_key: key, ..settings(&server.url) });
    client.incomplete(SeenRunState::InQueue).await.expect("a list");
    assert_eq!(server.paths(), ["/api/v1/run/?state=in_queue&worker__api_key=a%26b%3Dc%23d%2B%C3%A9"]);
}

#[tokio::test]
async fn what_is_no_list_makes_no_sense() {
    for content in ["{}", r#"{"objects": []}"#, r#"{"meta": {"next": null}}"#, r#"{"meta": {}, "objects": {}}"#, "[]"] {
        let answer = listed(&Server::with(200, content).await).await;
        assert!(matches!(answer, Err(CallFailure::Nonsense(_))), "{content}: {answer:?}");
    }
}

#[tokio::test]
async fn pages_that_go_in_a_circle_are_left() {
    let server = Server::with(200, page(json!("/api/v1/run/?offset=1"), &[1])).await;
    assert!(matches!(listed(&server).await, Err(CallFailure::Nonsense(_))));
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_next_page_of_another_host_is_not_read() {
    let elsewhere = Server::with(200, page(Value::Null, &[2])).await;
    let next = elsewhere.url.join("/api/v1/run/").expect("a URL").to_string();
    let server = Server::with(200, page(json!(&next), &[1])).await;
    assert_eq!(listed(&server).await, Err(CallFailure::Elsewhere(next)));
    assert!(elsewhere.calls().is_empty());
}

#[tokio::test]
async fn a_list_without_an_end_is_left_after_a_thousand_pages() {
    let server = Server::that(|call| {
        let offset: usize = call.path.rsplit('=').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        answer(200, &[], page(json!(format!("/api/v1/run/?offset={}", offset + 1)), &[1]))
    })
    .await;
    assert!(matches!(listed(&server).await, Err(CallFailure::Nonsense(_))));
    assert_eq!(server.calls().len(), MAX_PAGES);
}

fn workers(of: &[(&str, Option<&str>)]) -> String {
    let objects: Vec<_> = of.iter().map(|(path, key)| json!({"resource_uri": path, "api_key": key})).collect();
    json!({"meta": {"next": null}, "objects": objects}).to_string()
}

#[tokio::test]
async fn no_worker_is_a_key_that_nobody_has() {
    let client = Server::with(200, workers(&[])).await.client();
    let said = client.me().await.expect_err("no worker").to_string();
    assert!(said.contains("testworker"), "{said}");
}

#[tokio::test]
async fn the_only_worker_is_us() {
    let client = Server::with(200, workers(&[("/api/v1/worker/1/", None)])).await.client();
    assert_eq!(client.me().await, Ok("/api/v1/worker/1/"));
}

#[tokio::test]
async fn of_several_workers_the_one_with_exactly_our_key_is_us() {
    let several = [
        ("/api/v1/worker/1/", Some("testworker1")),
        ("/api/v1/worker/2/", Some("testworker")),
        ("/api/v1/worker/3/", None),
    ];
    let client = Server::with(200, workers(&several)).await.client();
    assert_eq!(client.me().await, Ok("/api/v1/worker/2/"));
    let client = Server::with(200, workers(&[several[0], several[2]])).await.client();
    assert!(matches!(client.me().await, Err(CallFailure::Nonsense(_))));
}
