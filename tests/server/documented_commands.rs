//! The commands in README.rst, docs/tutorial.rst and docs/flamenco.rst, typed in order as they stand there, with what they are shown to answer.
//!
//! A `console` block is executed: a line with `$` is typed into a shell, lines with `>` go on with it, and each other line has to
//! be in the answer, where `…` stands for anything. What no test can execute is a `sh` block, and stands in [`NOT_RUN`].

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::program::{Done, JOB_RUNNER, Lasting, Place};

const README: &str = include_str!("../../README.rst");
const TUTORIAL: &str = include_str!("../../docs/tutorial.rst");
const FLAMENCO: &str = include_str!("../../docs/flamenco.rst");

/// The lines that are shown and not executed: they build or install, or need the network or a worker of Flamenco.
const NOT_RUN: [&str; 4] = [
    "cargo install --locked --path .",
    "./flamenco-worker",
    "curl -H \"Authorization: Bearer $(cat data/operator.token)\" -d 'action=set-status&status=asleep&lazy=true' \\",
    "    http://127.0.0.1:8080/worker-action/5a1b2c3d4e5f60718293a4b5",
];
/// Commands that last until somebody ends them, and how they are started here.
const LASTING: [(&str, &str); 4] = [
    (
        "job_runner serve --config server.ini",
        "export JOB_RUNNER_LISTEN=127.0.0.1:0 JOB_RUNNER_BROADCASTER_LISTEN=127.0.0.1:0; \
         export JOB_RUNNER_EVENTS_LISTEN=127.0.0.1:0 JOB_RUNNER_FLAMENCO_LISTEN=127.0.0.1:0; \
         exec job_runner serve --config server.ini 2>&1",
    ),
    ("job_runner standalone", "exec job_runner standalone --listen 127.0.0.1:0"),
    ("cargo run --release --bin job_runner -- standalone", "exec job_runner standalone --listen 127.0.0.1:0"),
    (
        "JOB_RUNNER_WORKER_STATE_PATH=./web1 job_runner_worker --config-path web1.ini",
        "JOB_RUNNER_WORKER_STATE_PATH=./web1 exec job_runner_worker --config-path web1.ini",
    ),
];
/// What is built here already.
const BUILT: (&str, &str) = ("cargo run --release --bin job_runner --", "job_runner");
/// Where a server is in the documentation; here it has a port of its own.
const ADDRESS: &str = "127.0.0.1:8000";
/// How long a command that only shows something is asked again until it shows what it should.
const PATIENCE: Duration = Duration::from_secs(30);
/// The commands that change nothing, and may be asked again.
const SHOWS: [&str; 5] =
    ["job_runner jobs", "job_runner runs", "job_runner workers", "job_runner why ", "job_runner flamenco jobs"];

/// A directive with code: its language, the line it stands in, and its text.
#[derive(Debug, PartialEq)]
struct Block {
    language: String,
    line: usize,
    text: Vec<String>,
}

/// The blocks of a document.
fn blocks(document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in (1..).zip(document.lines()) {
        if let Some(language) = text.strip_prefix(".. code-block:: ") {
            found.push(Block { language: language.to_owned(), line, text: Vec::new() });
            open = true;
        } else if let Some(code) = text.strip_prefix("   ").filter(|_| open) {
            found.last_mut().expect("a block").text.push(code.to_owned());
        } else if !text.is_empty() {
            assert!(!text.ends_with("::"), "line {line}: a block without a language is neither executed nor marked");
            open = false;
        }
    }
    found
}

/// A command and the lines of its answer that are shown.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The steps of a console.
fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.text.iter().filter(|line| !line.is_empty()) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
            continue;
        }
        let step = steps.last_mut().unwrap_or_else(|| panic!("line {}: an answer to no command", block.line));
        match line.strip_prefix("> ") {
            Some(more) => step.command += &format!("\n{more}"),
            None => step.shown.push(line.clone()),
        }
    }
    steps
}

/// Whether a line is as it is shown; blanks between words are all the same.
fn fits(line: &str, shown: &str) -> bool {
    let even = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, shown) = (even(line), even(&shown.replace(ADDRESS, "…")));
    let pieces: Vec<&str> = shown.split('…').map(str::trim).collect();
    let (first, last) = (pieces[0], pieces[pieces.len() - 1]);
    if pieces.len() == 1 || !line.starts_with(first) || !line.ends_with(last) {
        return line == shown;
    }
    let mut rest = &line[first.len()..];
    for piece in &pieces[1..] {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// A shell in a directory, and what was started in it and lasts.
struct Session {
    place: Place,
    lasting: Vec<Lasting>,
}

impl Session {
    fn new() -> Self {
        let place = Place::new();
        std::fs::create_dir(place.path().join("examples")).expect("a folder");
        place.script("examples/hello.sh", include_str!("../../examples/hello.sh"));
        Self { place, lasting: Vec::new() }
    }

    /// A shell that finds the programs of this build.
    fn shell(command: &str) -> [String; 2] {
        let programs = Path::new(JOB_RUNNER).parent().expect("a folder").display().to_string();
        ["-c".to_owned(), format!("PATH={programs}:$PATH; {command}")]
    }

    async fn type_in(&self, command: &str) -> Done {
        let [flag, command] = Self::shell(command);
        self.place.run_by("bash", &[&flag, &command]).await
    }

    /// Does a step, and compares with what is shown.
    async fn follow(&mut self, step: &Step, place: &str) {
        if let Some((_, command)) = LASTING.iter().find(|(typed, _)| *typed == step.command) {
            let [flag, command] = Self::shell(command);
            let mut lasting = self.place.start_by("bash", &[&flag, &command]);
            for shown in &step.shown {
                let words = shown.replace(ADDRESS, "…");
                let longest = words.split('…').max_by_key(|piece| piece.len()).expect("a piece").trim();
                let line = lasting.line_with(longest).await;
                assert!(fits(&line, shown), "{place}: {line} is not {shown}");
            }
            self.lasting.push(lasting);
            return;
        }
        let command = step.command.replace(BUILT.0, BUILT.1);
        let shows = SHOWS.iter().any(|start| command.starts_with(start)) && !command.starts_with("job_runner workers ");
        let begun = Instant::now();
        loop {
            let done = self.type_in(&command).await;
            let missing =
                step.shown.iter().find(|shown| !done.out.lines().chain(done.err.lines()).any(|l| fits(l, shown)));
            match missing {
                None => {
                    assert_eq!(done.code, 0, "{place}: {command}: {done:?}");
                    return;
                }
                Some(_) if shows && begun.elapsed() < PATIENCE => {}
                Some(shown) => panic!("{place}: {command}: {shown:?} is not in {done:#?}"),
            }
        }
    }

    /// Ends what lasts, the last first, as `Ctrl-C` does.
    async fn end(self) {
        for mut lasting in self.lasting.into_iter().rev() {
            if !lasting.is_over() {
                lasting.signal(Signal::SIGINT);
            }
            let done = lasting.end().await;
            assert_eq!(done.code, 0, "{done:?}");
        }
    }
}

/// Executes a document from its first console to its last.
async fn execute(name: &str, document: &str, least: usize) {
    let mut session = Session::new();
    let mut commands = 0;
    for block in blocks(document) {
        let place = format!("{name}:{}", block.line);
        match block.language.as_str() {
            "console" => {
                for step in steps(&block) {
                    session.follow(&step, &place).await;
                    commands += 1;
                }
            }
            "sh" => {
                let unknown = block.text.iter().find(|line| !line.is_empty() && !NOT_RUN.contains(&line.as_str()));
                assert_eq!(unknown, None, "{place}: not executed, and not in the list of what is not");
            }
            other => assert_eq!(other, "text", "{place}: neither executed nor marked as output"),
        }
    }
    assert!(commands >= least, "{name} has {commands} commands");
    session.end().await;
}

#[tokio::test]
async fn the_readme_does_what_it_says() {
    execute("README.rst", README, 8).await;
}

#[tokio::test]
async fn the_tutorial_does_what_it_says() {
    execute("docs/tutorial.rst", TUTORIAL, 8).await;
}

#[tokio::test]
async fn the_page_about_flamenco_does_what_it_says() {
    execute("docs/flamenco.rst", FLAMENCO, 6).await;
}

#[test]
fn a_console_is_read_into_commands_and_answers() {
    let document = "Text.\n\n.. code-block:: console\n\n   $ cat <<'E'\n   > a\n   > E\n   a\n\n   $ b\n\nText.\n\n.. code-block:: sh\n\n   c\n";
    let found = blocks(document);
    assert_eq!(found.iter().map(|b| (b.language.as_str(), b.line)).collect::<Vec<_>>(), [("console", 3), ("sh", 14)]);
    let step = |command: &str, shown: &[&str]| Step {
        command: command.to_owned(),
        shown: shown.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(steps(&found[0]), [step("cat <<'E'\na\nE", &["a"]), step("b", &[])]);
}

#[test]
fn what_is_shown_has_to_be_answered_but_for_what_differs() {
    for (line, shown, expected) in [
        ("run 12 is due", "run … is due", true),
        ("run 12 is over", "run … is due", false),
        ("2   web1   default  awake", "… web1 … awake …", true),
        ("2   web1   default  asleep", "… web1 … awake …", false),
        ("http://127.0.0.1:4711/", "http://127.0.0.1:8000/", true),
        ("the same", "the same", true),
        ("not the same", "the same", false),
    ] {
        assert_eq!(fits(line, shown), expected, "{line} / {shown}");
    }
}

#[test]
#[should_panic(expected = "neither executed nor marked")]
fn a_block_without_a_language_is_found() {
    blocks("Type this::\n\n    rm -rf /\n");
}
