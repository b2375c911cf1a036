//! Bytes to words and back: the network's and the disk's. Pure.
//!
//! Nothing of `run` knows how it looks as bytes; every format stands here, with where it comes from.

pub mod action;
pub mod broadcast;
pub mod disk;
pub mod event;
pub mod feed;
pub mod hmac;
pub mod instance;
pub mod lack;
pub mod operator;
pub mod reference;
pub mod resources;
pub mod shim;
pub mod time;
pub mod uplink;
pub mod zmtp;
