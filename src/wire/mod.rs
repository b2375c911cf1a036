//! Wire formats of the network and the disk: encodes the types of [`crate::run`] to bytes and decodes them. Pure.
//!
//! `run` knows nothing of bytes; each format has one module here, which also says where the format comes from.

pub mod action;
pub mod broadcast;
pub mod disk;
pub mod event;
pub mod feed;
pub mod flamenco;
pub mod hmac;
pub mod instance;
pub mod lack;
pub mod operator;
pub mod reason;
pub mod reference;
pub mod resources;
pub mod shim;
pub mod steps;
pub mod time;
pub mod uplink;
pub mod zmtp;
