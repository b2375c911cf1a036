//! A run's way from its announcement to its return.

use crate::up;

#[tokio::test]
async fn an_announced_run_is_claimed_executed_logged_and_returned() {
    let (server, mut worker) = up(&[]).await;
    let id = server.submit("#!/bin/sh\necho hello\necho there >&2\n");
    let run = server.wait_returned(id).await;
    assert_eq!((run.log_text(), run.return_success), ("hello\nthere\n", Some(true)));
    server.wait_event("returned", id).await;
    server.assert_whole_life(id);
    assert_eq!(worker.stop().await, 0);
}
