//! `job_runner worker add`: adds a worker and writes the ini file for its machine.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::sys::stat::{Mode, SFlag, fstat};

use super::args::{WorkerAdd, WorkerArgs};
use super::exit::{CANNOT_CREATE, CommandFailure, OK, print, say};
use super::{server_choice, table};
use crate::server::http::worker_file;
use crate::wire::operator::{MadeWorker, NewWorkerRequest};

pub async fn run(args: WorkerArgs) -> Result<u8, CommandFailure> {
    let WorkerArgs::Add(WorkerAdd { name, pool, output, json, at }) = args;
    let client = server_choice::server(&at)?;
    // The file is created before the worker: the secret is shown only once and must have a place.
    let file = output.map(SecretFile::create).transpose()?;
    let is_printed = json || file.is_none();
    let made: MadeWorker = client.post(&["workers"], &NewWorkerRequest { title: name, pool }).await?;
    let ini = worker_file::ini(&made, client.base());
    match file {
        _ if json => table::json(&made)?,
        Some(file) => file.keep(&ini)?,
        None => print(&ini)?,
    }
    say(format_args!("worker {} is created; the secret is shown only once", made.api_key));
    if is_printed && is_readable_by_others() {
        say("other users can read the file that this was written to: use --output FILE, or chmod 600 it");
    }
    Ok(OK)
}

/// New file that only this user can read, removed on drop unless it was written.
struct SecretFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl SecretFile {
    fn create(path: PathBuf) -> Result<Self, CommandFailure> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", path.display())))?;
        Ok(Self { path, file, is_kept: false })
    }

    fn keep(mut self, text: &str) -> Result<(), CommandFailure> {
        // Synced, because the secret cannot be requested again.
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", self.path.display())))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Returns whether stdout is a regular file that other users may read.
pub(super) fn is_readable_by_others() -> bool {
    let others = Mode::S_IRGRP | Mode::S_IROTH;
    fstat(std::io::stdout()).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
            && Mode::from_bits_truncate(stat.st_mode).intersects(others)
    })
}
