//! Gathers what a campaign has seen into a history.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::oracle::history::{Did, History, Kill, Run, Size, Step};
use super::plan::PlannedRun;
use super::plan::Shape;
use super::script;
use super::stage::{SECRET, Stage};
use super::support::{KillRow, RunRow, StepKind, WorkerHome};

/// Everything but what is asked of the stage alone.
pub fn history(
    stage: &Stage,
    home: &WorkerHome,
    plan: &[PlannedRun],
    sizes: Vec<Size>,
    exit_code: Option<i32>,
) -> History {
    let trace = stage.trace();
    let seen = stage.seen();
    let (rows, kills) = stage.server.look(|state| {
        (state.runs.values().cloned().collect::<Vec<_>>(), state.kills.values().cloned().collect::<Vec<_>>())
    });
    let killed: Vec<i64> = kills.iter().map(|kill| kill.run).collect();
    let killed_shims = seen.shim_deaths.iter().map(|death| death.pid).collect();
    let run = |(row, planned): (&RunRow, &PlannedRun)| Run {
        id: row.id,
        lines: script::lines(planned.shape),
        is_long: planned.shape == Shape::Long,
        steps: row.steps.iter().map(|step| Step { seq: step.seq, did: did(step.kind) }).collect(),
        log: row.log_text().to_owned(),
        completions: row.completions,
        success: row.return_success,
        is_killed: killed.contains(&row.id),
        was_disowned: seen.disowned.contains(&row.id),
        start_was_refused: seen.refused.contains(&row.id),
        log_was_refused: seen.logs_refused.contains(&row.id),
        was_forgotten: seen.forgotten.contains(&row.id),
        had_no_room: seen.without_room.contains(&row.id),
    };
    let kill = |row: &KillRow| Kill {
        id: row.id,
        run: row.run,
        is_taken: row.enqueue_dts.is_some(),
        is_executed: row.execute_dts.is_some(),
        was_forgotten: seen.kills_forgotten.contains(&row.id),
        survivors: seen.survivors.get(&row.id).cloned().unwrap_or_default(),
    };
    History {
        runs: rows.iter().zip(plan).map(run).collect(),
        marks: script::marks(&trace),
        shim_deaths: seen.shim_deaths.clone(),
        kills: kills.iter().map(kill).collect(),
        left: left(home, &seen.shims, &killed_shims, &seen.forgotten),
        secret_found: secret(home, &rows),
        outages: seen.outages.clone(),
        sizes,
        exit_code,
        ..History::default()
    }
}

fn did(kind: StepKind) -> Did {
    match kind {
        StepKind::Claim => Did::Claim,
        StepKind::Start => Did::Start,
        StepKind::Pid => Did::Pid,
        StepKind::Log => Did::Log,
        StepKind::Return => Did::Return,
        StepKind::Reset => Did::Reset,
        StepKind::Other => Did::Other,
    }
}

/// Who lives of a run, by the number in the environment of its processes.
pub fn alive(home: &Path, run: i64) -> Vec<i32> {
    let mark = format!("JOB_RUNNER_RUN_ID={run}");
    let home = [b"FIXTURE_HOME=", home.as_os_str().as_bytes()].concat();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |wanted: &[u8]| environment.split(|b| *b == 0).any(|variable| variable == wanted);
        has(mark.as_bytes()) && has(&home)
    })
    .collect()
}

/// Processes, files, sockets and cgroups that are still there.
pub fn left(
    home: &WorkerHome,
    shims: &BTreeSet<i32>,
    killed: &BTreeSet<i32>,
    forgotten: &BTreeSet<i64>,
) -> Vec<String> {
    let mut left: Vec<String> =
        home.processes().iter().map(|pid| format!("process {pid} ({})", command(*pid))).collect();
    // Nobody knows of a script any more that was written and not yet ordered when the outbox was lost.
    let is_lost =
        |path: &&PathBuf| path.parent() == Some(&home.scripts_path()) && forgotten.iter().any(|run| is_of(path, *run));
    left.extend(home.run_files().iter().filter(|path| !is_lost(path)).map(|path| path.display().to_string()));
    let files = |folder| fs::read_dir(home.own_state_path().join(folder)).into_iter().flatten().flatten();
    left.extend(files("shims").map(|entry| entry.path().display().to_string()));
    // What a shim leaves that is killed over leftovers goes with the next start, should they outlive the last worker: its
    // record says what that is.
    let records = files("leftovers").map(|entry| (entry.path(), begun(&entry.path())));
    let (orphaned, kept): (Vec<_>, Vec<_>) = records.partition(|(_, begun)| {
        begun["shim"].as_i64().and_then(|pid| i32::try_from(pid).ok()).is_some_and(|pid| killed.contains(&pid))
    });
    left.extend(kept.iter().map(|(path, _)| path.display().to_string()));
    let is_known = |group: &PathBuf| orphaned.iter().any(|(_, begun)| begun["cgroup"].as_str() == group.to_str());
    let groups = own_cgroup();
    let groups = groups.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        shim_of(path).is_some_and(|pid| shims.contains(&pid)) && !is_of_another(path) && !is_known(path)
    };
    left.extend(groups.map(|entry| entry.path()).filter(is_ours).map(|path| format!("cgroup {}", path.display())));
    left
}

/// The first line of a record.
fn begun(record: &Path) -> Value {
    let text = fs::read_to_string(record).unwrap_or_default();
    text.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}

/// The pid in the name of a shim's group.
fn shim_of(cgroup: &Path) -> Option<i32> {
    let name = cgroup.file_name()?.to_str()?.strip_prefix("job-runner.")?;
    name.split('-').next()?.parse().ok()
}

/// Whether somebody else's living shim has come to have the pid.
fn is_of_another(cgroup: &Path) -> bool {
    let pid = shim_of(cgroup).unwrap_or_default();
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "jr-shim\n")
}

/// Whether a script is one of this run.
fn is_of(script: &Path, run: i64) -> bool {
    let name = script.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(&format!("job-runner-{run}.")))
}

fn command(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ").chars().take(120).collect()
}

/// The directory of the cgroup of this process, in which the shims make theirs.
fn own_cgroup() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let at = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let at = words.next()?;
        (words.next()? == "cgroup2").then(|| at.to_owned())
    })?;
    Some(Path::new(&at).join(own.trim_start_matches('/')))
}

/// Where the worker's secret stands, other than in its ini file.
fn secret(home: &WorkerHome, runs: &[RunRow]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path != home.ini_path() && contains(&fs::read(&path).unwrap_or_default(), SECRET.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found.extend(
        runs.iter().filter(|run| run.log_text().contains(SECRET)).map(|run| format!("the log of run {}", run.id)),
    );
    found
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
