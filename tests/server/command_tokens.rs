//! Operator's token: sent only to the server it belongs to.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::program::{Done, Place};

const DEADLINE: Duration = Duration::from_secs(20);

/// A stranger's HTTP server: answers everything with 200, and hands out what it was sent.
struct Stranger {
    listener: TcpListener,
}

impl Stranger {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.listener.local_addr().expect("an address").port())
    }

    /// Runs a command; what it printed, and what reached the stranger meanwhile.
    async fn hears(&self, place: &Place, args: &[&str], environment: &[(&str, &str)]) -> (Done, Option<String>) {
        let mut command = place.command(args);
        command.envs(environment.iter().copied());
        let child = command.spawn().expect("the command");
        let heard = async {
            let (mut stream, _) = self.listener.accept().await.expect("a connection");
            let mut head = vec![0; 16 * 1024];
            let read = stream.read(&mut head).await.expect("a request");
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
            String::from_utf8_lossy(&head[..read]).to_lowercase()
        };
        tokio::pin!(heard);
        let ended = crate::program::finish(child);
        tokio::pin!(ended);
        let both = async {
            tokio::select! {
                done = &mut ended => (done, None),
                head = &mut heard => (ended.await, Some(head)),
            }
        };
        timeout(DEADLINE, both).await.expect("an end")
    }
}

#[tokio::test]
async fn the_token_of_a_data_directory_goes_to_no_other_server() {
    let place = Place::new();
    let (_standalone, _) = place.standalone().await;
    let stranger = Stranger::new().await;
    let (done, heard) = stranger.hears(&place, &["jobs", "--server", &stranger.url("127.0.0.1")], &[]).await;
    assert_eq!((done.code, heard), (77, None), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    assert!(done.err.contains("--token-file"), "{done:?}");
    // The server that works there may be named by its address.
    let address = std::fs::read_to_string(place.path().join("job_runner_data/server.lock")).expect("an address");
    let own = place.run(&["jobs", "--server", &format!("http://{}/", address.trim())]).await;
    assert_eq!(own.code, 0, "{own:?}");
}

#[tokio::test]
async fn the_token_of_the_environment_goes_to_the_server_of_the_environment() {
    let place = Place::new();
    let token = place.script("operator.token", "0123456789abcdef0123456789\n");
    let token = token.to_str().expect("text");
    let stranger = Stranger::new().await;
    let url = stranger.url("127.0.0.1");
    let other = [("JOB_RUNNER_SERVER", "http://127.0.0.1:9/"), ("JOB_RUNNER_TOKEN_FILE", token)];
    let (done, heard) = stranger.hears(&place, &["jobs", "--server", &url], &other).await;
    assert_eq!((done.code, heard), (77, None), "{done:?}");
    let same = [("JOB_RUNNER_SERVER", url.as_str()), ("JOB_RUNNER_TOKEN_FILE", token)];
    let (done, heard) = stranger.hears(&place, &["jobs"], &same).await;
    assert!(heard.expect("a request").contains("bearer 0123456789abcdef0123456789"), "{done:?}");
    let alone = [("JOB_RUNNER_TOKEN_FILE", token)];
    let (done, heard) = stranger.hears(&place, &["jobs", "--server", &url], &alone).await;
    assert!(heard.is_some(), "{done:?}");
}

#[tokio::test]
async fn the_token_crosses_a_network_in_clear_only_where_that_is_allowed() {
    let place = Place::new();
    let token = place.script("operator.token", "0123456789abcdef0123456789\n");
    let token = token.to_str().expect("text");
    // An address of documentation: it must not even be tried.
    let args = ["jobs", "--server", "http://192.0.2.1:8000/", "--token-file", token];
    let refused = timeout(Duration::from_secs(4), place.run(&args)).await.expect("no attempt to connect");
    assert_eq!((refused.code, refused.err.lines().count()), (77, 1), "{refused:?}");
    assert!(refused.err.contains("--plain-http") && refused.err.contains("https://"), "{refused:?}");
    let stranger = Stranger::new().await;
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let resolves =
        tokio::net::lookup_host((name.as_str(), 80)).await.is_ok_and(|mut found| found.any(|a| a.ip().is_loopback()));
    if resolves {
        let url = stranger.url(&name);
        let (done, heard) = stranger.hears(&place, &["jobs", "--server", &url, "--token-file", token], &[]).await;
        assert_eq!((done.code, heard), (77, None), "{done:?}");
        let allowed = ["jobs", "--plain-http", "--server", &url, "--token-file", token];
        let (done, heard) = stranger.hears(&place, &allowed, &[]).await;
        assert!(heard.is_some(), "{done:?}");
    }
}

#[tokio::test]
async fn data_on_the_command_line_is_stronger_than_a_server_of_the_environment() {
    let place = Place::new();
    let (_standalone, _) = place.standalone().await;
    let stranger = Stranger::new().await;
    let url = stranger.url("127.0.0.1");
    let environment = [("JOB_RUNNER_SERVER", url.as_str())];
    let (done, heard) = stranger.hears(&place, &["jobs", "--data", "job_runner_data", "--json"], &environment).await;
    assert_eq!((done.code, heard), (0, None), "{done:?}");
}

#[tokio::test]
async fn a_password_in_an_address_is_never_printed() {
    let place = Place::new();
    let token = place.script("operator.token", "0123456789abcdef0123456789\n");
    let token = token.to_str().expect("text");
    for server in [
        "http://me:hunter2@127.0.0.1:1/",
        "ftp://me:hunter2@127.0.0.1/",
        "http://me:hunter2@:99999/",
        "http://me:hunter2@host name/",
        "me:hunter2@127.0.0.1",
        "http://me:hun@ter2@127.0.0.1:1/",
    ] {
        for args in [&["jobs", "--server", server, "--token-file", token][..], &["jobs", "--help"]] {
            let mut command = place.command(args);
            command.env("JOB_RUNNER_SERVER", server);
            let done = crate::program::finish(command.spawn().expect("the command")).await;
            assert!(!format!("{}{}", done.out, done.err).contains("ter2"), "{server}: {done:?}");
            assert!(args.len() == 2 || done.code == 2, "{server}: {done:?}");
        }
    }
}
