//! Check of a submitted job: it is taken as a whole or refused as a whole, with each mistake named.

use std::collections::HashMap;
use std::fmt;

use crate::wire::flamenco::MAX_COMMANDS;
use crate::wire::flamenco::submission::{JobSubmission, TaskSubmission};

#[cfg(test)]
mod tests;

/// Most tasks of one job.
pub const MAX_TASKS: usize = 100_000;
/// Longest name or type, in bytes.
pub const MAX_NAME: usize = 255;
/// Most mistakes that are named; a list of thousands helps nobody.
const MAX_MISTAKES: usize = 20;

/// Job that was checked: names are replaced by places.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedJob {
    /// Job as it was submitted.
    pub job: JobSubmission,
    /// Places of the parents of each task, each once, in the order of the tasks.
    pub parents: Vec<Vec<usize>>,
}

/// Mistakes in a submission, a bounded number of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SubmissionRefusal {
    /// Mistakes, each as a sentence fragment that names the task.
    pub mistakes: Vec<String>,
    /// Number of further mistakes.
    pub more: usize,
}

impl fmt::Display for SubmissionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("; "))?;
        if self.more > 0 { write!(f, "; and {} more mistakes", self.more) } else { Ok(()) }
    }
}

/// Checks a submission.
///
/// # Errors
/// If anything is wrong with it.
pub fn check(job: JobSubmission) -> Result<CheckedJob, SubmissionRefusal> {
    let mut mistakes = Mistakes::default();
    mistakes.check_name("the name of the job", &job.name, false);
    mistakes.check_name("the type of the job", &job.job_type, true);
    if job.tasks.is_empty() || job.tasks.len() > MAX_TASKS {
        // Further checks would take long, and say the same of each.
        mistakes.add(format!("a job has 1 to {MAX_TASKS} tasks, this one {}", job.tasks.len()));
        return Err(mistakes.into());
    }
    let mut places = HashMap::with_capacity(job.tasks.len());
    for (place, task) in job.tasks.iter().enumerate() {
        check_task(place, task, &mut mistakes);
        if places.insert(task.name.as_str(), place).is_some() {
            mistakes.add(format!("two tasks have the name {:?}", task.name));
        }
    }
    let mut parents = Vec::with_capacity(job.tasks.len());
    for task in &job.tasks {
        let mut of_task = Vec::with_capacity(task.parents.len());
        for parent in &task.parents {
            match places.get(parent.as_str()) {
                Some(place) => of_task.push(*place),
                None => mistakes.add(format!("task {:?} has the parent {parent:?}, which is no task", task.name)),
            }
        }
        of_task.sort_unstable();
        of_task.dedup();
        parents.push(of_task);
    }
    if let Some(place) = in_a_loop(&parents) {
        mistakes.add(format!("task {:?} waits for itself, over its parents", job.tasks[place].name));
    }
    if mistakes.found.is_empty() { Ok(CheckedJob { job, parents }) } else { Err(mistakes.into()) }
}

fn check_task(place: usize, task: &TaskSubmission, mistakes: &mut Mistakes) {
    mistakes.check_name(&format!("the name of task {}", place + 1), &task.name, false);
    mistakes.check_name(&format!("the type of task {:?}", task.name), &task.task_type, false);
    if task.commands.is_empty() || task.commands.len() > MAX_COMMANDS {
        let commands = task.commands.len();
        mistakes.add(format!("task {:?} has {commands} commands; allowed are 1 to {MAX_COMMANDS}", task.name));
    }
    if task.commands.iter().any(|command| command.name.is_empty()) {
        mistakes.add(format!("task {:?} has a command without a name", task.name));
    }
}

/// Returns a task that is its own ancestor, or has such an ancestor.
fn in_a_loop(parents: &[Vec<usize>]) -> Option<usize> {
    let mut open: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut children = vec![Vec::new(); parents.len()];
    for (task, of_task) in parents.iter().enumerate() {
        of_task.iter().for_each(|parent| children[*parent].push(task));
    }
    // Tasks whose parents are done are done, one after another; what is left waits for itself.
    let mut done: Vec<usize> = (0..parents.len()).filter(|task| open[*task] == 0).collect();
    while let Some(task) = done.pop() {
        for child in &children[task] {
            open[*child] -= 1;
            if open[*child] == 0 {
                done.push(*child);
            }
        }
    }
    open.iter().position(|open| *open > 0)
}

#[derive(Default)]
struct Mistakes {
    found: Vec<String>,
    more: usize,
}

impl Mistakes {
    fn add(&mut self, mistake: String) {
        if self.found.len() < MAX_MISTAKES {
            self.found.push(mistake);
        } else {
            self.more += 1;
        }
    }

    fn check_name(&mut self, what: &str, name: &str, may_be_empty: bool) {
        if name.is_empty() && !may_be_empty {
            self.add(format!("{what} is empty"));
        } else if name.len() > MAX_NAME {
            self.add(format!("{what} has {} bytes; allowed are {MAX_NAME}", name.len()));
        } else if name.chars().any(char::is_control) {
            self.add(format!("{what} has a control character"));
        }
    }
}

impl From<Mistakes> for SubmissionRefusal {
    fn from(mistakes: Mistakes) -> Self {
        Self { mistakes: mistakes.found, more: mistakes.more }
    }
}
