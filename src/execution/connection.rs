//! The worker's end of a shim: one task that reads what the shim says and passes it to the run.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Kind;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::patience::{DEAD, Patience, PatienceVerdict};
use super::shim::{self, socket, tree};
use crate::report::StoredEnd;
use crate::run::{Cause, Outcome, shortage};
use crate::wire::disk::Record;
use crate::wire::shim::{ExecutionOrder, FromShim, ToShim};

/// How much may wait in either direction. A shim says little, and only when it is asked to.
const QUEUE: usize = 16;
/// The longest packet of a shim, in bytes: a list of stuck processes.
const MAX_SAID: usize = 16 * 1024;

/// How many shims that hung up are awaited to be gone at once, each with a descriptor: one that stays for leftovers may stay
/// for long. Of others, what they leave is cleared away with what the next one leaves.
static AWAITED: Semaphore = Semaphore::const_new(64);
/// How long a shim may take to greet.
pub(super) const GREETING: Duration = Duration::from_secs(10);

/// What a run hears of its script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It runs.
    Spawned {
        /// Its pid.
        pid: i32,
        /// When, as it is sent.
        at: String,
    },
    /// There is output, as it was asked for.
    Output(u64),
    /// Somebody survives KILL for long.
    Stuck(Vec<i32>),
    /// It is over, and the record says so.
    Ended(StoredEnd),
    /// It was not executed: the licence was not given.
    Refused {
        /// Why.
        why: String,
        /// Whether that passes by itself: the system has too little of something.
        shortage: bool,
    },
    /// Nobody supervises it any more.
    ShimDied,
}

/// A run that was given to a shim.
#[derive(Debug)]
pub struct Running {
    progress: mpsc::Receiver<Progress>,
    control: Control,
}

impl Running {
    /// The next news; [`Progress::ShimDied`] when none will come.
    pub async fn next(&mut self) -> Progress {
        self.progress.recv().await.unwrap_or(Progress::ShimDied)
    }

    /// What can be asked of it, by anybody.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

/// What can be asked of a run that was given to a shim. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    say: mpsc::Sender<ShimRequest>,
}

impl Control {
    /// Stops the script. Nothing, if it is over.
    pub async fn stop(&self, cause: Cause, grace: Duration) {
        let grace_ms = super::millis(grace);
        let _ = self.say.send(ShimRequest::Say(ToShim::Stop { cause: cause.into(), grace_ms })).await;
    }

    /// Asks to be told when there is more output than this.
    pub async fn watch(&self, beyond: u64) {
        let _ = self.say.send(ShimRequest::Say(ToShim::Watch { beyond })).await;
    }
}

/// What the task of a shim is asked.
#[derive(Debug)]
pub(super) enum ShimRequest {
    Say(ToShim),
    Execute(Box<ExecutionOrder>, mpsc::Sender<Progress>),
}

/// A shim that can be given a run.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) say: mpsc::Sender<ShimRequest>,
}

impl Shim {
    /// Gives it a run. Gives the order back where the shim is gone.
    pub(super) async fn execute(&self, order: Box<ExecutionOrder>) -> Result<Running, Box<ExecutionOrder>> {
        let (progress, heard) = mpsc::channel(QUEUE);
        match self.say.send(ShimRequest::Execute(order, progress)).await {
            Ok(()) => Ok(Running { progress: heard, control: Control { say: self.say.clone() } }),
            Err(mpsc::error::SendError(ShimRequest::Execute(order, _))) => Err(order),
            Err(_) => unreachable!("what comes back is what was sent"),
        }
    }
}

/// What a shim says first.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) supervision: String,
}

/// What a shim says first, or why there is none.
pub(super) type Greeting = io::Result<Hello>;

/// Serves a connection. `idle` is given the shim each time it can take another run.
pub(super) struct ShimConnection {
    /// Of the kind `SOCK_SEQPACKET`, for which the runtime has no name: a datagram socket sends and receives alike.
    socket: UnixDatagram,
    packet: Vec<u8>,
    requests: mpsc::Receiver<ShimRequest>,
    /// Weak, so that a shim nobody holds is let go.
    say: mpsc::WeakSender<ShimRequest>,
    progress: Option<mpsc::Sender<Progress>>,
    hello: Option<oneshot::Sender<Greeting>>,
    /// The shim's process, where it is known.
    process: Option<ShimProcess>,
    patience: Patience,
    /// Tells that a child of ours was stopped, among much else. A shim of another worker's is none.
    children: Option<Signal>,
    /// The script of a shim that is no child of ours: with its end, the shim has something to say.
    script: Option<AsyncFd<OwnedFd>>,
    is_child: bool,
}

/// A shim's process: its number, and what cannot come to mean another.
#[derive(Debug)]
pub(super) struct ShimProcess {
    pid: i32,
    descriptor: OwnedFd,
}

impl ShimProcess {
    pub(super) fn new(pid: i32) -> Option<Self> {
        shim::process(pid).ok().map(|descriptor| Self { pid, descriptor })
    }

    pub(super) fn kill(&self) {
        shim::signal(&self.descriptor, Kind::SIGKILL);
    }

    /// Waits for its end: the socket of who dies closes a moment before the process is gone. Whether it came.
    async fn ends(self) -> bool {
        let Ok(_awaited) = AWAITED.try_acquire() else { return false };
        match shim::awaited(self.descriptor) {
            Ok(process) => process.readable().await.is_ok(),
            Err(_) => false,
        }
    }
}

impl ShimConnection {
    pub(super) fn new(fd: OwnedFd, hello: Option<oneshot::Sender<Greeting>>) -> io::Result<(Self, Shim)> {
        let (say, requests) = mpsc::channel(QUEUE);
        let connection = Self {
            socket: UnixDatagram::from_std(StdSocket::from(fd))?,
            packet: vec![0; MAX_SAID],
            requests,
            say: say.downgrade(),
            progress: None,
            hello,
            process: None,
            patience: Patience::default(),
            children: None,
            script: None,
            is_child: false,
        };
        Ok((connection, Shim { say }))
    }

    /// Of a shim that is a child of ours.
    pub(super) fn of_child(mut self, process: Option<ShimProcess>) -> Self {
        (self.process, self.is_child) = (process, true);
        self.children = signal(SignalKind::child()).ok();
        self
    }

    /// Until either side is gone. Clears away what a shim that died could not remove itself.
    pub(super) async fn serve_and_clear(mut self, state: PathBuf, idle: impl Fn(Shim)) {
        self.serve(idle).await;
        let process = self.process.take();
        // Tells the run, if it still waits, that its shim died; and an idle shim that it may go.
        drop(self);
        if let Some(process) = process
            && process.ends().await
        {
            let _ = tokio::task::spawn_blocking(move || super::clear_away_dead(&state)).await;
        }
    }

    async fn serve(&mut self, idle: impl Fn(Shim)) {
        let mut asked = true;
        loop {
            // Nobody can ask anything of this run any more, but its end is still awaited.
            if !asked && self.progress.is_none() {
                break;
            }
            let due = self.patience.due();
            tokio::select! {
                biased;
                heard = hear(&self.socket, &mut self.packet) => match heard {
                    Ok(Some(said)) => self.heard(said, &idle).await,
                    Ok(None) => {}
                    Err(_) => break,
                },
                request = self.requests.recv(), if asked => match request {
                    Some(request) => if self.request(request).await.is_err() { break },
                    None => asked = false,
                },
                () = changed(self.children.as_mut()) => {
                    if self.is_stopped() {
                        self.patience.seen_stopped(Instant::now());
                    }
                }
                () = ended(self.script.as_ref()) => {
                    self.script = None;
                    self.patience.owes_end(Instant::now(), Duration::ZERO);
                }
                () = until(due) => self.look(),
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.process.as_ref().is_some_and(|process| tree::is_stopped(process.pid))
    }

    /// Looks at a shim that owes an answer, or was stopped.
    fn look(&mut self) {
        let verdict = self.patience.look(Instant::now(), self.is_stopped());
        let Some(process) = &self.process else { return };
        match verdict {
            PatienceVerdict::Wait => {}
            PatienceVerdict::Continue => {
                tracing::warn!(
                    target: "job_runner_worker.worker",
                    "the supervising process {} was stopped by somebody; it is continued",
                    process.pid
                );
                shim::signal(&process.descriptor, Kind::SIGCONT);
            }
            PatienceVerdict::Kill => {
                tracing::error!(
                    target: "job_runner_worker.worker",
                    "the supervising process {} does not answer, and is stopped again whenever it is continued; it is \
                     killed",
                    process.pid
                );
                process.kill();
            }
        }
    }

    async fn request(&mut self, request: ShimRequest) -> io::Result<()> {
        match request {
            ShimRequest::Say(said) => {
                if let ToShim::Stop { grace_ms, .. } = said {
                    self.patience.owes_end(Instant::now(), Duration::from_millis(grace_ms));
                }
                say(&self.socket, &said).await
            }
            ShimRequest::Execute(order, progress) => {
                self.progress = Some(progress);
                self.patience.owes_begin(Instant::now());
                let said = say(&self.socket, &ToShim::Execute(order)).await;
                crash_point!(OrderGiven);
                said
            }
        }
    }

    async fn heard(&mut self, said: FromShim, idle: &impl Fn(Shim)) {
        let progress = match said {
            FromShim::Hello { supervision, shim, .. } => {
                self.process = self.process.take().or_else(|| ShimProcess::new(shim));
                self.patience.began();
                if let Some(hello) = self.hello.take() {
                    let _ = hello.send(Ok(Hello { supervision }));
                }
                return;
            }
            FromShim::Spawned { pid, at, left_ms } => {
                self.patience.began();
                if let Some(left) = left_ms {
                    self.patience.owes_end(Instant::now(), Duration::from_millis(left));
                }
                if !self.is_child {
                    self.script = shim::watch(pid).ok();
                }
                Progress::Spawned { pid, at }
            }
            FromShim::Output { total } => Progress::Output(total),
            FromShim::Stuck { pids } => Progress::Stuck(pids),
            FromShim::Refused { reason, errno } if self.progress.is_none() => {
                if let Some(hello) = self.hello.take() {
                    let _ =
                        hello.send(Err(errno.map_or_else(|| io::Error::other(reason), io::Error::from_raw_os_error)));
                }
                return;
            }
            FromShim::Refused { reason, errno } => {
                let shortage = errno.and_then(shortage::of_errno).is_some();
                self.tell(Progress::Refused { why: reason, shortage }).await;
                self.progress = None;
                self.patience.ended();
                // It is as good as before; another would have to be made, of which there may be too few.
                if shortage && let Some(say) = self.say.upgrade() {
                    idle(Shim { say });
                }
                return;
            }
            FromShim::Ended { how, output, at, free } => {
                let ended = StoredEnd { outcome: Outcome::from(how), output, at };
                self.tell(Progress::Ended(ended)).await;
                self.progress = None;
                self.script = None;
                self.patience.ended();
                if free && let Some(say) = self.say.upgrade() {
                    idle(Shim { say });
                }
                return;
            }
        };
        self.tell(progress).await;
    }

    async fn tell(&self, progress: Progress) {
        if let Some(run) = &self.progress {
            let _ = run.send(progress).await;
        }
    }
}

/// Until a child of ours may have been stopped.
async fn changed(children: Option<&mut Signal>) {
    let told = match children {
        Some(children) => children.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending().await
    }
}

/// Until a process has ended.
async fn ended(process: Option<&AsyncFd<OwnedFd>>) {
    match process {
        Some(process) if process.readable().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn hear(socket: &UnixDatagram, packet: &mut [u8]) -> io::Result<Option<FromShim>> {
    match socket.recv(packet).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        n => Ok(serde_json::from_slice(&packet[..n]).ok()),
    }
}

async fn say(socket: &UnixDatagram, said: &ToShim) -> io::Result<()> {
    socket.send(&serde_json::to_vec(said)?).await.map(drop)
}

/// Connects to the shim of a run that another worker process began. Its socket is where our state directory is by now; a
/// shim whose socket was removed is asked to make it anew.
pub(super) async fn attach(record: &Record, state: &Path) -> io::Result<Running> {
    let fd = connect(record, state)?;
    let process = socket::peer(&fd).and_then(ShimProcess::new);
    let (greeting, greeted) = oneshot::channel();
    let (mut connection, shim) = ShimConnection::new(fd, Some(greeting))?;
    let (progress, heard) = mpsc::channel(QUEUE);
    (connection.progress, connection.process) = (Some(progress), process);
    connection.patience.owes_begin(Instant::now());
    // It finishes its run and is then let go: it may be of another version.
    tokio::spawn(connection.serve_and_clear(state.to_owned(), drop));
    tokio::time::timeout(DEAD, greeted)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))??;
    Ok(Running { progress: heard, control: Control { say: shim.say } })
}

fn connect(record: &Record, state: &Path) -> io::Result<OwnedFd> {
    let recorded = Path::new(&record.socket);
    let here = recorded.file_name().map(|name| socket::directory(state).join(name));
    let connected = here.as_deref().map_or_else(|| socket::connect(recorded), socket::connect);
    connected.or_else(|_| socket::connect(recorded)).inspect_err(|e| {
        if e.kind() == io::ErrorKind::NotFound {
            shim::ask_for_socket(record.shim);
        }
    })
}
