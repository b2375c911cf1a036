//! Jobs of every kind, and how each of them must end.

use std::path::Path;

/// What a log must be.
pub enum Log {
    Is(String),
    Begins(&'static str),
    Has(&'static [&'static str]),
    Obeys(fn(&str) -> Result<(), String>),
}

impl Log {
    pub fn check(&self, log: &str) -> Result<(), String> {
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

/// A job and how it must end.
pub struct Kind {
    pub name: &'static str,
    pub script: String,
    pub success: bool,
    /// Whether there is ever a process.
    pub spawns: bool,
    pub killed: bool,
    pub log: Log,
    /// What our worker says behind the script's output; the original says nothing.
    pub note: &'static str,
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
        note: "[job runner worker] The job was stopped: it was killed at the server's request.\n",
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

/// One of each. What scripts tell of their processes they write into the folder.
pub fn kinds(folder: &Path) -> Vec<Kind> {
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
