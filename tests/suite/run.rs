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

#[tokio::test]
async fn the_run_after_a_killed_one_is_not_touched() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    for _ in 0..3 {
        let doomed = server.submit("#!/bin/sh\necho waiting\nsleep 600\n");
        server.wait_logged(doomed, "waiting").await;
        let kill = server.kill(doomed);
        server.wait_executed(kill).await;
        assert_eq!(server.wait_returned(doomed).await.return_success, Some(false));
        let next = server.submit("#!/bin/sh\nsleep 0.1\necho fine\n");
        let run = server.wait_returned(next).await;
        assert_eq!((run.log_text(), run.return_success), ("fine\n", Some(true)));
    }
    assert_eq!(worker.stop().await, 0);
}
