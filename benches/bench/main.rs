//! The measuring program. Run it by `./bench`.
//!
//! A worker is put before a server that costs next to nothing ([`stub`]) or before our own ([`own`]), and what it does is
//! timed; a figure counts only where all runs were executed once, well, and told in order. What depends on the machine is told
//! as a part of the machine's [`limit`] in the same minute. What is wanted of each figure stands in [`rows`].

#[path = "../../tests/support/own_postgres.rs"]
#[allow(dead_code)] // It is neither stopped nor kept here.
mod own_postgres;
#[path = "../../tests/interop/peer.rs"]
#[allow(dead_code)] // Of the original's installation only the worker is needed.
mod peer;
#[path = "../../tests/support/ports.rs"]
mod ports;
#[path = "../../tests/support/process_sweep.rs"]
mod process_sweep;
#[path = "../../tests/support/sqlite.rs"]
mod sqlite;

mod arguments;
mod failure;
mod figures;
mod growth;
mod limit;
mod machine;
mod moment;
mod own;
mod plot;
mod proc;
mod rows;
mod scenario;
mod script;
mod smoke;
mod stage;
mod stub;
mod table;
mod worker;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use arguments::Arguments;
use failure::Failure;
use figures::Figures;
use scenario::Subject;
use worker::Make;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(until_told(measure(&arguments)))) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Leaves nothing behind where it is told to end early.
async fn until_told(measuring: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        measured = measuring => measured,
        _ = terminated.recv() => Err(Failure("terminated".to_owned())),
        _ = tokio::signal::ctrl_c() => Err(Failure("interrupted".to_owned())),
    }
}

async fn measure(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.smoke {
        return smoke::test(&Subject::new(Make::Ours(arguments.worker.clone()), arguments)).await;
    }
    let names = arguments.chosen()?;
    let ours = Subject::new(Make::Ours(arguments.worker.clone()), arguments);
    let original = if arguments.original { Some(Subject::new(original()?, arguments)) } else { None };
    println!("{}", machine::described());
    let mut figures = Figures::default();
    for name in names {
        for _ in 0..arguments.repeats() {
            note(&mut figures, name, name, &ours).await;
            if let Some(original) = original.as_ref().filter(|_| scenario::suits_original(name)) {
                note(&mut figures, &format!("original.{name}"), name, original).await;
            }
        }
    }
    print!("{}", table::text(&figures));
    if let Some(path) = &arguments.json {
        fs::write(path, table::json(&figures))?;
    }
    if arguments.record {
        record(arguments, &figures)?;
    }
    for failure in &figures.failures {
        println!("FAILED {failure}");
    }
    Ok(if figures.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes what was measured into the document about it.
fn record(arguments: &Arguments, figures: &Figures) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (document, drawings) = (root.join("PERFORMANCE.rst"), root.join("docs/performance"));
    let words: Vec<String> = std::env::args().skip(1).collect();
    let today = chrono::Utc::now().format("%Y-%m-%d");
    let text = format!(
        "{today}, ``./bench {}``, the median of {}: {}.\n\n{}",
        words.join(" "),
        arguments.repeats(),
        machine::described(),
        table::rst(figures)
    );
    let placed = table::placed(&fs::read_to_string(&document)?, &text);
    fs::write(document, placed.ok_or_else(|| Failure("PERFORMANCE.rst has no place for figures".to_owned()))?)?;
    fs::create_dir_all(&drawings)?;
    for (name, plot) in growth::plots(figures) {
        fs::write(drawings.join(name), plot::svg(&plot))?;
    }
    Ok(())
}

/// Measures once, and keeps what came of it.
async fn note(figures: &mut Figures, key: &str, name: &str, subject: &Subject) {
    let began = std::time::Instant::now();
    let outcome = scenario::measure(name, subject).await;
    let shown = match outcome {
        Ok(sample) => {
            let shown: Vec<String> = sample.iter().map(|(figure, value)| format!("{figure} {value:.2}")).collect();
            figures.add(key, sample);
            shown.join(", ")
        }
        Err(failure) => {
            let why = failure.to_string();
            figures.failures.push(format!("{key}: {why}"));
            // The rest is told at the end.
            format!("FAILED: {}", why.lines().next().unwrap_or_default())
        }
    };
    println!("{key} ({:.1} s): {shown}", began.elapsed().as_secs_f64());
}

/// What starts the original worker.
fn original() -> Result<Make, Failure> {
    let none = || Failure("there is no Python 2.7 for the original".to_owned());
    let command = peer::Peer::installed().ok_or_else(none)?.command("worker");
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    Ok(Make::Original(words.map(OsString::from).collect()))
}
