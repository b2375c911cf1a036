//! A tree of processes that is to be gone.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{self, Moment, millis};
use crate::stage::{PATIENCE, Stage};
use crate::{proc, script};

/// How often it is looked whether the tree has grown.
const LOOK: Duration = Duration::from_millis(20);

pub async fn trees(subject: &Subject) -> Result<Sample, Failure> {
    let stage = subject.stage(4, None).await?;
    let (mut gone, mut executed) = (Vec::new(), Vec::new());
    for _ in 0..subject.count(5, 2, 3) {
        let (gone_after, executed_after) = stage.told(tree(&stage).await)?;
        gone.push(gone_after);
        executed.push(executed_after);
    }
    let (gone, executed) = (sorted(&gone), sorted(&executed));
    let at = |times: &[f64], part| quantile(times, part).unwrap_or(f64::NAN);
    Ok(vec![("gone", at(&gone, 0.5)), ("gone_max", at(&gone, 1.0)), ("executed", at(&executed, 0.5))])
}

/// How long after the order all of a tree were gone, and when that was told.
async fn tree(stage: &Stage) -> Result<(f64, f64), Failure> {
    let (pids, returned, kills) =
        stage.stub.look(|ledger| (ledger.counts.pids, ledger.counts.returned, ledger.counts.executed));
    let run = stage.stub.make(script::TREE, 1)[0];
    stage.stub.announce(&[run])?;
    stage.stub.until("pid", PATIENCE, move |counts| counts.pids > pids).await?;
    let root = stage.stub.look(|ledger| ledger.runs[run].pid).ok_or_else(|| Failure("no pid".to_owned()))?;
    let grown = tokio::time::timeout(PATIENCE, grown(root)).await;
    let handles = grown.map_err(|_| Failure("the tree does not grow".to_owned()))??;
    let told = moment::now();
    let kill = stage.stub.kill(run)?;
    let gone = tokio::task::spawn_blocking(move || all_gone(&handles)).await??;
    let over = move |counts: &crate::stub::Counts| counts.executed > kills && counts.returned > returned;
    stage.stub.until("end of the killed run", PATIENCE, over).await?;
    let executed = stage.stub.look(|ledger| ledger.kills[kill].executed);
    Ok((millis(told, gone), millis(told, executed)))
}

/// Waits until all of the tree are there; answers a handle of each.
async fn grown(root: i32) -> Result<Vec<OwnedFd>, Failure> {
    // There is nothing to wait on: they are nobody's children, or somebody else's.
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let tree = proc::tree(root);
        if tree.len() >= script::TREE_SIZE {
            return tree.into_iter().map(handle).collect();
        }
    }
}

/// What can be read as soon as a process has ended.
#[allow(unsafe_code)] // pidfd_open
fn handle(pid: i32) -> Result<OwnedFd, Failure> {
    // SAFETY: the call takes two numbers, and what it answers is a descriptor that nobody else has.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd)?))
    }
}

/// Waits until all have ended; answers when that was.
fn all_gone(handles: &[OwnedFd]) -> Result<Moment, Failure> {
    for handle in handles {
        let mut awaited = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(PATIENCE)?;
        Failure::unless(poll(&mut awaited, patience)? == 1, || "some of the tree are left".to_owned())?;
    }
    Ok(moment::now())
}
