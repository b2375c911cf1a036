//! The command line as types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::pages::MOST;

use crate::cli::LogFormat;
use crate::config::LogLevel;
use crate::wire::reference::Reference;

/// What `--help` looks like: what it is, how it is used, then everything.
const HELP: &str = "{about}\n\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// What stands behind the options.
const AFTER: &str = "\
server:
  --server URL, with the token in the file --token-file; else the server that works in the directory --data;
  else $JOB_RUNNER_SERVER, with the token in the file $JOB_RUNNER_TOKEN_FILE; else the one in ./job_runner_data.
  The token goes over https://, or to this machine; over http:// to another one only with --plain-http.

exit codes:
  0 done   1 refused   2 usage   66 no such file   69 no server answers   73 a directory or file cannot be made
  74 the output cannot be written   75 another server has the data directory
  76 the answer is none of a Job-Runner server   77 the token is missing, wrong or not to be sent there
  78 configuration error
  run: the script's own, 128+n by signal n, 124 timed out, 130 after Ctrl-C";

/// Where data lies unless somebody says otherwise.
pub const DATA: &str = "job_runner_data";

/// The words of the command line.
#[derive(Debug, Parser)]
#[command(
    name = "job_runner",
    about = concat!("Job Runner (v", env!("CARGO_PKG_VERSION"), "): scripts by schedule, on many machines, never twice"),
    version,
    help_template = HELP,
    before_help = "\
Examples:
  job_runner run backup.sh             run a script now and watch it
  job_runner standalone                a server and a worker on this machine
  job_runner job add backup.sh --every '1 hour'
  job_runner logs -f 12                the log of run 12 as it grows
  job_runner why backup.sh             why it ran, or did not
",
    after_help = AFTER,
    subcommand_required = true,
    arg_required_else_help = true,
)]
pub struct CommandLine {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a script now, print its log as it is written, and end as it ends
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner run backup.sh
  job_runner run --timeout 60 --name nightly backup.sh
  printf '#!/bin/sh\\necho hello\\n' | job_runner run -
  job_runner run --detach backup.sh    print the run's id, and leave it to the server

Without a server, one is brought along that lives for this command.
A script that is run so is no job: its runs are seen with `job_runner runs` and on the dashboard's Now page, and by its
name with logs, why and runs --job, where no job has that name. `job_runner job add` makes a job.
")]
    Run(RunArgs),
    /// A server and one worker in one process, for this machine alone
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner standalone                data in ./job_runner_data
  job_runner standalone --data /srv/jobs --listen 127.0.0.1:9000
")]
    Standalone(Standalone),
    /// The server
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner serve --config /etc/job-runner.ini --check-config
  job_runner serve --config /etc/job-runner.ini
")]
    Serve(Serve),
    /// List the jobs
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner jobs
  job_runner jobs --json

Scripts that were run with `job_runner run` are not among them: see `job_runner runs`.
")]
    Jobs(List),
    /// List the runs, the latest first
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner runs
  job_runner runs --job backup.sh --limit 10
  job_runner runs --with 12            run 12, and those of the other workers if all do it
  job_runner runs --planned            what is to come, the next first
")]
    Runs(RunsArgs),
    /// List the workers, or have them do something
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner workers
  job_runner workers sleep web1 web2   no new runs; what runs goes on
  job_runner workers wake web1 web2
  job_runner workers restart --now web1
")]
    Workers(WorkersArgs),
    /// Print the log of a run
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner logs 12
  job_runner logs -f 12                until the run is over
  job_runner logs backup.sh            the latest run of that job
")]
    Logs(LogsArgs),
    /// End a run
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner kill 12\n")]
    Kill(Kill),
    /// Run a job now
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner schedule backup.sh\n  job_runner logs -f backup.sh\n")]
    Schedule(OneJob),
    /// Let a job run when it is due
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner enable backup.sh\n")]
    Enable(OneJob),
    /// Let a job not run when it is due
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner disable backup.sh --reason 'the disk is being replaced'
")]
    Disable(Disable),
    /// Say why a job ran, or did not
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner why backup.sh\n  job_runner why '#1' --json             the job with the id 1\n")]
    Why(OneJob),
    /// Make a job
    #[command(subcommand)]
    Job(JobArgs),
    /// Make a template
    #[command(subcommand)]
    Template(TemplateArgs),
    /// Make a worker
    #[command(subcommand)]
    Worker(WorkerArgs),
}

/// Which server. The environment is read where the server is looked for: clap would show its values in the help.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct At {
    /// The address of the server [env: JOB_RUNNER_SERVER]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The file with the operator's token [env: JOB_RUNNER_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The directory of a server on this machine [default: ./job_runner_data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Send the token in clear to another machine
    #[arg(long)]
    pub plain_http: bool,
}

/// A run's id as it is typed.
fn run_id(text: &str) -> Result<i64, String> {
    Reference::parse(text).id().ok_or_else(|| "a run is named by its id, 12 or '#12'".to_owned())
}

/// `run`
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The script, with its shebang; `-` reads it from stdin
    pub script: PathBuf,
    /// What it is called [default: the name of the file]
    #[arg(long)]
    pub name: Option<String>,
    /// End it after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
    /// Who runs it: a pool of workers, which must exist
    #[arg(long)]
    pub pool: Option<String>,
    /// Print the run's id and leave it to the server
    #[arg(long)]
    pub detach: bool,
    /// Print the log alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `standalone`
#[derive(Clone, Debug, clap::Args)]
pub struct Standalone {
    /// Where its data lies
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Where it is reached
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// How many runs at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrent_jobs: u32,
    /// The least severe level that is logged
    #[arg(long, value_enum, default_value_t = LogLevel::Warning, value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Classic, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// `serve`
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// The ini file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Show the effective settings and every mistake, and exit with 0 or 78
    #[arg(long)]
    pub check_config: bool,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Classic, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// `jobs`, and `workers` alone
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// At most this many; where there are more, it says so
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub limit: u32,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `workers`
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkersArgs {
    /// What workers are to do.
    #[command(subcommand)]
    pub act: Option<ActArgs>,
    /// The list.
    #[command(flatten)]
    pub list: List,
}

/// `workers …`
#[derive(Clone, Debug, Subcommand)]
pub enum ActArgs {
    /// Let workers leave, with exit code 0
    Shutdown(ActOn),
    /// Let workers leave with their `restart_exit_code`, so that they are started again
    Restart(ActOn),
    /// Let workers take no new runs
    Sleep(ActOn),
    /// Let workers take new runs
    Wake(WakeUp),
}

/// `workers shutdown`, `restart`, `sleep`
#[derive(Clone, Debug, clap::Args)]
pub struct ActOn {
    /// Stop their runs and give them back, for other workers to run them; else they finish first
    #[arg(long)]
    pub now: bool,
    /// Which workers.
    #[command(flatten)]
    pub on: On,
}

/// `workers wake`
#[derive(Clone, Debug, clap::Args)]
pub struct WakeUp {
    /// Which workers.
    #[command(flatten)]
    pub on: On,
}

/// Which workers, and why.
#[derive(Clone, Debug, clap::Args)]
pub struct On {
    /// The workers: their titles or keys, or their ids as '#5'. A number is an id where no worker has that title
    #[arg(required = true, value_name = "NAME")]
    pub workers: Vec<String>,
    /// Why, for those who ask
    #[arg(long)]
    pub reason: Option<String>,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `runs`
#[derive(Clone, Debug, clap::Args)]
pub struct RunsArgs {
    /// Those of this job: its title, or its id as '#5'; or of the latest ad-hoc run of that name
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Those that were due together with this run: a run on all workers becomes one of each, and retries
    #[arg(long, value_name = "RUN", value_parser = run_id, conflicts_with = "job")]
    pub with: Option<i64>,
    /// Those that are planned for later, the next first; they are left out otherwise
    #[arg(long, conflicts_with = "with")]
    pub planned: bool,
    /// At most this many; where there are more, it says so
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub limit: u32,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `logs`
#[derive(Clone, Debug, clap::Args)]
pub struct LogsArgs {
    /// The run: its id, 12 or '#12'; or a job's title, for its latest run; with -f one that is due and waits, too. A number is a job's title where there is no such
    /// run. A title that no job has is that of a script that was run ad hoc
    pub run: String,
    /// Go on until the run is over
    #[arg(short, long)]
    pub follow: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `kill`
#[derive(Clone, Debug, clap::Args)]
pub struct Kill {
    /// The run: its id, 12 or '#12'
    #[arg(value_parser = run_id)]
    pub run: i64,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `schedule`, `enable`, `why`
#[derive(Clone, Debug, clap::Args)]
pub struct OneJob {
    /// The job: its title, or its id as '#5'. A number is an id where no job has that title
    pub job: String,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `disable`
#[derive(Clone, Debug, clap::Args)]
pub struct Disable {
    /// The job: its title, or its id as '#5'. A number is an id where no job has that title
    pub job: String,
    /// Why, for those who ask
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `job …`
#[derive(Clone, Debug, Subcommand)]
pub enum JobArgs {
    /// Make a job of a script
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner job add backup.sh --every '1 hour'
  job_runner job add report.sh --cron '30 6 * * MON-FRI' --zone Europe/Amsterdam
  job_runner job add clean.sh --after backup.sh --pool disks

Without --project, --template or --pool it is in those called default, which are made where they are missing. What is named
must exist, unless --make-missing says otherwise.
")]
    Add(JobAdd),
}

/// `job add`
#[derive(Clone, Debug, clap::Args)]
pub struct JobAdd {
    /// The script; `-` reads it from stdin
    pub script: PathBuf,
    /// What it is called [default: the name of the file]
    #[arg(long)]
    pub name: Option<String>,
    /// When it runs again: '15 minutes', '1 hour', '2 days', '1 month'
    #[arg(long, value_name = "INTERVAL", conflicts_with = "cron")]
    pub every: Option<String>,
    /// When it runs again: a cron expression. If both fields of days are given, either will do, unless one
    /// begins with *: then both must be right
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: Option<String>,
    /// The time zone of --cron [default: the server's]
    #[arg(long, requires = "cron")]
    pub zone: Option<String>,
    /// Run it after this job: its title, or its id as '#5'
    #[arg(long, value_name = "JOB")]
    pub after: Option<String>,
    /// Its project
    #[arg(long)]
    pub project: Option<String>,
    /// Its template
    #[arg(long)]
    pub template: Option<String>,
    /// The pool of workers that runs it
    #[arg(long)]
    pub pool: Option<String>,
    /// End a run after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
    /// How often a failed run is tried again: after a minute, then after twice as long each time
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// What becomes of a run that is due while another is active
    #[arg(long, value_parser = ["wait", "skip", "allow", "replace"])]
    pub concurrency: Option<String>,
    /// Make the project, template and pool that are named where they do not exist
    #[arg(long)]
    pub make_missing: bool,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `template …`
#[derive(Clone, Debug, Subcommand)]
pub enum TemplateArgs {
    /// Make a template of a file
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner template add bash bash.template
  printf '#!/bin/bash\\nset -eu\\n{{ content|safe }}\\n' | job_runner template add strict-bash -
")]
    Add(TemplateAdd),
}

/// `template add`
#[derive(Clone, Debug, clap::Args)]
pub struct TemplateAdd {
    /// What it is called
    pub name: String,
    /// The text around the scripts of its jobs; `-` reads it from stdin
    pub file: PathBuf,
    /// Its project, which is made where it does not exist
    #[arg(long)]
    pub project: Option<String>,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}

/// `worker …`
#[derive(Clone, Debug, Subcommand)]
pub enum WorkerArgs {
    /// Make a worker, and print the ini file for its machine
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner worker add web1 --output job-runner-worker.ini
  job_runner worker add web2 --pool web --output web2.ini
")]
    Add(WorkerAdd),
}

/// `worker add`
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerAdd {
    /// What it is called, and its key
    pub name: String,
    /// The pool it is in, which is made where it does not exist
    #[arg(long)]
    pub pool: Option<String>,
    /// Write the ini file there, for this user alone (0600); a file that exists stays
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub output: Option<PathBuf>,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub at: At,
}
