//! The campaign: a worker under faults, and an oracle that judges what came of it. Run it by `./campaign`.
//!
//! A server that misbehaves ([`weather`]), broadcasts that are repeated, reordered and forged ([`feeder`],
//! [`noise`]), a worker and shims that are killed at random and at named points ([`chaos`]), and scripts that check
//! themselves ([`script`]). What is going to happen is drawn from one seed ([`plan`]); what did happen is gathered
//! ([`witness`]) and judged by pure functions ([`oracle`]). The server and its workers together are put to the test in [`server`], and
//! several servers at one database in [`fleet`].

// Of the original's installation only the worker is needed.
#[allow(dead_code)]
#[path = "../interop/peer.rs"]
mod peer;
#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod chaos;
mod feeder;
mod fleet;
mod hand_overs;
mod noise;
mod oracle;
mod original;
mod ours;
mod plan;
mod refusal;
mod script;
mod server;
mod shims;
mod small_disk;
mod stage;
mod weather;
mod witness;

use std::process::ExitCode;

use arguments::{Arguments, Mode};

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err((text, code)) => {
            eprintln!("{text}");
            return ExitCode::from(code);
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let well = runtime.block_on(async {
        match arguments.mode {
            Mode::Ours => ours::campaign(&arguments).await,
            Mode::Original => original::campaign(&arguments).await,
            Mode::Server => server::campaign(&arguments).await,
            Mode::Fleet => fleet::campaign(&arguments).await,
            Mode::HandOvers(count) => hand_overs::campaign(&arguments, count).await,
        }
    });
    runtime.shutdown_background();
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
