//! The shims of a worker: found, killed, and given another boot.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// A shim that executes something, and its record.
pub struct Busy {
    pub pid: i32,
    record: PathBuf,
}

/// Those whose script runs.
pub fn busy(home: &WorkerHome) -> Vec<Busy> {
    let living = living(home);
    let records = fs::read_dir(home.own_state_path().join("runs")).into_iter().flatten().flatten();
    let busy = records.filter_map(|entry| {
        let record = entry.path();
        let text = fs::read_to_string(&record).ok()?;
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let begun: Value = serde_json::from_str(lines.next()?).ok()?;
        let pid = i32::try_from(begun["shim"].as_i64()?).ok()?;
        // Started, and not ended.
        (lines.count() == 1 && living.contains(&pid)).then_some(Busy { pid, record })
    });
    busy.collect()
}

/// Ends what a dead shim left alive, and makes everything that its record names by its pid name that of a living one.
pub async fn take_for(dead: &Busy, living: i32) {
    let Ok(text) = fs::read_to_string(&dead.record) else { return };
    let Some((first, rest)) = text.trim_start_matches('\n').split_once('\n') else { return };
    let Ok(mut begun) = serde_json::from_str::<Value>(first) else { return };
    if let Some(group) = begun["cgroup"].as_str() {
        let group = Path::new(group);
        let until = Instant::now() + Duration::from_secs(5);
        // There is nothing to wait on: they are nobody's children.
        while group.exists() && fs::remove_dir(group).is_err() && Instant::now() < until {
            let _ = fs::write(group.join("cgroup.kill"), "1");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let (old, new) = (dead.pid.to_string(), living.to_string());
    for name in ["cgroup", "socket"] {
        let Some(path) = begun[name].as_str().map(PathBuf::from) else { continue };
        let _ = fs::remove_file(&path);
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        begun[name] = path.with_file_name(file.replacen(&old, &new, 1)).display().to_string().into();
    }
    begun["shim"] = living.into();
    let _ = fs::write(&dead.record, format!("{begun}\n{rest}"));
}

fn reboot_record(path: &Path) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let Some((first, rest)) = text.split_once('\n') else { return };
    let Ok(mut begun) = serde_json::from_str::<Value>(first) else { return };
    begun["boot_id"] = OTHER_BOOT.into();
    let _ = fs::write(path, format!("{begun}\n{rest}"));
}
