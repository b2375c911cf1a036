//! No ZeroMQ gets through to the worker: all orders come over a WebSocket.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use tokio::net::TcpSocket;

use crate::orders::Orders;
use crate::original_database::NewJob;
use crate::stage::on_stage;
use crate::wait::until;
use crate::worker::SECRET;

#[test]
fn runs_a_kill_and_a_ping_over_the_websocket_alone() {
    on_stage(|stage| {
        // Bound and not listening: refused for as long as the test lasts.
        let dead = TcpSocket::new_v4().expect("a socket");
        dead.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let dead_port = dead.local_addr().expect("a port").port();
        stage.broadcaster = None;

        stage.database.add_worker("one", SECRET, &["one"]);
        let orders = Orders::listen();
        let _worker = stage.start_worker(
            "one",
            &[
                ("broadcaster_server_port", dead_port.to_string()),
                ("ws_url", orders.url()),
                ("concurrent_jobs", "4".into()),
            ],
        );
        until("the worker connects", 30, || orders.is_connected().then_some(()));
        // The original server repeats events here; nothing of this is an order.
        orders.send_text("not even JSON");
        orders.send(&json!({"event": "enqueued", "run_id": 1, "kind": "run"}));
        orders.send(&json!(["action", "enqueue"]));

        orders.send(&json!({"action": "ping"}));
        until("the ping is answered", 30, || stage.database.picture().worker("one").ping_response_dts.clone());

        let record = stage.file("record");
        let jobs: Vec<u64> = (0..20)
            .map(|n| {
                let script = format!("#!/bin/sh\necho {n} >>{}\necho run {n}\n", record.display());
                stage.database.add_job(&NewJob::new(format!("job {n}"), script, "one"))
            })
            .collect();
        let runs = stage.database.schedule(&jobs);
        for run in &runs {
            // Told twice, as duplicates are normal traffic.
            orders.send(&json!({"action": "enqueue", "run_id": run}));
            orders.send(&json!({"action": "enqueue", "run_id": run}));
        }
        let picture = stage.returned(&runs, 60);
        for (n, run) in runs.iter().enumerate() {
            let row = picture.run(*run);
            assert_eq!((row.return_success, row.returns), (Some(true), 1), "{row:?}");
            assert_eq!(stage.database.log(*run), Some(format!("run {n}\n")));
        }
        let text = std::fs::read_to_string(&record).expect("a record");
        let mut done: Vec<u32> = text.lines().map(|line| line.parse().expect("n")).collect();
        done.sort_unstable();
        assert_eq!(done, (0..20).collect::<Vec<_>>());

        let sleeper = NewJob::new("sleeper", "#!/bin/sh\necho sleeping\nsleep 100\n", "one");
        let run = stage.database.add_run(&sleeper);
        orders.send(&json!({"action": "enqueue", "run_id": run}));
        stage.running(&[run], 30);
        let kill = stage.database.kill(run);
        orders.send(&json!({"action": "kill", "kill_request_id": kill}));
        let picture = stage.returned(&[run], 30);
        assert_eq!(picture.run(run).return_success, Some(false));
        until("the kill is executed", 10, || stage.database.picture().kill_request(kill).execute_dts.clone());
    });
}
