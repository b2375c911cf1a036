//! Ten thousand jobs and a thousand workers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jobrunner::run::Order;
use jobrunner::server::store::changes::Change;
use tokio::sync::broadcast::error::RecvError;

use crate::stage::Stage;

const WORKERS: usize = 1_000;
const DUE: usize = 1_000;
/// How long it may take until all is announced, here where everything is slow.
const DEADLINE: Duration = Duration::from_secs(30);

/// Who looks at what is due looks at nothing else, and everybody gets as much as it can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_are_due_among_ten_thousand_jobs() {
    let stage = Stage::with(0, |settings| settings.announce_interval = Duration::from_secs(3600)).await;
    let mut orders = stage.fixture.app_state().orders.carry();
    stage.fill(WORKERS, 10_000, DUE).await;
    let begin = Instant::now();
    stage.fixture.app_state().changes().publish(Change::CatalogueChanged);
    let mut told = BTreeMap::<_, u32>::new();
    let hear = async {
        while told.values().sum::<u32>() < u32::try_from(DUE).unwrap() {
            match orders.recv().await {
                Ok(order) if matches!(order.order, Order::Enqueue(_)) => {
                    *told.entry(order.to.to_string()).or_default() += 1
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => panic!("{missed} orders were missed"),
                Err(RecvError::Closed) => panic!("closed"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, hear).await.expect("all announced in time");
    println!("{DUE} runs announced in {:?}", begin.elapsed());
    assert!(told.values().all(|runs| *runs == 1), "everybody has one slot");
    stage.fixture.stop().await;
}
