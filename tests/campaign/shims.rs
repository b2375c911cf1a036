//! The shims of a worker: found, killed, and given another boot.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::oracle::history::ShimDeath;
use super::stage::{Stage, now};
use super::support::WorkerHome;

/// What a boot is said to be that is not this one; as long as one.
const OTHER_BOOT: &str = "00000000-0000-4000-8000-000000000000";

/// The living shims of a home, with a run or without.
pub fn living(home: &WorkerHome) -> Vec<i32> {
    let state = home.own_state_path();
    let looks_like_one = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = command.split(|b| *b == 0).collect();
        words.get(1) == Some(&&b"--shim"[..]) && words.get(2) == Some(&state.as_os_str().as_bytes())
    };
    let found: Vec<i32> = home.processes().into_iter().filter(looks_like_one).collect();
    // So does a script that is just being started: it is the child of one.
    let is_script = |pid: &i32| parent(*pid).is_none_or(|parent| found.contains(&parent));
    found.iter().copied().filter(|pid| !is_script(pid)).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Kills a shim.
pub fn end(stage: &Stage, pid: i32) {
    // The time before: what follows from the death comes after it.
    let at = now();
    if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
        note_death(stage, ShimDeath { pid, at });
        stage.count("shim SIGKILL");
    }
}

/// A shim is dead, and has been allowed to be.
pub fn note_death(stage: &Stage, death: ShimDeath) {
    let mut seen = stage.seen();
    seen.shims.insert(death.pid);
    seen.shim_deaths.push(death);
}

/// Makes every record one of another boot. Its supervising processes must be dead.
pub fn reboot_records(home: &WorkerHome) {
    for entry in fs::read_dir(home.own_state_path().join("runs")).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "record") {
            reboot_record(&entry.path());
        }
    }
}

fn reboot_record(path: &Path) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let Some((first, rest)) = text.split_once('\n') else { return };
    let Ok(mut begun) = serde_json::from_str::<Value>(first) else { return };
    begun["boot_id"] = OTHER_BOOT.into();
    let _ = fs::write(path, format!("{begun}\n{rest}"));
}
