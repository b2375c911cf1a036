//! The server and the operator's command.

fn main() {}
