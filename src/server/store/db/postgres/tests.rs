//! Promises of the engine that SQLite need not keep.
