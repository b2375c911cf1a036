//! A proxy before PostgreSQL that loses a commit, or the answer to it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

/// What a commit loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is made, and the connection is cut before the answer.
    Answer,
    /// Like [`Loss::Answer`], and no further connection is accepted for now.
    AnswerAndLine,
    /// The connection is cut before it reaches the server.
    Commit,
}

#[derive(Debug, Default)]
struct Plan {
    next: Option<Loss>,
    hangs_up: bool,
    lost: bool,
    said: usize,
}

pub struct Proxy {
    folder: TempDir,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    /// Listens in a folder of its own, and forwards to a server's socket.
    pub fn start(server: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("proxy-").tempdir_in("/tmp").unwrap();
        let plan = Arc::<Mutex<Plan>>::default();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (server, plans) = (server.to_owned(), Arc::clone(&plan));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if !plans.lock().unwrap().hangs_up {
                    forward(client, UnixStream::connect(&server).unwrap(), &plans);
                }
            }
        });
        Self { folder, plan }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// Loses the next commit, or its answer.
    pub fn lose(&self, loss: Loss) {
        *self.plan.lock().unwrap() = Plan { next: Some(loss), ..Plan::default() };
    }

    pub fn has_lost(&self) -> bool {
        self.plan.lock().unwrap().lost
    }

    /// Returns how often clients said something since the last call, each time in one piece.
    pub fn said(&self) -> usize {
        std::mem::take(&mut self.plan.lock().unwrap().said)
    }

    pub fn accept_again(&self) {
        self.plan.lock().unwrap().hangs_up = false;
    }
}

/// Forwards in both directions until one side is gone.
fn forward(client: UnixStream, server: UnixStream, plan: &Arc<Mutex<Plan>>) {
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    // Whether the next answer of this connection is lost.
    let loses = Arc::new(Mutex::new(false));
    let (plan, losing) = (Arc::clone(plan), Arc::clone(&loses));
    let plan_of_answers = Arc::clone(&plan);
    std::thread::spawn(move || {
        copy(&mut from_server, &mut to_client, |_| {
            let loses = *losing.lock().unwrap();
            if loses {
                plan_of_answers.lock().unwrap().lost = true;
            }
            !loses
        });
    });
    let (mut from_client, mut to_server) = (client, server);
    std::thread::spawn(move || {
        copy(&mut from_client, &mut to_server, |said| {
            plan.lock().unwrap().said += 1;
            // The statements of a commit are sent in one piece, and so small that they come in one.
            if !said.windows(7).any(|part| part == b"COMMIT\0") {
                return true;
            }
            let mut plan = plan.lock().unwrap();
            let Some(loss) = plan.next.take() else { return true };
            plan.hangs_up = loss == Loss::AnswerAndLine;
            plan.lost = loss == Loss::Commit;
            *loses.lock().unwrap() = loss != Loss::Commit;
            loss != Loss::Commit
        });
    });
}

/// Copies what `passes` lets through, and hangs up on both sides at the end.
fn copy(from: &mut UnixStream, to: &mut UnixStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
