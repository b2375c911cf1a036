//! What the kernel says of a process.

use std::fs;

use crate::failure::Failure;

/// Resident memory, in KiB.
pub fn resident(pid: i32) -> Option<f64> {
    number_of(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The most resident memory since [`forget_peak`], in KiB.
pub fn peak(pid: i32) -> Option<f64> {
    number_of(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The peak of resident memory is reckoned from here.
pub fn forget_peak(pid: i32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Memory that no other process has a part of, in KiB.
pub fn private(pid: i32) -> Option<f64> {
    let of = |name| number_of(&format!("/proc/{pid}/smaps_rollup"), name);
    Some(of("Private_Clean:")? + of("Private_Dirty:")?)
}

/// Failure to read what the kernel says of a worker. The worker is not dumpable, so that only the superuser may read the
/// map of its memory.
pub fn unreadable() -> Failure {
    Failure("the memory of the worker cannot be read: it is gone, or you are not its superuser".to_owned())
}

/// Memory, with what is shared by several divided among them, in KiB.
pub fn proportional(pid: i32) -> Option<f64> {
    number_of(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// How many descriptors are open.
pub fn descriptors(pid: i32) -> Option<f64> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as f64)
}

/// How often its threads have given up their core by themselves: each is a wake-up.
pub fn wake_ups(pid: i32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    Some(threads.filter_map(|thread| number_in(&thread.path().join("status"), "voluntary_ctxt_switches:")).sum())
}

/// Seconds that it has worked, and those of its children that it has waited for.
pub fn worked(pid: i32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ticks / ticks_a_second())
}

/// A process and all that descend from it.
pub fn tree(root: i32) -> Vec<i32> {
    let all: Vec<(i32, i32)> = pids().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, up)| *up == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// The words of its command line.
pub fn command(pid: i32) -> Vec<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Its parent; nothing of what has ended, zombies included.
fn parent(pid: i32) -> Option<i32> {
    let fields = stat(pid)?;
    let is_there = !matches!(fields.first()?.as_str(), "Z" | "X");
    if is_there { fields.get(1)?.parse().ok() } else { None }
}

/// What is behind the name, from the state on.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn number_of(path: &str, name: &str) -> Option<f64> {
    number_in(path.as_ref(), name)
}

fn number_in(path: &std::path::Path, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn ticks_a_second() -> f64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().map_or(100.0, |ticks| ticks as f64)
}
