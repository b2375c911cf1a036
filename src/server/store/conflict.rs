//! Conflicts: requests that break a rule of the data, with the rule and the entities as data. Their wording stands here
//! alone.

use std::fmt;

use super::catalogue::Entity;
use crate::run::ApiKey;
use crate::server::domain::model::{JobId, PoolId, ProjectId, TemplateId, WorkerId};
use crate::server::domain::rules::RuleViolation;
use crate::server::domain::title::Title;

#[cfg(test)]
mod tests;

/// Existing names that a refusal lists.
pub(super) const NAMES_SAID: usize = 20;

/// Rule of the data that a request breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The request refers to an entity that does not exist.
    #[error("{0} does not exist")]
    Missing(MissingEntity),
    /// The request names an entity by a title that none has.
    #[error("there is no {0}")]
    Unknown(UnknownName),
    /// Another job of the template has this title.
    #[error("job {0} exists already")]
    TitleTaken(Title),
    /// Another worker has this key.
    #[error("api_key {0} exists already")]
    KeyTaken(ApiKey),
    /// The parent of the job is the job itself or runs after it.
    #[error("a job cannot run after itself or after one that runs after it")]
    Cycle,
    /// The interval of so many units has no unit, so no run would ever come of it.
    #[error("a reschedule_interval of {0} needs a reschedule_interval_type: MINUTE, HOUR, DAY or MONTH")]
    IntervalWithoutUnit(u32),
    /// A new worker has no secret.
    #[error("a worker needs a secret")]
    NoSecret,
    /// The secret of a worker has bytes that the store cannot keep.
    #[error("a secret is UTF-8 text")]
    SecretNotText,
    /// So many ad-hoc scripts with this title run that there is no room for another.
    #[error("{most} scripts with the title {title} run")]
    TooManyAlike {
        /// Title of the scripts.
        title: Title,
        /// Number of such scripts that may run at once.
        most: u32,
    },
    /// A value breaks a rule for what may be entered.
    #[error(transparent)]
    Rule(#[from] RuleViolation),
    /// The new body of a template makes the script of this job one that no worker could start.
    #[error("its job {job}: {broken}")]
    JobOfTemplate {
        /// Title of the job.
        job: String,
        /// Rule that the script would break.
        broken: RuleViolation,
    },
}

/// Entity that a request refers to by its id and that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingEntity {
    /// Project with this id.
    Project(ProjectId),
    /// Pool with this id.
    Pool(PoolId),
    /// Worker with this id.
    Worker(WorkerId),
    /// Template with this id.
    Template(TemplateId),
    /// The parent of a job.
    Parent(JobId),
}

impl fmt::Display for MissingEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project {id}"),
            Self::Pool(id) => write!(f, "pool {id}"),
            Self::Worker(id) => write!(f, "worker {id}"),
            Self::Template(id) => write!(f, "job_template {id}"),
            Self::Parent(id) => write!(f, "parent {id}"),
        }
    }
}

/// Title that no entity of a kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// Kind of the entity: a project, template or pool.
    pub kind: Entity,
    /// Title that was given.
    pub title: Title,
    /// Title of the project in which a template was sought.
    pub within: Option<String>,
    /// Existing titles, at most `NAMES_SAID` of them.
    pub known: Vec<String>,
    /// Whether there are others than those in `known`.
    pub has_others: bool,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Entity::Project => "project",
            Entity::Template => "template",
            Entity::Pool => "pool",
            Entity::Worker => "worker",
            Entity::Job => "job",
        };
        write!(f, "{kind} {:?}", self.title.as_str())?;
        if let Some(project) = &self.within {
            write!(f, " in project {project:?}")?;
        }
        let mut names: Vec<String> = self.known.iter().map(|name| format!("{name:?}")).collect();
        names.extend(self.has_others.then(|| "others".to_owned()));
        match &names[..] {
            [] => write!(f, "; there is none yet"),
            [only] => write!(f, "; there is {only}"),
            [first @ .., last] => write!(f, "; there are {} and {last}", first.join(", ")),
        }
    }
}
