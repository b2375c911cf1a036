//! Scripts that check themselves: each takes a lock of its run, says when it begins and ends, and numbers its lines.

use std::path::Path;

use super::oracle::history::{Mark, ORPHAN, Says};
use super::plan::Shape;

/// How many lines [`Shape::Long`] prints: more than `max_log_bytes` holds.
const LONG: u32 = 3000;
/// The file in the campaign's folder that scripts write their marks to.
pub const TRACE: &str = "trace";

/// How many numbered lines a script of this shape prints.
pub fn lines(shape: Shape) -> u32 {
    match shape {
        Shape::Lines(lines, _) => lines,
        Shape::Long => LONG,
        Shape::Family | Shape::Daemon | Shape::Environment => 2,
    }
}

/// What the script of a run exits with.
pub fn code(run: i64) -> i64 {
    run % 7
}

/// The text. It knows its run by itself: the original does not tell it.
pub fn text(run: i64, shape: Shape, folder: &Path) -> String {
    let (folder, code) = (folder.display(), code(run));
    let body = match shape {
        Shape::Lines(lines, pause) => {
            let pause = f64::from(pause) / 1000.0;
            format!("for ((i = 1; i <= {lines}; i++)); do echo \"line $i of {run}\"; sleep {pause}; done")
        }
        Shape::Long => {
            format!("for ((i = 1; i <= {LONG}; i++)); do echo \"line $i of {run} {}\"; done", "x".repeat(20))
        }
        Shape::Environment => {
            format!("echo \"line 1 of {run}\"\nenv\ncat /proc/self/environ\necho\necho \"line 2 of {run}\"")
        }
        Shape::Daemon => {
            format!("echo \"line 1 of {run}\"\n(exec 9>&-; exec setsid sleep 30) &\necho \"line 2 of {run}\"")
        }
        // Nobody here ends by itself; each lets go of the lock, so that it tells of this script alone.
        Shape::Family => format!(
            "trap '' TERM\necho \"line 1 of {run}\"\n\
             (exec 9>&-; trap '' TERM; exec setsid sleep 60) &\n\
             (exec 9>&-; setsid bash -c 'trap \"\" TERM; sleep 60 & sleep 60 & wait' & wait) | cat &\n\
             echo \"line 2 of {run}\"\nsleep 60"
        ),
    };
    format!(
        "#!/bin/bash\nmark() {{ echo \"$1 {run} ${{JOB_RUNNER_ATTEMPT:-1}} $EPOCHREALTIME $2\" >>{folder}/{TRACE}; }}\n\
         read shim </proc/$PPID/comm; [[ $shim = jr-shim ]] && shim=$PPID || shim={ORPHAN}\n\
         exec 9>>{folder}/{run}.lock\nmark S $shim\nflock -n 9 || mark V 0\n{body}\nmark E {code}\nexit {code}\n"
    )
}

/// The marks in a trace. Lines that a SIGKILL cut short are left out.
pub fn marks(trace: &str) -> Vec<Mark> {
    let whole = trace.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(mark).collect()
}

fn mark(line: &str) -> Option<Mark> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let (run, attempt) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    // The fraction's sign depends on the locale.
    let at = words.next()?.replace(',', ".").parse().ok()?;
    let last: i32 = words.next()?.parse().ok()?;
    let says = match kind {
        "S" => Says::Begin { shim: last },
        "E" => Says::End { code: last },
        "V" => Says::Overlap,
        _ => return None,
    };
    Some(Mark { says, run, attempt, at })
}
