//! What several doors need: the names that a server on loopback answers to, the origin of forms, and turns at reading much.

pub mod host;
pub mod origin;
pub mod own_names;
pub mod turns;
