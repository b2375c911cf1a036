//! Does to the worker and its surroundings what the plan says, and starts the worker again whenever it is gone.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jobrunner::crash_point::{DEAD, Point};
use nix::sys::signal::Signal;

use super::oracle::history::{Outage, ShimDeath, Size};
use super::plan::{Act, Plan, Turn};
use super::stage::{API_KEY, Stage, returned};
use super::support::{Call, State, What, WorkerHome, WorkerProcess};
use super::weather::Weather;
use super::{shims, small_disk};

/// How long something stays frozen, closed or refused.
const MOMENT: Duration = Duration::from_millis(700);
/// How long somebody is given to pass a point that is armed.
const PASSING: Duration = Duration::from_millis(1500);
/// How long the API fails in an outage.
const OUTAGE: Duration = Duration::from_secs(6);
/// How long a hand-over may take; the promise is measured apart, without faults.
const HAND_OVER: Duration = Duration::from_secs(30);
/// How long the lists of runs cannot be read.
const NO_LISTS: Duration = Duration::from_secs(4);
/// How long a worker may take to be up, and to go on while nobody listens to it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many calls a worker makes meanwhile at least, though it has nothing to do but to answer pings.
const FURTHER: usize = 2;
/// A run that there is not.
const NO_RUN: &str = "900001.1.record";
/// How long a campaign goes on in which no run returns.
const STALLED: Duration = Duration::from_secs(60);
/// The exit code of a worker that handed over.
const HANDED_OVER: i32 = 75;

/// The worker and what is done to it.
pub struct Chaos {
    stage: Arc<Stage>,
    weather: Weather,
    pub worker: WorkerProcess,
    rng: Rng,
    /// How many of the dead of the named points were counted.
    dead_read: usize,
    /// What went wrong in a way that the oracle does not see.
    pub complaints: Vec<String>,
}

impl Chaos {
    pub fn begin(stage: Arc<Stage>, weather: Weather, home: Arc<WorkerHome>, rng: Rng) -> Self {
        let worker = WorkerProcess::start_in(home);
        Self { stage, weather, worker, rng, dead_read: 0, complaints: Vec::new() }
    }

    pub fn set_weather(&self, weather: impl Fn(&Call) -> Option<What> + Send + Sync + 'static) {
        self.stage.server.set_weather(weather);
    }

    /// Acts until so many runs have returned.
    pub async fn rage(&mut self, plan: &mut Plan, goal: usize) {
        let mut last = (0, Instant::now());
        while self.stage.returned() + self.stage.seen().disowned.len() < goal && !self.stalls(&mut last) {
            let turn = plan.turn();
            self.wait(turn, goal).await;
            self.act(turn.act).await;
            self.read_dead();
        }
        self.disarm();
    }

    /// Lets the worker live, in whatever weather, until so many runs have returned; answers how large it was.
    pub async fn endure(&mut self, goal: usize) -> Vec<Size> {
        self.stage.seen().is_unpaced = true;
        let over = |stage: &Stage| stage.returned() + stage.seen().disowned.len() >= goal;
        let mut sizes = Vec::new();
        let mut last = (0, Instant::now());
        while !over(&self.stage) && !self.stalls(&mut last) {
            let before = self.stage.returned();
            let further = |state: &State| returned(state) > before + 4;
            self.stage.server.holds_within(Duration::from_secs(1), further).await;
            if self.rng.u32(..4) == 0 {
                self.end_shim().await;
            }
            if let Some(size) = self.size() {
                sizes.push(size);
            }
        }
        sizes
    }

    /// Whether no run has returned for a long time.
    fn stalls(&mut self, last: &mut (usize, Instant)) -> bool {
        let returned = self.stage.returned();
        if returned > last.0 {
            *last = (returned, Instant::now());
        }
        let stalls = last.1.elapsed() > STALLED;
        if stalls {
            self.complaints.push(format!("no run has returned for {} s", STALLED.as_secs()));
        }
        stalls
    }

    fn size(&self) -> Option<Size> {
        let pid = self.worker.id()?;
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        // Pages of files are the page cache's: what grows of the worker itself is anonymous.
        let anonymous = memory.lines().find_map(|line| line.strip_prefix("Pss_Anon:"))?;
        Some(Size {
            returned: self.stage.returned(),
            anonymous_kib: anonymous.trim().trim_end_matches(" kB").parse().ok()?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
        })
    }

    /// Waits for calls, for the time, or for the worker to die of a point; then it lives again.
    async fn wait(&mut self, turn: Turn, goal: usize) {
        let calls = self.stage.server.look(|state| state.calls.len()) + turn.after_calls;
        let due = move |state: &State| state.calls.len() >= calls || returned(state) >= goal;
        self.unless_dead(turn.at_most, due).await;
    }

    /// Waits until something holds, no longer than so long. A worker that dies meanwhile is started again.
    async fn unless_dead(&mut self, at_most: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let stage = Arc::clone(&self.stage);
        let died = tokio::select! {
            _ = stage.server.holds_within(at_most, holds) => false,
            _ = self.worker.ended() => true,
        };
        if died {
            self.read_dead();
            self.worker.restart().await;
        }
        died
    }

    async fn act(&mut self, act: Act) {
        let stage = Arc::clone(&self.stage);
        match act {
            Act::KillWorker => self.kill_worker().await,
            Act::Arm(point, nth) => self.arm(point, nth).await,
            Act::KillShim => self.end_shim().await,
            Act::KillBoth => {
                self.end_worker().await;
                self.end_shim().await;
                self.worker.restart().await;
            }
            Act::Reboot => self.reboot().await,
            Act::HandOver => self.hand_over().await,
            Act::Freeze => {
                stage.count("worker SIGSTOP");
                self.worker.sigstop();
                stage.server.holds_within(MOMENT, |_| false).await;
                self.worker.sigcont();
            }
            Act::Reload => {
                stage.count("worker SIGHUP");
                self.worker.sighup();
            }
            Act::BroadcasterRestarts => {
                stage.count("broadcaster restart");
                stage.server.broadcaster().close().await;
                self.unless_dead(MOMENT, |_| false).await;
                stage.server.broadcaster().reopen().await;
            }
            Act::BroadcasterFreezes => {
                stage.count("broadcaster frozen");
                stage.server.broadcaster().freeze();
                self.unless_dead(MOMENT, |_| false).await;
                stage.server.broadcaster().thaw();
            }
            Act::ApiFreezes => {
                stage.count("API frozen");
                stage.server.api().freeze();
                self.unless_dead(MOMENT, |_| false).await;
                stage.server.api().thaw();
            }
            Act::ApiConnectionsCut => {
                stage.count("API connections reset");
                stage.server.api().cut();
            }
            Act::ApiRefuses => {
                stage.count("API refuses");
                stage.server.api().close().await;
                self.unless_dead(MOMENT, |_| false).await;
                stage.server.api().reopen().await;
            }
            Act::Outage => self.outage().await,
            Act::FullDisk => self.full_disk().await,
            Act::DamagedOutbox => self.damaged_outbox().await,
            Act::ListsFail => self.lists_fail().await,
            Act::PidUsedAgain => self.pid_used_again().await,
            Act::UnreadableRecord => self.unreadable_record().await,
            Act::StderrUnread => self.stderr_unread().await,
        }
    }

    async fn lists_fail(&mut self) {
        self.end_worker().await;
        self.stage.count("lists of runs fail");
        self.disarm();
        self.weather.fail_lists(NO_LISTS);
        self.worker.restart().await;
        self.unless_dead(NO_LISTS + MOMENT, |_| false).await;
    }

    /// Whether another shim gets the pid of a dead one is the kernel's to say. So what a record names by its pid is made to
    /// name that of a living shim.
    async fn pid_used_again(&mut self) {
        self.disarm();
        let home = Arc::clone(self.worker.home());
        self.unless_dead(PASSING, |_| shims::busy(&home).len() > 1).await;
        self.end_worker().await;
        let busy = shims::busy(&home);
        if let [dead, living, ..] = &busy[..] {
            self.stage.count("pid used again");
            shims::end(&self.stage, dead.pid);
            shims::take_for(dead, living.pid).await;
        }
        self.worker.restart().await;
    }

    async fn unreadable_record(&mut self) {
        self.disarm();
        self.end_worker().await;
        self.stage.count("unreadable record");
        let path = self.worker.home().own_state_path().join("runs").join(NO_RUN);
        let _ = fs::create_dir(&path);
        let before = self.stage.server.look(|state| state.subscribed(API_KEY));
        self.worker.restart().await;
        let up = move |state: &State| state.subscribed(API_KEY) > before;
        let stage = Arc::clone(&self.stage);
        if !stage.server.holds_within(PATIENCE, up).await {
            self.complaints.push(format!("a worker is not up within {PATIENCE:?} beside a record that cannot be read"));
        }
        let _ = fs::remove_dir(&path);
    }

    async fn stderr_unread(&mut self) {
        self.stage.count("stderr unread");
        self.disarm();
        self.worker.leave_unread(true);
        // What fits into the pipe is written before anything can stand still.
        self.unless_dead(MOMENT, |_| false).await;
        let calls = self.stage.server.look(|state| state.calls.len()) + FURTHER;
        let stage = Arc::clone(&self.stage);
        let goes_on = stage.server.holds_within(PATIENCE, move |state| state.calls.len() >= calls).await;
        // One that has died makes no calls either.
        if !goes_on && self.worker.is_running() {
            let made = stage.server.look(|state| state.calls.len()) + FURTHER - calls;
            self.complaints.push(format!("{made} calls within {PATIENCE:?} of a worker whose stderr nobody reads"));
        }
        self.worker.leave_unread(false);
    }

    /// Only where the state directory has a small disk of its own.
    async fn full_disk(&mut self) {
        let state = self.worker.home().state_path();
        if !small_disk::is_one(&state) {
            return self.kill_worker().await;
        }
        self.stage.count("full disk");
        self.disarm();
        small_disk::fill(&state);
        self.stage.note_lack_of_room();
        self.unless_dead(MOMENT, |_| false).await;
        self.stage.note_lack_of_room();
        small_disk::empty(&state);
    }

    async fn damaged_outbox(&mut self) {
        self.end_worker().await;
        self.stage.count("outbox damaged");
        self.stage.forget_what_is_under_way();
        small_disk::damage(&self.worker.home().own_state_path().join("outbox.sqlite"), &mut self.rng);
        self.worker.restart().await;
    }

    async fn kill_worker(&mut self) {
        self.end_worker().await;
        self.worker.restart().await;
    }

    /// The worker is gone afterwards.
    async fn end_worker(&mut self) {
        self.stage.count("worker SIGKILL");
        self.worker.sigkill();
        self.worker.ended().await;
    }

    /// Somebody dies at a point, or the worker is killed in the end.
    async fn arm(&mut self, point: Point, nth: u32) {
        for passing in 1..=nth {
            let _ = fs::write(self.stage.crash_points().join(format!("{point:?}.{passing}")), "");
        }
        // Nobody comes there by himself.
        match point {
            Point::Attached => self.kill_worker().await,
            Point::LossSeen | Point::LossCounted => self.end_shim().await,
            _ => {}
        }
        let folder = self.stage.crash_points();
        let fired = move |_: &State| point.is_of_shim() && !folder.join(format!("{point:?}.1")).exists();
        if !self.unless_dead(PASSING, fired).await && !point.is_of_shim() {
            self.disarm();
            self.kill_worker().await;
        }
        self.disarm();
    }

    fn disarm(&self) {
        for point in Point::OF_WORKER {
            for nth in 1..=4 {
                let _ = fs::remove_file(self.stage.crash_points().join(format!("{point:?}.{nth}")));
            }
        }
        // Who died while we disarmed is read with the others.
    }

    /// Counts who died at a named point since the last time.
    pub fn read_dead(&mut self) {
        let dead = fs::read_to_string(self.stage.crash_points().join(DEAD)).unwrap_or_default();
        for line in dead.lines().skip(self.dead_read) {
            self.dead_read += 1;
            let words: Vec<&str> = line.split(' ').collect();
            let [point, pid, at] = words[..] else { continue };
            self.stage.count(format!("died at {point}"));
            let of_shim = Point::OF_WORKER.iter().any(|known| known.is_of_shim() && format!("{known:?}") == point);
            if of_shim {
                let (pid, at) = (pid.parse().unwrap_or_default(), at.parse().unwrap_or_default());
                shims::note_death(&self.stage, ShimDeath { pid, at });
                self.stage.count("shim SIGKILL at a named point");
            } else {
                self.stage.count("worker SIGKILL at a named point");
            }
        }
    }

    async fn end_shim(&mut self) {
        let shims = shims::living(self.worker.home());
        self.stage.seen().shims.extend(&shims);
        if !shims.is_empty() {
            shims::end(&self.stage, shims[self.rng.usize(..shims.len())]);
        }
    }

    /// Nobody lives any more, and what is on disk was written before this boot.
    async fn reboot(&mut self) {
        self.end_worker().await;
        self.stage.count("reboot");
        for shim in shims::living(self.worker.home()) {
            shims::end(&self.stage, shim);
        }
        super::support::end_everything_marked(self.worker.home().path());
        shims::reboot_records(self.worker.home());
        self.worker.restart().await;
    }

    async fn hand_over(&mut self) {
        self.stage.count("hand-over");
        let since = Instant::now();
        self.worker.signal(Signal::SIGUSR2);
        match tokio::time::timeout(HAND_OVER, self.worker.ended()).await {
            Ok(status) if status.code() == Some(HANDED_OVER) => {
                self.stage.seen().hand_overs.push(since.elapsed());
            }
            // It may have died of a named point on its way out, or have had no handler yet.
            Ok(status) if std::os::unix::process::ExitStatusExt::signal(&status).is_some() => {}
            Ok(status) => self.complaints.push(format!("a hand-over ended with {status}")),
            Err(_) => self.complaints.push(format!("a hand-over took more than {HAND_OVER:?}")),
        }
        self.worker.restart().await;
    }

    async fn outage(&mut self) {
        self.stage.count("outage");
        self.disarm();
        self.weather.begin_outage();
        // A worker that has just been started is not the one that was warned.
        let died = self.unless_dead(OUTAGE, |_| false).await;
        let requests = self.weather.end_outage();
        if !died {
            self.stage.seen().outages.push(Outage { requests });
        }
    }
}
