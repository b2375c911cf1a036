//! Command line of `job_runner` as types. The comments of options and commands are the texts of `--help`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::paging::MOST;

use crate::cli::LogFormat;
use crate::config::LogLevel;
use crate::wire::flamenco::ObjectId;
use crate::wire::reference::Reference;

/// Layout of `--help`: purpose, examples, usage, then all options.
const HELP: &str = "{about}\n\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Text behind the options in `--help` of the program.
const AFTER: &str = "\
server:
  --server URL, with the token in the file --token-file; else the server that works in the directory --data;
  else $JOB_RUNNER_SERVER, with the token in the file $JOB_RUNNER_TOKEN_FILE; else the one in ./job_runner_data.
  The token goes over https://, or to this machine; over http:// to another one only with --plain-http.

exit codes:
  0 done   1 refused   2 usage   66 no such file   69 no server answers   73 a directory or file cannot be created
  74 the output cannot be written   75 another server has the data directory
  76 the answer is not from a Job-Runner server   77 the token is missing, wrong or not to be sent there
  78 configuration error
  run: the script's own, 128+n by signal n, 124 timed out, 130 after Ctrl-C";

/// Default directory of a server's data, below the working directory.
pub const DATA: &str = "job_runner_data";

/// Command line of the program: one command with its options.
#[derive(Debug, Parser)]
#[command(
    name = "job_runner",
    about = concat!("Job Runner (v", env!("CARGO_PKG_VERSION"), "): runs scripts on a schedule, on many machines, never twice"),
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
    /// Command to be carried out.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a script now, print its log as it is written, and exit with its exit code
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner run backup.sh
  job_runner run --timeout 60 --name nightly backup.sh
  printf '#!/bin/sh\\necho hello\\n' | job_runner run -
  job_runner run --detach backup.sh    print the run's id, and leave it to the server

Without a server, one is started for this command alone.
A script that is run like this is not a job. `job_runner runs` and the dashboard's Now page show its runs; logs, why and
runs --job find them by its name if no job has that name. `job_runner job add` creates a job.
")]
    Run(RunArgs),
    /// A server and one worker in one process, for this machine alone
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner standalone                data in ./job_runner_data
  job_runner standalone --data /srv/jobs --listen 127.0.0.1:9000
")]
    Standalone(Standalone),
    /// Run the server as a service
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner serve --config /etc/job-runner.ini --check-config
  job_runner serve --config /etc/job-runner.ini
")]
    Serve(Serve),
    /// Move the data of a stopped server from SQLite to PostgreSQL
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner migrate --config /etc/job-runner.ini
  PGPASSWORD=secret job_runner migrate --data /srv/jobs --to postgres://jobs@db.example.com/jobs
  job_runner migrate --back --data /srv/jobs

The database has to exist and to be empty. Every row is copied, then compared. An interrupted migration begins anew with
the same command; until one is complete, the SQLite file stays the store. After it, no server starts on that file:
--back undoes that.
")]
    Migrate(Migrate),
    /// List all jobs, with their schedules
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
  job_runner runs --with 12            run 12, and those of a run on all workers
  job_runner runs --planned            planned runs, the next first
")]
    Runs(RunsArgs),
    /// List the workers, or send them commands
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner workers
  job_runner workers sleep web1 web2   no new runs; running ones go on
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
    /// Kill a run, or cancel one that no worker has claimed
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner kill 12\n")]
    Kill(Kill),
    /// Run a job now, besides its schedule
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner schedule backup.sh\n  job_runner logs -f backup.sh\n")]
    Schedule(OneJob),
    /// Let a job run when it is due (undoes `disable`)
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner enable backup.sh\n")]
    Enable(OneJob),
    /// Do not run a job when it is due
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner disable backup.sh --reason 'the disk is being replaced'
")]
    Disable(Disable),
    /// Say why a job ran, or did not
    #[command(help_template = HELP, before_help = "Examples:\n  job_runner why backup.sh\n  job_runner why '#1' --json             the job with the id 1\n")]
    Why(OneJob),
    /// Add jobs that run scripts
    #[command(subcommand)]
    Job(JobArgs),
    /// Add templates for the scripts of jobs
    #[command(subcommand)]
    Template(TemplateArgs),
    /// Add workers that run jobs
    #[command(subcommand)]
    Worker(WorkerArgs),
    /// Submit jobs for Flamenco workers, look after their tasks, and command the workers
    #[command(subcommand)]
    Flamenco(FlamencoArgs),
}

/// Options that choose the server. The environment is read where the server is looked for, because clap would show its
/// values in the help.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
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

/// Parses a run's id as it is typed: `12` or `#12`.
fn run_id(text: &str) -> Result<i64, String> {
    Reference::parse(text).id().ok_or_else(|| "a run is named by its id, 12 or '#12'".to_owned())
}

/// Arguments of `job_runner run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The script, with its shebang; `-` reads it from stdin
    pub script: PathBuf,
    /// Title of the run [default: the name of the file]
    #[arg(long)]
    pub name: Option<String>,
    /// Stop the script after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
    /// Pool of workers that runs it; the pool must exist
    #[arg(long)]
    pub pool: Option<String>,
    /// Print the run's id and leave it to the server
    #[arg(long)]
    pub detach: bool,
    /// Print only the log
    #[arg(short, long)]
    pub quiet: bool,
    /// Server that runs the script.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner standalone`.
#[derive(Clone, Debug, clap::Args)]
pub struct Standalone {
    /// Directory of its data
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Address of its pages and its API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Number of runs at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrent_jobs: u32,
    /// Lowest level that is logged
    #[arg(long, value_enum, default_value_t = LogLevel::Warning, value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// Format of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Classic, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// Arguments of `job_runner serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Configuration file of the server
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Show the effective settings and every mistake, and exit with 0 or 78
    #[arg(long)]
    pub check_config: bool,
    /// Format of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Classic, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// Arguments of `job_runner migrate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Migrate {
    /// Configuration file of the server, with its data_path, database and password
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory of the server [default: data_path of --config, else ./job_runner_data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Database that gets the data [default: database of --config]; its password is better in PGPASSWORD
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// Let a server start on the SQLite file again; what has happened in PostgreSQL since is not in it
    #[arg(long, conflicts_with_all = ["to", "json"])]
    pub back: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `job_runner jobs` and of `job_runner workers` without an action.
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// Show at most this many; a note on stderr says if there are more
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub limit: u32,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner workers`.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkersArgs {
    /// Action of the workers; without one they are listed.
    #[command(subcommand)]
    pub command: Option<WorkersCommand>,
    /// Options of the list.
    #[command(flatten)]
    pub list: List,
}

/// Actions of `job_runner workers`.
#[derive(Clone, Debug, Subcommand)]
pub enum WorkersCommand {
    /// Let workers exit with code 0
    Shutdown(CommandArgs),
    /// Let workers exit with their `restart_exit_code`, so that they are started again
    Restart(CommandArgs),
    /// Let workers take no new runs
    Sleep(CommandArgs),
    /// Let workers take new runs again
    Wake(WakeArgs),
}

/// Arguments of the actions `shutdown`, `restart` and `sleep`.
#[derive(Clone, Debug, clap::Args)]
pub struct CommandArgs {
    /// Stop their runs and give them back, for other workers to run them; otherwise the runs finish first
    #[arg(long)]
    pub now: bool,
    /// Workers that are to act.
    #[command(flatten)]
    pub on: NamedWorkers,
}

/// Arguments of the action `wake`.
#[derive(Clone, Debug, clap::Args)]
pub struct WakeArgs {
    /// Workers that are to act.
    #[command(flatten)]
    pub on: NamedWorkers,
}

/// Workers that are to act, and the reason.
#[derive(Clone, Debug, clap::Args)]
pub struct NamedWorkers {
    /// Workers by title or key, or by id as '#5'. A number is an id if no worker has that title
    #[arg(required = true, value_name = "NAME")]
    pub workers: Vec<String>,
    /// Reason to record, shown with the request
    #[arg(long)]
    pub reason: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner runs`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunsArgs {
    /// Only runs of this job, by title or by id as '#5', or of the latest ad-hoc run of that name
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Only runs that were due together with this run: one for each worker of a run on all workers, and retries
    #[arg(long, value_name = "RUN", value_parser = run_id, conflicts_with = "job")]
    pub with: Option<i64>,
    /// Only runs that are planned for later, the next first; otherwise these are left out
    #[arg(long, conflicts_with = "with")]
    pub planned: bool,
    /// Show at most this many; a note on stderr says if there are more
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub limit: u32,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner logs`.
#[derive(Clone, Debug, clap::Args)]
pub struct LogsArgs {
    /// Run by id, 12 or '#12'; or a job by title, for its latest run (with -f also one that is due and waits). A number
    /// is a job's title if there is no such run. A title that no job has is that of a script that was run ad hoc
    pub run: String,
    /// Go on until the run has ended
    #[arg(short, long)]
    pub follow: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner kill`.
#[derive(Clone, Debug, clap::Args)]
pub struct Kill {
    /// Run by id, 12 or '#12'
    #[arg(value_parser = run_id)]
    pub run: i64,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner schedule`, `enable` and `why`.
#[derive(Clone, Debug, clap::Args)]
pub struct OneJob {
    /// Job by title, or by id as '#5'. A number is an id if no job has that title
    pub job: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner disable`.
#[derive(Clone, Debug, clap::Args)]
pub struct Disable {
    /// Job by title, or by id as '#5'. A number is an id if no job has that title
    pub job: String,
    /// Reason to record, shown with the job
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Actions of `job_runner job`.
#[derive(Clone, Debug, Subcommand)]
pub enum JobArgs {
    /// Add a job that runs a script
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner job add backup.sh --every '1 hour'
  job_runner job add report.sh --cron '30 6 * * MON-FRI' --zone Europe/Amsterdam
  job_runner job add clean.sh --after backup.sh --pool disks

Without --project, --template or --pool, the ones called default are used, and created if they are missing. Those that are
named must exist, unless --make-missing is given.
")]
    Add(JobAdd),
}

/// Arguments of `job_runner job add`.
#[derive(Clone, Debug, clap::Args)]
pub struct JobAdd {
    /// File with the script; `-` reads it from stdin
    pub script: PathBuf,
    /// Title of the job [default: the name of the file]
    #[arg(long)]
    pub name: Option<String>,
    /// Interval between its runs: '15 minutes', '1 hour', '2 days', '1 month'
    #[arg(long, value_name = "INTERVAL", conflicts_with = "cron")]
    pub every: Option<String>,
    /// Cron expression of its schedule. If both fields of days are restricted, a day that matches either will do; if
    /// one of them begins with *, both must match
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: Option<String>,
    /// The time zone of --cron [default: the server's]
    #[arg(long, requires = "cron")]
    pub zone: Option<String>,
    /// Run it after this job, by title or by id as '#5'
    #[arg(long, value_name = "JOB")]
    pub after: Option<String>,
    /// Project of the job
    #[arg(long)]
    pub project: Option<String>,
    /// Template of the job
    #[arg(long)]
    pub template: Option<String>,
    /// Pool of workers that runs it
    #[arg(long)]
    pub pool: Option<String>,
    /// Stop a run after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
    /// Retries of a failed run: after a minute, then after twice as long each time
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Handling of a run that is due while another is active
    #[arg(long, value_parser = ["wait", "skip", "allow", "replace"])]
    pub concurrency: Option<String>,
    /// Create the project, template and pool that are named if they do not exist
    #[arg(long)]
    pub make_missing: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that gets the job.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Actions of `job_runner template`.
#[derive(Clone, Debug, Subcommand)]
pub enum TemplateArgs {
    /// Add a template from a file
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner template add bash bash.template
  printf '#!/bin/bash\\nset -eu\\n{{ content|safe }}\\n' | job_runner template add strict-bash -
")]
    Add(TemplateAdd),
}

/// Arguments of `job_runner template add`.
#[derive(Clone, Debug, clap::Args)]
pub struct TemplateAdd {
    /// Title of the template
    pub name: String,
    /// File with the text around the scripts of its jobs; `-` reads it from stdin
    pub file: PathBuf,
    /// Project of the template, which is created if it does not exist
    #[arg(long)]
    pub project: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that gets the template.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Actions of `job_runner worker`.
#[derive(Clone, Debug, Subcommand)]
pub enum WorkerArgs {
    /// Add a worker, and print the ini file for its machine
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner worker add web1 --output job-runner-worker.ini
  job_runner worker add web2 --pool web --output web2.ini
")]
    Add(WorkerAdd),
}

/// Arguments of `job_runner worker add`.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerAdd {
    /// Title of the worker, and its key
    pub name: String,
    /// Pool that it joins, which is created if it does not exist
    #[arg(long)]
    pub pool: Option<String>,
    /// Write the ini file there, for this user alone (0600); an existing file is not overwritten
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub output: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that gets the worker.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Actions of `job_runner flamenco`.
#[derive(Clone, Debug, Subcommand)]
pub enum FlamencoArgs {
    /// Submit a job from a JSON file, and print its id
    #[command(help_template = HELP, before_help = "\
Examples:
  job_runner flamenco submit shot010.json

The file has a name and tasks; a task has a name, a task_type that a worker supports, commands, and may have parents:
  {\"name\": \"shot 010\", \"job_type\": \"render\", \"priority\": 50, \"tasks\": [
    {\"name\": \"f1\", \"task_type\": \"blender-render\", \"commands\": [{\"name\": \"exec\", \"settings\": {\"cmd\": \"...\"}}]},
    {\"name\": \"video\", \"task_type\": \"sleep\", \"parents\": [\"f1\"],
     \"commands\": [{\"name\": \"echo\", \"settings\": {\"message\": \"done\"}}]}]}
")]
    Submit(FlamencoSubmit),
    /// List the jobs, the latest first, with the states of their tasks
    Jobs(FlamencoList),
    /// List the tasks of a job
    Tasks(FlamencoTasks),
    /// Cancel a job: what waits is not started, and what is executed is stopped
    Cancel(FlamencoJob),
    /// Show a task, and why it waits
    Why(FlamencoTask),
    /// Print the log of a task
    Log(FlamencoLog),
    /// Execute a task again, or all tasks of a job that failed or were cancelled
    Requeue(FlamencoRequeue),
    /// List the Flamenco workers with their states
    Workers(FlamencoWorkers),
    /// Send workers to sleep: they get no tasks until they are woken
    Sleep(FlamencoCommand),
    /// Wake workers up: they ask for tasks again
    Wake(FlamencoCommand),
    /// Shut workers down: they sign off and exit
    Shutdown(FlamencoCommand),
    /// Remove workers that will not come back; one that does registers anew
    Forget(FlamencoCommand),
}

/// Arguments of `job_runner flamenco submit`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoSubmit {
    /// JSON file with the job; `-` reads it from stdin
    pub file: PathBuf,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that gets the job.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco jobs`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoList {
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco why`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoTask {
    /// Task by its id of 24 digits, as `flamenco tasks` shows it
    pub task: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco log`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoLog {
    /// Task by its id of 24 digits, as `flamenco tasks` shows it
    pub task: String,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco requeue`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoRequeue {
    /// Task or job by its id of 24 digits
    #[arg(value_name = "TASK|JOB")]
    pub id: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco workers`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoWorkers {
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of the commands to Flamenco workers.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoCommand {
    /// Workers by their ids of 24 digits, as `flamenco workers` shows them
    #[arg(required = true, value_name = "WORKER")]
    pub workers: Vec<ObjectId>,
    /// Stop their tasks and give them to other workers; otherwise the tasks finish first
    #[arg(long)]
    pub now: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco tasks`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoTasks {
    /// Job by its id of 24 digits, as `flamenco jobs` shows it
    pub job: String,
    /// Show only tasks in this state, such as failed
    #[arg(long)]
    pub state: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}

/// Arguments of `job_runner flamenco cancel`.
#[derive(Clone, Debug, clap::Args)]
pub struct FlamencoJob {
    /// Job by its id of 24 digits, as `flamenco jobs` shows it
    pub job: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Server that is asked.
    #[command(flatten)]
    pub at: ServerArgs,
}
