//! What a source asks for. An order is only a hint: what it names is looked up before anything happens.

use super::{KillId, RunId};

/// One order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// A run is due.
    Enqueue(RunId),
    /// A run is to be killed.
    Kill(KillId),
    /// The server asks whether we are there.
    Ping,
    /// Something is asked of us, which the answer to what we tell of ourselves says.
    Attend,
}
