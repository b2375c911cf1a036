//! The whole server: real HTTP, real ZeroMQ, real WebSockets, on free ports of loopback.

mod chains;
mod claims;
mod differences;
mod dispatch;
mod feed;
mod fixture;
mod health;
mod http;
mod onlookers;
mod planning;
mod raw_socket;
mod replay;
mod rest;
mod seed;
mod signature;
mod stage;
mod subscriber;
