//! The whole server: real HTTP, real ZeroMQ, real WebSockets, on free ports of loopback.

mod abuse;
mod ad_hoc;
mod browser;
mod chains;
mod claims;
mod clocks;
mod command;
mod command_examples;
mod command_output;
mod command_tokens;
mod crashes;
mod dashboard_forms;
mod dashboard_speed;
mod data_files;
mod database;
mod descriptors;
mod differences_from_original;
mod dispatch;
mod documented_commands;
mod edit_and_delete;
mod farm;
mod feed;
mod fixture;
mod hostile_templates;
mod http;
mod http_time_outs;
mod instances;
mod kills;
mod late_results;
mod list_paging;
mod logs;
mod lost_workers;
mod migrate;
mod named_entities;
mod operator;
mod outage;
mod planned_runs;
mod program;
mod raw_socket;
mod recorded_runs;
mod references;
mod replay;
mod rest;
mod run_on_all_workers;
mod run_waits;
mod sample_installation;
mod scale;
mod seed;
mod service;
mod several_servers;
mod signature;
mod stage;
mod steady_load;
mod subscriber;
mod uplink;
mod worker_commands;
mod worker_events;
mod worker_process;
mod workers;
mod wrong_tokens;
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
#[path = "../support/sqlite.rs"]
mod sqlite;
#[allow(dead_code)]
#[path = "../support/test_database.rs"]
mod test_database;
#[allow(dead_code)]
#[path = "../support/tmpfs.rs"]
mod tmpfs;
#[path = "../interop/wait.rs"]
mod wait;
