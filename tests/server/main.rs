//! The whole server: real HTTP, real WebSockets, on free ports of loopback.

mod feed;
mod fixture;
mod raw_socket;
