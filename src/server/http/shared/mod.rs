//! Parts that several HTTP modules share: the host names that a server on loopback answers to, the check where a form
//! comes from, turns at reading from the store, bodies from files, and the log of failed requests.

pub mod failed_requests;
pub mod file_body;
pub mod host;
pub mod origin;
pub mod own_names;
pub mod read_turns;
pub mod wrong_tokens;
