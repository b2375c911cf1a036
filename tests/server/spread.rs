//! Runs that become a run of each worker.

use chrono::Utc;
use jobrunner::server::model::Asker;

use crate::stage::Stage;

#[tokio::test]
async fn who_asked_for_a_run_on_all_workers_is_known_of_each_of_its_runs() {
    let stage = Stage::start(2).await;
    for worker in 0..2 {
        stage.answer(worker, 4).await;
    }
    let job = stage.job(|job| job.run_on_all_workers = true).await;
    stage.store().run_now(job.id, true, Asker::Command, Utc::now()).await.unwrap();
    let both = async |_: &_| Some(stage.coming(&job).await).filter(|runs| runs.len() == 2);
    for run in stage.until("a run of each worker", both).await {
        let asked_by = stage.store().story(&run).await.unwrap().unwrap().asked_by;
        assert_eq!(asked_by.map(|somebody| somebody.asker), Some(Asker::Command));
    }
    stage.fixture.stop().await;
}
