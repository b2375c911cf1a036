//! Hostile scripts: each says when it begins and ends, by itself, in a file that neither server nor worker knows of.

use std::path::Path;

use fastrand::Rng;

use super::oracle::Expected;
use crate::script::TRACE;

/// A script as it is handed over.
#[derive(Clone, Debug)]
pub struct Hostile {
    pub kind: Kind,
    pub text: String,
    pub expected: Expected,
    /// How long it may run, in seconds.
    pub timeout: Option<u32>,
}

/// What is hostile about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Plain,
    Fails,
    TemplateMarks,
    CarriageReturns,
    NoNewline,
    Nul,
    OddCharacters,
    Huge,
    Deep,
    Perl,
    Python,
    NoInterpreter,
    Signal,
    RealtimeSignal,
    Flood,
    StopsItsParent,
    KillsItsParent,
    Daemon,
    IgnoresTerm,
    ClosesItsOutput,
}

const KINDS: [Kind; 20] = [
    Kind::Plain,
    Kind::Fails,
    Kind::TemplateMarks,
    Kind::CarriageReturns,
    Kind::NoNewline,
    Kind::Nul,
    Kind::OddCharacters,
    Kind::Huge,
    Kind::Deep,
    Kind::Perl,
    Kind::Python,
    Kind::NoInterpreter,
    Kind::Signal,
    Kind::RealtimeSignal,
    Kind::Flood,
    Kind::StopsItsParent,
    Kind::KillsItsParent,
    Kind::Daemon,
    Kind::IgnoresTerm,
    Kind::ClosesItsOutput,
];

impl Hostile {
    /// One that is drawn; every third is plain, so that there is something that can be disturbed.
    pub fn draw(rng: &mut Rng, folder: &Path) -> Self {
        let kind = if rng.u32(..3) == 0 { Kind::Plain } else { KINDS[rng.usize(..KINDS.len())] };
        Self::of(kind, rng, folder)
    }

    /// One that ends by itself and soon, for a job that is due every few seconds.
    pub fn draw_short(rng: &mut Rng, folder: &Path) -> Self {
        let short = [Kind::Plain, Kind::Fails, Kind::TemplateMarks, Kind::NoNewline, Kind::OddCharacters, Kind::Daemon];
        Self::of(short[rng.usize(..short.len())], rng, folder)
    }

    fn of(kind: Kind, rng: &mut Rng, folder: &Path) -> Self {
        let pause = f64::from(rng.u32(0..900)) / 1000.0;
        let text = text(kind, pause, folder);
        let expected = match kind {
            Kind::Fails | Kind::Signal | Kind::RealtimeSignal | Kind::IgnoresTerm => Expected::Success(false),
            Kind::NoInterpreter => Expected::NoExecution,
            Kind::StopsItsParent | Kind::KillsItsParent => Expected::Anything,
            _ => Expected::Success(true),
        };
        let timeout = (kind == Kind::IgnoresTerm).then_some(1);
        Self { kind, text, expected, timeout }
    }
}

fn text(kind: Kind, pause: f64, folder: &Path) -> String {
    let body = match kind {
        Kind::Perl => return perl(folder),
        Kind::Python => return python(folder),
        Kind::NoInterpreter => return "#!/nowhere/at-all -x\n:\n".to_owned(),
        // As an editor of another system saves it: the worker writes it with the line ends of this one.
        Kind::CarriageReturns => return bash(folder, "echo typed elsewhere").replace('\n', "\r\n"),
        Kind::Plain => format!("echo begun\nsleep {pause}\necho over"),
        Kind::Fails => format!("sleep {pause}; mark E 3; exit 3"),
        Kind::TemplateMarks => {
            "a=(1 2 3)\n[ \"${#a[@]}\" = 3 ] || exit 9\nb=${#}\n# #} {{ nothing }} {% nothing %} {# nothing\n[ \"$b\" = 0 ] || exit 8"
                .to_owned()
        }
        Kind::NoNewline => return bash(folder, "echo no newline").trim_end().to_owned(),
        Kind::Nul => "echo 'a\0b'".to_owned(),
        Kind::OddCharacters => "echo 'ä\u{202e}\u{7f}\u{1b}[31m\u{feff}\u{10ffff} 😀'".to_owned(),
        Kind::Huge => format!("# {}\necho huge", "huge ".repeat(60_000)),
        Kind::Deep => format!("{} : {}", "( ".repeat(60), ") ".repeat(60)),
        Kind::Signal => "kill -SEGV $$; sleep 5".to_owned(),
        Kind::RealtimeSignal => "kill -s RTMIN+3 $$; sleep 5".to_owned(),
        Kind::Flood => "head -c 3000000 /dev/zero | tr '\\0' x; yes | head -n 100000".to_owned(),
        Kind::StopsItsParent => "kill -STOP $PPID; sleep 0.3".to_owned(),
        Kind::KillsItsParent => "kill -KILL $PPID; sleep 0.3".to_owned(),
        Kind::Daemon => "(exec 9>&-; exec setsid sleep 60) &".to_owned(),
        Kind::IgnoresTerm => "trap '' TERM; (exec 9>&-; trap '' TERM; exec setsid sleep 60) & sleep 60".to_owned(),
        Kind::ClosesItsOutput => format!("exec 1>&- 2>&-; sleep {pause}"),
    };
    bash(folder, &body)
}

/// Marks as those of the worker's campaign: what happened, the run, its attempt, when, and with what.
fn bash(folder: &Path, body: &str) -> String {
    let folder = folder.display();
    let lock = format!("exec 9>>{folder}/$JOB_RUNNER_RUN_ID.lock; mark S 0; flock -n 9 || mark V 0");
    format!(
        "#!/bin/bash\nmark() {{ echo \"$1 $JOB_RUNNER_RUN_ID ${{JOB_RUNNER_ATTEMPT:-1}} $EPOCHREALTIME $2\" >>{folder}/{TRACE}; }}\n\
         export FIXTURE_HOME={folder}; {lock}\n{body}\nmark E 0\nexit 0\n"
    )
}

fn perl(folder: &Path) -> String {
    format!(
        "#!/usr/bin/perl\nsub mark {{ open(my $t, '>>', '{}/{TRACE}'); \
         syswrite($t, \"$_[0] $ENV{{JOB_RUNNER_RUN_ID}} $ENV{{JOB_RUNNER_ATTEMPT}} 0 0\\n\"); close($t); }}\n\
         mark('S');\nprint \"perl\\n\";\nmark('E');\n",
        folder.display()
    )
}

fn python(folder: &Path) -> String {
    format!(
        "#!/usr/bin/env python3\nimport os\ndef mark(what):\n    with open('{}/{TRACE}', 'ab', 0) as trace:\n        \
         trace.write(('%s %s %s 0 0\\n' % (what, os.environ['JOB_RUNNER_RUN_ID'], os.environ['JOB_RUNNER_ATTEMPT'])).encode())\n\
         mark('S')\nprint('python')\nmark('E')\n",
        folder.display()
    )
}
