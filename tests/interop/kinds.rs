//! Jobs of every kind end in the server's database as they should.

use std::collections::BTreeMap;
use std::path::Path;

use crate::database::{NewJob, Picture};
use crate::stage::{Stage, is_alive, on_stage};
use crate::wait::until;
use crate::worker::is_ours;

/// What a log must be.
enum Log {
    Is(String),
    Begins(&'static str),
    Has(&'static [&'static str]),
    Obeys(fn(&str) -> Result<(), String>),
}

impl Log {
    fn check(&self, log: &str) -> Result<(), String> {
        let shown = || format!("{} bytes: {:?}", log.len(), log.chars().take(300).collect::<String>());
        match self {
            Self::Is(wanted) if log != wanted => Err(format!("not {wanted:?} but {}", shown())),
            Self::Begins(wanted) if !log.starts_with(wanted) => {
                Err(format!("does not begin with {wanted:?}: {}", shown()))
            }
            Self::Has(parts) if !parts.iter().all(|part| log.contains(part)) => {
                Err(format!("without {parts:?}: {}", shown()))
            }
            Self::Obeys(rule) => rule(log).map_err(|why| format!("{why}: {}", shown())),
            _ => Ok(()),
        }
    }
}

struct Kind {
    name: &'static str,
    script: String,
    success: bool,
    /// Whether there is ever a process.
    spawns: bool,
    killed: bool,
    log: Log,
    /// What our worker says behind the script's output; the original says nothing.
    note: &'static str,
}

fn works(name: &'static str, script: impl Into<String>, log: impl Into<String>) -> Kind {
    Kind { name, script: script.into(), success: true, spawns: true, killed: false, log: Log::Is(log.into()), note: "" }
}

fn fails(name: &'static str, script: impl Into<String>, log: impl Into<String>) -> Kind {
    Kind { success: false, ..works(name, script, log) }
}

fn never_starts(name: &'static str, script: &str) -> Kind {
    let log = Log::Begins("[job runner worker] Could not execute job: ");
    Kind { spawns: false, log, ..fails(name, script, "") }
}

fn killed(name: &'static str, script: String, log: &str) -> Kind {
    Kind {
        killed: true,
        note: "[job runner worker] The job was stopped: it was killed on request.\n",
        ..fails(name, script, log)
    }
}

const LEFT_RUNNING: &str = "[job runner worker] Processes that the job started were left running.\n";

/// The limit's default, 20 % and 80 % of it.
const MAX_LOG: usize = 800 * 1024;
const HEAD: usize = MAX_LOG / 5;
const TAIL: usize = MAX_LOG / 5 * 4;
const CUT: &str = "\n\n[truncated]\n\n";

fn cut_of_ascii(log: &str) -> Result<(), String> {
    let (head, tail) = log.split_once(CUT).ok_or("not truncated")?;
    if head.len() != HEAD || tail.len() != TAIL {
        return Err(format!("cut to {} and {} bytes", head.len(), tail.len()));
    }
    let whole = head.starts_with("first\nxxx") && tail.ends_with("xxx\nlast\n");
    whole.then_some(()).ok_or_else(|| "not the begin and the end".into())
}

fn cut_of_characters(log: &str) -> Result<(), String> {
    let (head, tail) = log.split_once(CUT).ok_or("not truncated")?;
    if head.chars().chain(tail.chars()).any(|character| character != '€') {
        return Err("a character was cut".into());
    }
    let near = |part: &str, limit: usize| part.len() <= limit && part.len() > limit - 3;
    (near(head, HEAD) && near(tail, TAIL))
        .then_some(())
        .ok_or_else(|| format!("cut to {} and {} bytes", head.len(), tail.len()))
}

fn kinds(folder: &Path) -> Vec<Kind> {
    let file = |name: &str| folder.join(name).display().to_string();
    let interleaved: String = (1..=50).map(|n| format!("out {n}\nerr {n}\n")).collect();
    vec![
        works("bash", "#!/usr/bin/env bash\necho hello\n", "hello\n"),
        works(
            "python -u",
            "#!/usr/bin/env python3 -u\nimport sys\nprint('one')\nsys.stderr.write('two\\n')\nprint('three')\n",
            "one\ntwo\nthree\n",
        ),
        works("sh without a last newline", "#!/bin/sh\nprintf done", "done"),
        works("crlf", "#!/usr/bin/env bash\r\necho one\r\necho two\r\n", "one\ntwo\n"),
        works("carriage return", "#!/bin/sh\nprintf 'a\rb\\n'\n", "a\rb\n"),
        works(
            "shebang with arguments",
            "#!/usr/bin/env GREETING='good day' bash -u\necho \"$GREETING\"\n",
            "good day\n",
        ),
        works("unicode", "#!/usr/bin/env bash\necho 'žluťoučký kůň ☃ 🚀'\n", "žluťoučký kůň ☃ 🚀\n"),
        works("empty output", "#!/bin/sh\ntrue\n", ""),
        works("reads stdin", "#!/bin/sh\ncat\necho eof\n", "eof\n"),
        works(
            "interleaved",
            "#!/bin/sh\nn=1\nwhile [ $n -le 50 ]; do echo out $n; echo err $n >&2; n=$((n+1)); done\n",
            interleaved,
        ),
        Kind {
            log: Log::Has(&["0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "end\n"]),
            ..works(
                "binary",
                "#!/usr/bin/env python3\nimport sys\nsys.stdout.buffer.write(bytes(range(256)) * 4 + b'end\\n')\n",
                "",
            )
        },
        Kind {
            log: Log::Obeys(cut_of_ascii),
            ..works(
                "5 MB",
                "#!/usr/bin/env bash\necho first\nhead -c 5000000 /dev/zero | tr '\\0' x\necho\necho last\n",
                "",
            )
        },
        Kind {
            log: Log::Obeys(cut_of_characters),
            ..works(
                "character at the cut",
                "#!/usr/bin/env python3\nimport sys\nsys.stdout.buffer.write('\\u20ac'.encode('utf8') * 400000)\n",
                "",
            )
        },
        works(
            "own session",
            "#!/bin/sh\nsetsid sh -c 'echo from another session'\necho done\n",
            "from another session\ndone\n",
        ),
        Kind {
            note: LEFT_RUNNING,
            ..works(
                "daemon with closed pipes",
                format!(
                    "#!/usr/bin/env bash\nnohup sleep 100 </dev/null >/dev/null 2>&1 &\necho $! >{}\necho left\n",
                    file("closed.pid")
                ),
                "left\n",
            )
        },
        Kind {
            log: Log::Has(&["left\n"]),
            note: LEFT_RUNNING,
            ..works(
                "daemon with an open pipe",
                format!("#!/usr/bin/env bash\nnohup sleep 15 &\necho $! >{}\necho left\n", file("open.pid")),
                "",
            )
        },
        never_starts("no shebang", "echo nothing\n"),
        never_starts("empty script", " "),
        never_starts("missing interpreter", "#!/no/such/interpreter\necho nothing\n"),
        fails("exit 3", "#!/bin/sh\necho before\nexit 3\n", "before\n"),
        Kind {
            note: "[job runner worker] The job was ended by signal 10 (SIGUSR1).\n",
            ..fails("death by signal", "#!/bin/sh\necho gone\nkill -USR1 $$\n", "gone\n")
        },
        killed("sleeper", "#!/usr/bin/env bash\necho sleeping\nsleep 30\n".into(), "sleeping\n"),
        killed(
            "session",
            format!("#!/usr/bin/env bash\nsetsid sleep 100 &\necho $! >{}\necho sleeping\nwait\n", file("session.pid")),
            "sleeping\n",
        ),
        killed(
            "orphan",
            format!(
                "#!/usr/bin/env bash\n(setsid sh -c 'echo $$ >{}; exec sleep 100' &)\necho sleeping\nsleep 30\n",
                file("orphan.pid")
            ),
            "sleeping\n",
        ),
    ]
}

/// The kinds without those that `JOB_RUNNER_INTEROP_SKIP` names.
fn wanted(folder: &Path) -> Vec<Kind> {
    let skip = std::env::var("JOB_RUNNER_INTEROP_SKIP").unwrap_or_default();
    let skip: Vec<&str> = skip.split(',').map(str::trim).collect();
    kinds(folder).into_iter().filter(|kind| !skip.contains(&kind.name)).collect()
}

/// What is wrong with a run that has returned.
fn faults(kind: &Kind, run: u64, stage: &Stage, picture: &Picture, log: &str) -> Vec<String> {
    let row = picture.run(run);
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(format!("{}: {what}", kind.name));
        }
    };
    must(row.return_success == Some(kind.success), format!("success is {:?}", row.return_success));
    must(row.enqueue_dts.is_some() && row.start_dts.is_some(), format!("no times in {row:?}"));
    must(row.pid.is_some() == kind.spawns, format!("pid is {:?}", row.pid));
    must(row.worker.is_some(), "no worker".into());
    must(row.returns == 1, format!("returned {} times", row.returns));
    must(row.log_length.is_some() || log.is_empty() && kind.success, "no log".into());
    let fails = picture.job(row.job).fail_times;
    must(fails == u64::from(!kind.success), format!("fail_times is {fails}"));
    let output = if is_ours() { log.strip_suffix(kind.note) } else { Some(log) };
    must(output.is_some(), format!("log: without {:?} at its end: {log:?}", kind.note));
    if let Err(why) = kind.log.check(output.unwrap_or(log)) {
        must(false, format!("log: {why}"));
    }
    let events = stage.feed.of_run(run);
    let all = ["enqueued", "started", "returned"];
    must(events == all || (!kind.spawns && events == ["enqueued", "returned"]), format!("events {events:?}"));
    faults
}

fn pid_in(stage: &Stage, name: &str) -> i32 {
    let text = std::fs::read_to_string(stage.file(name)).unwrap_or_default();
    text.trim().parse().unwrap_or_else(|_| panic!("{name} has no pid: {text:?}"))
}

#[test]
fn every_kind_of_job_ends_as_it_should() {
    on_stage(|stage| {
        stage.database.add_worker("one", crate::worker::SECRET, &["one"]);
        let _worker = stage.ready_worker("one", &[]);
        let kinds = wanted(stage.path());
        let jobs: Vec<u64> =
            kinds.iter().map(|kind| stage.database.add_job(&NewJob::new(kind.name, &*kind.script, "one"))).collect();
        let runs = stage.database.schedule(&jobs);

        let doomed: BTreeMap<&str, u64> =
            kinds.iter().zip(&runs).filter(|(kind, _)| kind.killed).map(|(kind, run)| (kind.name, *run)).collect();
        let kills: Vec<(&str, u64)> = doomed
            .iter()
            .map(|(name, run)| {
                let what = format!("{name} sleeps");
                until(&what, 60, || stage.running(&[*run], 60).run(*run).pid);
                if *name != "sleeper" {
                    until(&what, 10, || stage.file(&format!("{name}.pid")).exists().then_some(()));
                }
                (*name, stage.database.kill(*run))
            })
            .collect();
        let mut wrong: Vec<String> = Vec::new();
        for (name, kill) in &kills {
            until(&format!("{name} killed"), 60, || stage.database.picture().kill_request(*kill).execute_dts.clone());
            if *name != "sleeper" {
                let pid = pid_in(stage, &format!("{name}.pid"));
                if is_alive(pid) {
                    wrong.push(format!("{name}: the kill is executed, and {pid} lives"));
                }
            }
        }

        let picture = stage.returned(&runs, 90);
        let told = |wait: &str, count: usize, of: &dyn Fn() -> usize| {
            until(wait, 10, || (of() >= count).then_some(()));
        };
        told("all returns are told", runs.len(), &|| {
            runs.iter().filter(|run| stage.feed.of_run(**run).iter().any(|e| e == "returned")).count()
        });
        let logs = stage.database.logs(runs.iter().copied());
        for (kind, run) in kinds.iter().zip(&runs) {
            wrong.extend(faults(kind, *run, stage, &picture, &logs[run]));
        }
        for (name, kill) in &kills {
            told(name, 2, &|| stage.feed.of_kill_request(*kill).len());
            if picture.kill_request(*kill).enqueue_dts.is_none() {
                wrong.push(format!("{name}: the kill has no enqueue_dts"));
            }
            let events = stage.feed.of_kill_request(*kill);
            if events != ["enqueued", "executed"] {
                wrong.push(format!("{name}: events of the kill {events:?}"));
            }
        }
        if stage.file("closed.pid").exists() && !is_alive(pid_in(stage, "closed.pid")) {
            wrong.push("a daemon was ended, and may stay".into());
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));

        let row = picture.worker("one");
        assert_eq!(row.concurrent_jobs, Some(8));
        if is_ours() {
            assert_eq!(row.worker_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        }
        // A run that was done twice or a double return would have left its traces by now.
        assert_eq!(stage.database.picture().runs.len(), runs.len());
    });
}

#[test]
fn children_follow_once() {
    on_stage(|stage| {
        stage.database.add_worker("one", crate::worker::SECRET, &["one"]);
        let _worker = stage.ready_worker("one", &[]);
        let job = |title: &str, script: &str| NewJob::new(title, script, "one");
        let good = stage.database.add_job(&job("good", "#!/bin/sh\necho parent\n"));
        let bad = stage.database.add_job(&job("bad", "#!/bin/sh\nexit 1\n"));
        let tolerant = stage
            .database
            .add_job(&NewJob { schedule_children_on_error: true, ..job("tolerant", "#!/bin/sh\nexit 1\n") });
        let after_good = stage.database.add_job(&job("after good", "#!/bin/sh\necho child\n").after(good));
        let grandchild = stage.database.add_job(&job("grandchild", "#!/bin/sh\necho last\n").after(after_good));
        let after_bad = stage.database.add_job(&job("after bad", "#!/bin/sh\ntrue\n").after(bad));
        let after_tolerant = stage.database.add_job(&job("after tolerant", "#!/bin/sh\ntrue\n").after(tolerant));
        stage.database.schedule(&[good, bad, tolerant]);

        let count = |picture: &Picture, job| picture.runs_of(job).iter().filter(|run| run.return_dts.is_some()).count();
        let picture = until("parents and children return", 60, || {
            let picture = stage.database.picture();
            [good, bad, tolerant, after_good, grandchild, after_tolerant]
                .iter()
                .all(|job| count(&picture, *job) > 0)
                .then_some(picture)
        });
        for job in [good, bad, tolerant, after_good, grandchild, after_tolerant] {
            assert_eq!(picture.runs_of(job).len(), 1, "{}", picture.job(job).title);
        }
        assert!(picture.runs_of(after_bad).is_empty(), "a child of a failed run");
        let log = stage.database.log(picture.runs_of(grandchild)[0].id);
        assert_eq!(log.as_deref(), Some("last\n"));
    });
}

#[test]
fn a_job_on_all_workers_runs_once_on_each() {
    on_stage(|stage| {
        let (secret, both) = (crate::worker::SECRET, ["both"]);
        let one = stage.database.add_worker("one", secret, &both);
        // The broadcaster's topics match by prefix: this one must not take what is for `one`.
        let eleven = stage.database.add_worker("one1", secret, &both);
        // One seat each: what finds none is announced once only, and must be remembered.
        let seats = [("concurrent_jobs", "1".to_owned())];
        let _workers = [stage.ready_worker("one", &seats), stage.ready_worker("one1", &seats)];
        let busy: Vec<u64> = (0..2)
            .map(|n| NewJob {
                run_on_all_workers: true,
                ..NewJob::new(format!("busy {n}"), "#!/bin/sh\nsleep 2\n", "both")
            })
            .map(|job| stage.database.add_job(&job))
            .collect();
        let everywhere = stage.database.add_job(&NewJob {
            run_on_all_workers: true,
            ..NewJob::new("everywhere", "#!/bin/sh\necho here\n", "both")
        });
        let after = stage.database.add_job(&NewJob::new("after", "#!/bin/sh\necho all\n", "both").after(everywhere));
        // The broadcaster deletes these runs and makes one for each worker.
        stage.database.schedule(&[busy[0], busy[1], everywhere]);

        let picture = until("the child of both returns", 60, || {
            let picture = stage.database.picture();
            let done = picture.runs_of(after).iter().any(|run| run.return_dts.is_some())
                && picture.runs.iter().all(|run| run.return_dts.is_some());
            done.then_some(picture)
        });
        for job in [busy[0], busy[1], everywhere] {
            let runs = picture.runs_of(job);
            let mut workers: Vec<_> = runs.iter().filter_map(|run| run.worker).collect();
            workers.sort_unstable();
            assert_eq!(workers, [one, eleven], "{}", picture.job(job).title);
            assert!(runs.iter().all(|run| run.return_success == Some(true) && run.returns == 1));
            assert_eq!(runs[0].schedule_id, runs[1].schedule_id);
        }
        assert_eq!(picture.runs_of(after).len(), 1, "a child once, after both");
    });
}
