//! The whole server: real HTTP, real ZeroMQ, real WebSockets, on free ports of loopback.

mod chains;
mod claims;
mod dispatch;
mod feed;
mod fixture;
mod health;
mod onlookers;
mod planning;
mod raw_socket;
mod stage;
mod subscriber;
