use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::run::{ApiKey, Attempt, Secret};
use crate::server::domain::model::{Concurrency, JobId, RunExit, WorkerId};
use crate::server::domain::title::Title;
use crate::server::store::changes::{ChangeNotice, Subscription};
use crate::server::store::{Appended, NewJob, NewPool, NewProject, NewRun, NewTemplate, NewWorker, RunChange};

const MOST: u64 = 1000;

/// A store with two workers of a pool, a third that is in none, and a job.
struct Scene {
    store: Store,
    mine: WorkerId,
    other: WorkerId,
    stranger: WorkerId,
    job: JobId,
}

fn at(seconds: i64) -> Timestamp {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + seconds)
}

impl Scene {
    async fn set() -> Self {
        let store = Store::in_memory().await.unwrap();
        let mut workers = Vec::new();
        for name in ["mine", "other", "stranger"] {
            let api_key = ApiKey::parse(name).unwrap();
            let new = NewWorker { title: Title::fixed(name), api_key, secret: Secret::new(b"a secret".to_vec()) };
            workers.push(store.new_worker(&new).await.unwrap().id);
        }
        let pool = NewPool { workers: workers[..2].to_vec(), ..NewPool::new(Title::fixed("pool")) };
        let pool = store.new_pool(&pool).await.unwrap().id;
        let project = NewProject { pools: vec![pool], ..NewProject::new(Title::fixed("project")) };
        let project = store.new_project(&project).await.unwrap().id;
        let template = NewTemplate { title: Title::fixed("any"), body: "{{ content|safe }}".to_owned(), project };
        let template = store.new_template(&template).await.unwrap().id;
        // Its runs do not wait for one another.
        let job = NewJob {
            concurrency: Concurrency::Allow,
            ..NewJob::new(Title::fixed("job"), template, pool, "#!/bin/sh\n")
        };
        let job = store.new_job(&job).await.unwrap().id;
        Self { store, mine: workers[0], other: workers[1], stranger: workers[2], job }
    }

    async fn new_run(&self) -> RunId {
        self.store.new_run(&NewRun { is_manual: true, ..NewRun::due(self.job, at(0)) }).await.unwrap().id
    }

    /// Makes a run that a worker has claimed.
    async fn claimed_by(&self, worker: WorkerId) -> RunId {
        let run = self.new_run().await;
        let claim = Patch { enqueue_dts: Some(Some(at(1))), ..Patch::default() };
        self.change(run, &claim, Actor::Worker(worker, None)).await.unwrap();
        run
    }

    async fn change(&self, run: RunId, patch: &Patch, who: Actor) -> Result<(), LifeRefusal> {
        match self.store.change_run(run, patch, who, at(9)).await.unwrap() {
            RunChange::Made(_) => Ok(()),
            RunChange::Refused(refusal) => Err(refusal),
            RunChange::Unknown => panic!("the run exists"),
        }
    }

    async fn tell(&self, run: RunId, tell: &RunTell, who: Actor) -> TellOutcome {
        let Actor::Worker(worker, _) = who else { panic!("workers tell") };
        self.store.tell_run(run, tell.clone(), who, Scope::Worker(worker), at(9)).await.unwrap()
    }

    fn me(&self) -> Actor {
        Actor::Worker(self.mine, Some(Attempt(1)))
    }

    async fn log(&self, run: RunId) -> Option<String> {
        self.store.log_text(run).await.unwrap()
    }
}

fn start() -> Patch {
    Patch { start_dts: Some(Some(at(2))), pid: Some(Some(7)), ..Patch::default() }
}

fn result() -> Patch {
    Patch {
        return_dts: Some(Some(at(3))),
        return_success: Some(Some(false)),
        exit: Some(RunExit::Code(3)),
        ..Patch::default()
    }
}

fn log(from: u64, text: &str) -> Option<ToldLog> {
    Some(ToldLog { from, text: text.to_owned(), most: MOST })
}

fn everything(text: &str) -> RunTell {
    RunTell { start: start(), log: log(0, text), result: result() }
}

fn heard(news: &mut Subscription) -> Vec<Change> {
    let item = |notice| match notice {
        ChangeNotice::Item(item) => item,
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| news.try_next()).map(item).collect()
}

#[tokio::test]
async fn all_that_is_known_of_a_run_is_taken_in_its_order_and_told_again_it_changes_nothing() {
    let scene = Scene::set().await;
    let run = scene.claimed_by(scene.mine).await;
    let mut news = scene.store.changes().subscribe();
    let first = scene.tell(run, &everything("hällo\n"), scene.me()).await;
    let TellOutcome::Taken(Some(_)) = first else { panic!("{first:?}") };
    let changes = [Change::RunStarted(run), Change::RunLog(run, 7), Change::RunReturned(run)];
    assert_eq!(heard(&mut news), changes);
    let told = scene.store.run(run).await.unwrap().unwrap();
    assert_eq!((told.start_dts, told.pid, told.return_dts), (Some(at(2)), Some(7), Some(at(3))));
    assert_eq!((told.return_success, told.exit), (Some(false), Some(RunExit::Code(3))));
    assert_eq!(scene.tell(run, &everything("hällo\n"), scene.me()).await, first);
    assert_eq!(heard(&mut news), []);
    assert_eq!(scene.store.run(run).await.unwrap().unwrap(), told);
    assert_eq!(scene.log(run).await.as_deref(), Some("hällo\n"));
}

#[tokio::test]
async fn a_tell_whose_answer_was_lost_is_told_again_with_what_has_come_since() {
    let scene = Scene::set().await;
    let run = scene.claimed_by(scene.mine).await;
    let begun = RunTell { start: start(), log: log(0, "one\n"), result: Patch::default() };
    assert!(matches!(scene.tell(run, &begun, scene.me()).await, TellOutcome::Taken(Some(_))));
    let whole = everything("one\ntwo\n");
    assert!(matches!(scene.tell(run, &whole, scene.me()).await, TellOutcome::Taken(Some(_))));
    assert_eq!(scene.log(run).await.as_deref(), Some("one\ntwo\n"));
    // One that was under way for long comes last.
    assert!(matches!(scene.tell(run, &begun, scene.me()).await, TellOutcome::Taken(Some(_))));
    assert_eq!(scene.log(run).await.as_deref(), Some("one\ntwo\n"));
}

#[tokio::test]
async fn a_run_without_output_has_an_empty_log_after_its_tell() {
    let scene = Scene::set().await;
    let run = scene.claimed_by(scene.mine).await;
    for _ in 0..2 {
        assert!(matches!(scene.tell(run, &everything(""), scene.me()).await, TellOutcome::Taken(Some(_))));
        assert_eq!(scene.log(run).await.as_deref(), Some(""));
    }
}

#[tokio::test]
async fn the_first_part_that_is_refused_ends_the_tell_and_those_before_it_are_kept() {
    let scene = Scene::set().await;
    let run = scene.claimed_by(scene.mine).await;
    let gap = RunTell { log: log(5, "text"), ..everything("") };
    let refused = TellOutcome::Refused(TellPart::Log, TellRefusal::OtherLog);
    assert_eq!(scene.tell(run, &gap, scene.me()).await, refused);
    let told = scene.store.run(run).await.unwrap().unwrap();
    assert_eq!((told.start_dts, told.return_dts), (Some(at(2)), None));
    assert_eq!(scene.log(run).await, None);
    let long = everything(&"x".repeat(1001));
    let refused = TellOutcome::Refused(TellPart::Log, TellRefusal::TooLong);
    assert_eq!(scene.tell(run, &long, scene.me()).await, refused);
    let half = RunTell { result: Patch { return_success: None, ..result() }, ..everything("text") };
    let outcome = scene.tell(run, &half, scene.me()).await;
    assert!(matches!(outcome, TellOutcome::Refused(TellPart::Result, TellRefusal::Life(LifeRefusal::Malformed(_)))));
    assert_eq!(scene.log(run).await.as_deref(), Some("text"));
    let other = RunTell { log: log(2, "XX and more"), ..everything("") };
    let refused = TellOutcome::Refused(TellPart::Log, TellRefusal::OtherLog);
    assert_eq!(scene.tell(run, &other, scene.me()).await, refused);
    assert_eq!(scene.log(run).await.as_deref(), Some("text"));
}

#[tokio::test]
async fn a_worker_tells_of_no_run_that_it_does_not_see() {
    let scene = Scene::set().await;
    let run = scene.claimed_by(scene.mine).await;
    let stranger = Actor::Worker(scene.stranger, None);
    assert_eq!(scene.tell(run, &everything("x"), stranger).await, TellOutcome::Hidden);
    let unknown = RunId::new(99).unwrap();
    assert_eq!(scene.tell(unknown, &everything("x"), scene.me()).await, TellOutcome::Unknown);
    assert_eq!(scene.log(run).await, None);
}

#[tokio::test]
async fn a_late_result_is_kept_where_it_is_told_alone() {
    let scene = Scene::set().await;
    let run = scene.claimed_by(scene.mine).await;
    let other_result = Patch { return_dts: Some(Some(at(4))), return_success: Some(Some(true)), ..result() };
    scene.change(run, &other_result, scene.me()).await.unwrap();
    let refused = |part| TellOutcome::Refused(part, TellRefusal::Life(LifeRefusal::Final));
    assert_eq!(scene.tell(run, &everything("x"), scene.me()).await, refused(TellPart::Start));
    assert_eq!(scene.store.late_results_of_run(run).await.unwrap().len(), 0, "the start ended the tell");
    let alone = RunTell { result: result(), ..RunTell::default() };
    assert_eq!(scene.tell(run, &alone, scene.me()).await, refused(TellPart::Result));
    assert_eq!(scene.store.late_results_of_run(run).await.unwrap().len(), 1);
}

/// State of a run before a tell.
#[derive(Clone, Copy, Debug)]
enum Before {
    Unclaimed,
    Claimed,
    ClaimedByOther,
    Started,
    Returned,
    ReturnedWithLog,
}

impl Scene {
    async fn run_in(&self, before: Before) -> RunId {
        let run = match before {
            Before::Unclaimed => self.new_run().await,
            Before::ClaimedByOther => self.claimed_by(self.other).await,
            _ => self.claimed_by(self.mine).await,
        };
        if let Before::Started | Before::Returned | Before::ReturnedWithLog = before {
            self.change(run, &start(), self.me()).await.unwrap();
        }
        if let Before::ReturnedWithLog = before {
            self.store.append_log(run, 0, "text", self.me(), MOST).await.unwrap();
        }
        if let Before::Returned | Before::ReturnedWithLog = before {
            let other = Patch { return_dts: Some(Some(at(5))), ..result() };
            self.change(run, &other, self.me()).await.unwrap();
        }
        run
    }

    /// Makes the single calls that a tell stands for, as far as they are accepted.
    async fn by_single_calls(&self, run: RunId, tell: &RunTell, who: Actor) -> Result<(), (TellPart, LifeRefusal)> {
        if tell.start != Patch::default() {
            self.change(run, &tell.start, who).await.map_err(|refusal| (TellPart::Start, refusal))?;
        }
        if let Some(log) = &tell.log {
            match self.store.append_log(run, log.from, &log.text, who, log.most).await.unwrap() {
                Appended::Kept(_) => {}
                Appended::Refused(refusal) => return Err((TellPart::Log, refusal)),
                other => panic!("{other:?}"),
            }
        }
        if tell.result != Patch::default() {
            self.change(run, &tell.result, who).await.map_err(|refusal| (TellPart::Result, refusal))?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_tell_is_answered_as_the_single_calls_are_and_leaves_the_run_as_they_do() {
    let scene = Scene::set().await;
    let parts = |bits: u32| RunTell {
        start: if bits & 1 > 0 { start() } else { Patch::default() },
        log: if bits & 2 > 0 { log(0, "text") } else { None },
        result: if bits & 4 > 0 { result() } else { Patch::default() },
    };
    let whos = [scene.me(), Actor::Worker(scene.mine, None), Actor::Worker(scene.mine, Some(Attempt(2)))];
    let states = [Before::Unclaimed, Before::Claimed, Before::ClaimedByOther, Before::Started, Before::Returned];
    for (before, who, tell) in states
        .iter()
        .flat_map(|before| whos.iter().flat_map(move |who| (1..8).map(move |bits| (*before, *who, parts(bits)))))
    {
        let (told, single) = (scene.run_in(before).await, scene.run_in(before).await);
        let outcome = scene.tell(told, &tell, who).await;
        match scene.by_single_calls(single, &tell, who).await {
            Ok(()) => assert!(matches!(outcome, TellOutcome::Taken(_)), "{before:?} {who:?} {tell:?}: {outcome:?}"),
            Err((part, refusal)) => {
                let expected = TellOutcome::Refused(part, TellRefusal::Life(refusal));
                assert_eq!(outcome, expected, "{before:?} {who:?} {tell:?}");
            }
        }
        let mut runs = [scene.store.run(told).await.unwrap().unwrap(), scene.store.run(single).await.unwrap().unwrap()];
        runs[0].id = runs[1].id;
        runs[0].schedule_id = runs[1].schedule_id;
        assert_eq!(runs[0], runs[1], "{before:?} {who:?} {tell:?}");
        assert_eq!(scene.log(told).await, scene.log(single).await, "{before:?} {who:?} {tell:?}");
    }
}

#[tokio::test]
async fn the_log_that_is_there_already_is_accepted_after_the_end_and_more_of_it_is_not() {
    let scene = Scene::set().await;
    let only = |text| RunTell { log: log(0, text), ..RunTell::default() };
    let run = scene.run_in(Before::ReturnedWithLog).await;
    assert!(matches!(scene.tell(run, &only("text"), scene.me()).await, TellOutcome::Taken(Some(_))));
    let refused = TellOutcome::Refused(TellPart::Log, TellRefusal::Life(LifeRefusal::Final));
    for text in ["text and more", "another"] {
        assert_eq!(scene.tell(run, &only(text), scene.me()).await, refused, "{text}");
    }
    let theirs = TellOutcome::Refused(TellPart::Log, TellRefusal::Life(LifeRefusal::Theirs));
    assert_eq!(scene.tell(run, &only("text"), Actor::Worker(scene.other, None)).await, theirs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A worker that hears nothing tells again from where it last heard of, with what it has by then.
    #[test]
    fn whatever_is_told_again_the_log_is_the_text(
        text in "[aä€𝄞\n]{0,40}",
        tells in proptest::collection::vec((0_usize..50, 0_usize..50), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::set().await;
            let run = scene.claimed_by(scene.mine).await;
            let mut known = 0;
            for (from, to) in tells.into_iter().chain([(0, usize::MAX)]) {
                let to = text.floor_char_boundary(to);
                let from = text.floor_char_boundary(from.min(to).min(known));
                let tell = RunTell { log: log(from as u64, &text[from..to]), ..RunTell::default() };
                assert!(matches!(scene.tell(run, &tell, scene.me()).await, TellOutcome::Taken(_)));
                known = known.max(to);
                assert_eq!(scene.log(run).await.as_deref(), Some(&text[..known]));
            }
        });
    }
}
