//! The whole server: real HTTP, real ZeroMQ, real WebSockets, on free ports of loopback.

mod abuse;
mod acting;
mod actions;
mod ad_hoc;
mod browser;
mod bystander;
mod chains;
mod claims;
mod clocks;
mod command;
mod command_examples;
mod command_output;
mod command_tokens;
mod crashes;
mod data_files;
mod descriptors;
mod differences;
mod dispatch;
mod documented_commands;
mod editing;
mod feed;
mod fixture;
mod guesses;
mod health;
mod hired;
mod holding;
mod hostile_templates;
mod http;
mod instances;
mod listing;
mod logs;
mod naming;
mod onlookers;
mod operator;
mod outage;
mod planning;
mod plausible;
mod program;
mod raw_socket;
mod references;
mod replay;
mod rest;
mod scale;
mod seed;
mod service;
mod signature;
mod speed;
mod spread;
mod stage;
mod subscriber;
mod time_outs;
mod uplink;
mod workers;
mod zmq_ports;

#[path = "../support/full_size.rs"]
mod full_size;
#[allow(dead_code)] // what the interop tests need beyond this
#[path = "../interop/peer.rs"]
mod peer;
#[path = "../interop/port.rs"]
mod port;
#[path = "../interop/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../support/skip.rs"]
mod skip;
#[allow(dead_code)]
#[path = "../support/tmpfs.rs"]
mod tmpfs;
#[path = "../interop/wait.rs"]
mod wait;
