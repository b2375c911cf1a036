//! Connection to a shim: one task per shim that forwards the shim's packets to the run as [`Progress`] and sends the
//! run's requests.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Kind;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::patience::{KILLED_AFTER, Patience, PatienceVerdict};
use super::shim::{self, socket, tree};
use super::spares::Spares;
use crate::report::StoredEnd;
use crate::run::{Cause, Outcome, errno};
use crate::wire::disk::Record;
use crate::wire::shim::{ExecutionOrder, FromShim, ToShim};

/// Bound of the request and progress channels, in messages. A shim sends little, and mostly on request.
const QUEUE: usize = 16;
/// Longest packet that a shim sends, in bytes; the largest is a list of stuck processes.
const MAX_SAID: usize = 16 * 1024;

/// Shims that hung up and whose process end is awaited, at most 64 at once because each holds a descriptor: a shim that
/// stays for leftovers may live for long. Beyond the limit, the files of a dead shim are removed together with those of
/// the next one.
static AWAITED: Semaphore = Semaphore::const_new(64);
/// Time within which a new shim must send its first packet.
pub(super) const GREETING: Duration = Duration::from_secs(10);

/// Progress of a script, as its shim reports it to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The script was started.
    Spawned {
        /// Process id of the script.
        pid: i32,
        /// Timestamp of the start, in the format of the wire.
        at: String,
    },
    /// The output has grown to this many bytes, beyond what [`Control::watch`] asked for.
    Output(u64),
    /// Processes that are still alive after repeated KILLs.
    Stuck(Vec<i32>),
    /// The script has ended, and the end is on disk in the record.
    Ended(StoredEnd),
    /// The script was not started: the shim could not take the licence, or gave it back.
    Refused {
        /// Reason for the log, as the shim worded it.
        why: String,
        /// True if the cause is a shortage of a system resource, so that a later attempt may succeed.
        shortage: bool,
    },
    /// The shim is gone; the run has no supervisor any more.
    ShimDied,
}

/// A run that was handed to a shim.
#[derive(Debug)]
pub struct Running {
    progress: mpsc::Receiver<Progress>,
    control: Control,
}

impl Running {
    /// Returns the next progress; [`Progress::ShimDied`] once the connection is closed.
    pub async fn next(&mut self) -> Progress {
        self.progress.recv().await.unwrap_or(Progress::ShimDied)
    }

    /// Returns a handle that stops the run or watches its output.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

/// Handle to stop a run or watch its output. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    say: mpsc::Sender<ShimRequest>,
}

impl Control {
    /// Stops the script: TERM, then KILL after `grace`. Does nothing if the run is over.
    pub async fn stop(&self, cause: Cause, grace: Duration) {
        let grace_ms = super::millis(grace);
        let _ = self.say.send(ShimRequest::Say(ToShim::Stop { cause: cause.into(), grace_ms })).await;
    }

    /// Asks for one [`Progress::Output`] as soon as there is more output than `beyond` bytes.
    pub async fn watch(&self, beyond: u64) {
        let _ = self.say.send(ShimRequest::Say(ToShim::Watch { beyond })).await;
    }
}

/// Request to the connection task of a shim.
#[derive(Debug)]
pub(super) enum ShimRequest {
    Say(ToShim),
    Execute(Box<ExecutionOrder>, mpsc::Sender<Progress>),
}

/// An idle shim that can take a run. Dropping the last sender lets the shim exit.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) say: mpsc::Sender<ShimRequest>,
}

impl Shim {
    /// Hands a run to the shim, or returns the order if the shim is gone.
    pub(super) async fn execute(&self, order: Box<ExecutionOrder>) -> Result<Running, Box<ExecutionOrder>> {
        let (progress, heard) = mpsc::channel(QUEUE);
        match self.say.send(ShimRequest::Execute(order, progress)).await {
            Ok(()) => Ok(Running { progress: heard, control: Control { say: self.say.clone() } }),
            Err(mpsc::error::SendError(ShimRequest::Execute(order, _))) => Err(order),
            Err(_) => unreachable!("what comes back is what was sent"),
        }
    }
}

/// First packet of a shim, as far as the worker uses it.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) supervision: String,
}

/// First packet of a shim, or the reason why it cannot supervise runs.
pub(super) type Greeting = io::Result<Hello>;

/// Execution that a shim supervises, for log lines.
#[derive(Clone, Copy, Debug)]
struct SupervisedExecution {
    run: i64,
    number: u32,
}

/// State of a connection task.
pub(super) struct ShimConnection {
    /// Socket of type `SOCK_SEQPACKET`. Tokio has no type for it, and a datagram socket sends and receives the same
    /// way.
    socket: UnixDatagram,
    packet: Vec<u8>,
    requests: mpsc::Receiver<ShimRequest>,
    /// Weak, so that the channel closes, and the shim exits, once no handle is left.
    say: mpsc::WeakSender<ShimRequest>,
    progress: Option<mpsc::Sender<Progress>>,
    /// Execution that the shim supervises; `None` while it is idle.
    execution: Option<SupervisedExecution>,
    hello: Option<oneshot::Sender<Greeting>>,
    /// The shim's process, if it could be opened.
    process: Option<ShimProcess>,
    patience: Patience,
    /// `SIGCHLD` stream, which also reports that a child was stopped. `None` for the shim of an earlier worker, which
    /// is no child of this process.
    children: Option<Signal>,
    /// Process of the script under a shim that is no child of ours: when it ends, the shim owes the end of the run.
    script: Option<AsyncFd<OwnedFd>>,
    is_child: bool,
    /// Spare files of scripts; `None` for the shim of an earlier worker, which keeps none.
    script_spares: Option<Arc<Spares>>,
    /// Path at which the shim may leave the file of its present script.
    script_spare: Option<PathBuf>,
}

/// Process of a shim: its pid for the log, and a pidfd, which never comes to mean another process.
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

    /// Waits until the process is gone and returns whether that was seen. The socket of a dying process closes a moment
    /// before the process is reaped, so a closed connection is not enough.
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
            execution: None,
            hello,
            process: None,
            patience: Patience::default(),
            children: None,
            script: None,
            is_child: false,
            script_spares: None,
            script_spare: None,
        };
        Ok((connection, Shim { say }))
    }

    /// Marks the shim as a child of this worker, whose stops `SIGCHLD` reports.
    pub(super) fn of_child(mut self, process: Option<ShimProcess>, script_spares: Arc<Spares>) -> Self {
        (self.process, self.is_child) = (process, true);
        self.script_spares = Some(script_spares);
        self.children = signal(SignalKind::child()).ok();
        self
    }

    /// Serves the connection until either side is gone, then removes the files that a dead shim could not remove.
    /// `idle` is called with the shim each time it can take another run.
    pub(super) async fn serve_and_clear(mut self, state: PathBuf, idle: impl Fn(Shim)) {
        self.serve(idle).await;
        // Nobody hears any more whether the shim has kept the file.
        if let Some(spare) = self.script_spare.take() {
            let _ = std::fs::remove_file(spare);
        }
        let process = self.process.take();
        // Dropping the connection closes its channels before the wait below: a waiting run hears that its shim died, an
        // idle shim that it may exit.
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
            // Every handle is gone and no run is under way. With a run under way the loop goes on: its end is still
            // awaited.
            if !asked && self.progress.is_none() {
                break;
            }
            let due = self.patience.due();
            tokio::select! {
                // Packets of the shim come first: an end that is already in the socket must win over a stop that is
                // requested now.
                biased;
                heard = hear(&self.socket, &mut self.packet) => match heard {
                    Ok(Some(said)) => self.heard(said, &idle).await,
                    // A packet that cannot be decoded comes from a shim of another version; the others still count.
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

    /// Checks whether a shim that owes an answer stands still, and continues or kills it.
    fn look(&mut self) {
        let verdict = self.patience.look(Instant::now(), self.is_stopped());
        let Some(process) = &self.process else { return };
        match verdict {
            PatienceVerdict::Wait => {}
            PatienceVerdict::Continue => {
                tracing::warn!(
                    target: "job_runner_worker.worker",
                    run = self.execution.map(|execution| execution.run),
                    execution = self.execution.map(|execution| execution.number),
                    shim = process.pid,
                    "supervising process was stopped; continuing it"
                );
                shim::signal(&process.descriptor, Kind::SIGCONT);
            }
            PatienceVerdict::Kill => {
                tracing::error!(
                    target: "job_runner_worker.worker",
                    run = self.execution.map(|execution| execution.run),
                    execution = self.execution.map(|execution| execution.number),
                    shim = process.pid,
                    "supervising process does not answer and is stopped again whenever it is continued; killing it"
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
                self.execution = Some(SupervisedExecution { run: order.run, number: order.attempt });
                self.script_spare.clone_from(&order.script_spare);
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
                // A shim that was not started by this worker is known only by the pid in its greeting.
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
                let shortage = errno.and_then(errno::shortage_of).is_some();
                self.tell(Progress::Refused { why: reason, shortage }).await;
                (self.progress, self.execution) = (None, None);
                self.patience.ended();
                // The shim is unharmed by a shortage, and starting another one would need the resource that is short.
                if shortage && let Some(say) = self.say.upgrade() {
                    idle(Shim { say });
                }
                return;
            }
            FromShim::Ended { how, output, at, free, script_kept } => {
                let spare = self.script_spare.take().filter(|_| script_kept);
                if let (Some(spares), Some(spare)) = (&self.script_spares, spare) {
                    spares.adopt(spare);
                }
                let ended = StoredEnd { outcome: Outcome::from(how), output, at };
                self.tell(Progress::Ended(ended)).await;
                (self.progress, self.execution) = (None, None);
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

/// Completes when a child of this process may have changed its state.
async fn changed(children: Option<&mut Signal>) {
    let told = match children {
        Some(children) => children.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending().await
    }
}

/// Completes when the process has ended; never without a process.
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
        // A closed `SOCK_SEQPACKET` socket reads as an empty packet.
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        n => Ok(serde_json::from_slice(&packet[..n]).ok()),
    }
}

async fn say(socket: &UnixDatagram, said: &ToShim) -> io::Result<()> {
    socket.send(&serde_json::to_vec(said)?).await.map(drop)
}

/// Connects to the shim of a run that an earlier worker process started. The socket is looked for in the present state
/// directory first, since the directory may have been moved; a shim whose socket was removed is asked to bind it anew.
pub(super) async fn attach(record: &Record, state: &Path) -> io::Result<Running> {
    let fd = connect(record, state)?;
    let process = socket::peer(&fd).and_then(ShimProcess::new);
    let (greeting, greeted) = oneshot::channel();
    let (mut connection, shim) = ShimConnection::new(fd, Some(greeting))?;
    let (progress, heard) = mpsc::channel(QUEUE);
    (connection.progress, connection.process) = (Some(progress), process);
    connection.execution = Some(SupervisedExecution { run: record.run.get(), number: record.attempt.0 });
    connection.patience.owes_begin(Instant::now());
    // `drop` as `idle`: after its run the shim is let go, because it may be of another version than this worker.
    tokio::spawn(connection.serve_and_clear(state.to_owned(), drop));
    tokio::time::timeout(KILLED_AFTER, greeted)
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
