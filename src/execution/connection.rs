//! The worker's end of a shim: one task that reads what the shim says and passes it to the run.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::{mpsc, oneshot};

use super::shim::{self, socket};
use crate::report::End;
use crate::run::{Cause, Outcome, shortage};
use crate::wire::shim::{Execution, FromShim, ToShim};

/// How much may wait in either direction. A shim says little, and only when it is asked to.
const QUEUE: usize = 16;
/// The longest packet of a shim, in bytes: a list of stuck processes.
const MAX_SAID: usize = 16 * 1024;

/// How long a shim that hung up is awaited to be gone; one that stays for leftovers ends on its own.
const PARTING: Duration = Duration::from_secs(2);
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
    Ended(End),
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
    say: mpsc::Sender<Request>,
}

impl Control {
    /// Stops the script. Nothing, if it is over.
    pub async fn stop(&self, cause: Cause, grace: Duration) {
        let grace_ms = super::millis(grace);
        let _ = self.say.send(Request::Say(ToShim::Stop { cause: cause.into(), grace_ms })).await;
    }

    /// Asks to be told when there is more output than this.
    pub async fn watch(&self, beyond: u64) {
        let _ = self.say.send(Request::Say(ToShim::Watch { beyond })).await;
    }
}

/// What the task of a shim is asked.
#[derive(Debug)]
pub(super) enum Request {
    Say(ToShim),
    Execute(Box<Execution>, mpsc::Sender<Progress>),
}

/// A shim that can be given a run.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) say: mpsc::Sender<Request>,
}

impl Shim {
    /// Gives it a run. Gives the order back where the shim is gone.
    pub(super) async fn execute(&self, order: Box<Execution>) -> Result<Running, Box<Execution>> {
        let (progress, heard) = mpsc::channel(QUEUE);
        match self.say.send(Request::Execute(order, progress)).await {
            Ok(()) => Ok(Running { progress: heard, control: Control { say: self.say.clone() } }),
            Err(mpsc::error::SendError(Request::Execute(order, _))) => Err(order),
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
pub(super) struct Connection {
    /// Of the kind `SOCK_SEQPACKET`, for which the runtime has no name: a datagram socket sends and receives alike.
    socket: UnixDatagram,
    packet: Vec<u8>,
    requests: mpsc::Receiver<Request>,
    /// Weak, so that a shim nobody holds is let go.
    say: mpsc::WeakSender<Request>,
    progress: Option<mpsc::Sender<Progress>>,
    hello: Option<oneshot::Sender<Greeting>>,
    /// The shim's process, once it greeted.
    process: Option<OwnedFd>,
}

impl Connection {
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
        };
        Ok((connection, Shim { say }))
    }

    /// Until either side is gone. Clears away what a shim that died could not remove itself.
    pub(super) async fn serve_and_clear(mut self, state: PathBuf, idle: impl Fn(Shim)) {
        self.serve(idle).await;
        let process = self.process.take();
        // Tells the run, if it still waits, that its shim died; and an idle shim that it may go.
        drop(self);
        // The socket of who dies closes a moment before the process is gone.
        let clearing = move || {
            if process.is_some_and(|process| shim::is_gone_within(&process, PARTING)) {
                shim::clear_away_dead(&state);
            }
        };
        let _ = tokio::task::spawn_blocking(clearing).await;
    }

    async fn serve(&mut self, idle: impl Fn(Shim)) {
        loop {
            tokio::select! {
                biased;
                heard = hear(&self.socket, &mut self.packet) => match heard {
                    Ok(Some(said)) => self.heard(said, &idle).await,
                    Ok(None) => {}
                    Err(_) => break,
                },
                request = self.requests.recv() => match request {
                    Some(request) => if self.request(request).await.is_err() { break },
                    None if self.progress.is_none() => break,
                    // Nobody can ask anything of this run any more, but its end is still awaited.
                    None => match hear(&self.socket, &mut self.packet).await {
                        Ok(Some(said)) => self.heard(said, &idle).await,
                        Ok(None) => {}
                        Err(_) => break,
                    },
                },
            }
        }
    }

    async fn request(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Say(said) => say(&self.socket, &said).await,
            Request::Execute(order, progress) => {
                self.progress = Some(progress);
                let said = say(&self.socket, &ToShim::Execute(order)).await;
                crash_point!(OrderGiven);
                said
            }
        }
    }

    async fn heard(&mut self, said: FromShim, idle: &impl Fn(Shim)) {
        let progress = match said {
            FromShim::Hello { supervision, shim, .. } => {
                self.process = shim::process(shim).ok();
                if let Some(hello) = self.hello.take() {
                    let _ = hello.send(Ok(Hello { supervision }));
                }
                return;
            }
            FromShim::Spawned { pid, at } => Progress::Spawned { pid, at },
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
                // It is as good as before; another would have to be made, of which there may be too few.
                if shortage && let Some(say) = self.say.upgrade() {
                    idle(Shim { say });
                }
                return;
            }
            FromShim::Ended { how, output, at, free } => {
                let ended = End { outcome: Outcome::from(how), output, at };
                self.tell(Progress::Ended(ended)).await;
                self.progress = None;
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

async fn hear(socket: &UnixDatagram, packet: &mut [u8]) -> io::Result<Option<FromShim>> {
    match socket.recv(packet).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        n => Ok(serde_json::from_slice(&packet[..n]).ok()),
    }
}

async fn say(socket: &UnixDatagram, said: &ToShim) -> io::Result<()> {
    socket.send(&serde_json::to_vec(said)?).await.map(drop)
}

/// Connects to the shim of a run that another worker process began.
pub(super) async fn attach(path: &Path, state: &Path) -> io::Result<Running> {
    let fd = socket::connect(path)?;
    let (greeting, greeted) = oneshot::channel();
    let (mut connection, shim) = Connection::new(fd, Some(greeting))?;
    let (progress, heard) = mpsc::channel(QUEUE);
    connection.progress = Some(progress);
    // It finishes its run and is then let go: it may be of another version.
    tokio::spawn(connection.serve_and_clear(state.to_owned(), drop));
    tokio::time::timeout(GREETING, greeted)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))??;
    Ok(Running { progress: heard, control: Control { say: shim.say } })
}
