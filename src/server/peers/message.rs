//! Messages between servers: JSON texts, short enough for one notification of the database. A message that a server does
//! not know, of a later version, is passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::run::{ApiKey, Order, RunId};
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::store::{wait_facts, wait_of_facts};
use crate::wire::broadcast;
use crate::wire::reason::ReasonParams;

#[cfg(test)]
mod tests;

/// Longest message in bytes. PostgreSQL's notifications have less than 8,000.
const MAX: usize = 7_500;

/// What one server tells the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// An order to a worker, for the server that it is connected to.
    Order(ApiKey, Order),
    /// A worker receives orders from now on.
    Arrived(ApiKey),
    /// Which runs of a job wait, and why.
    Waits(JobId, BTreeMap<RunId, WaitReasons>),
    /// Whether a worker counts as silent.
    Silent(WorkerId, bool),
    /// Another server dispatches now: what was told of waits and silence is void.
    DispatcherChanged,
    /// The sender asks the dispatcher to tell all waits and silence again.
    TellAgain,
    /// Another instance works under a worker's key, or none any more.
    InstanceChanged(WorkerId),
    /// An instance was heard from by the sender; its name.
    InstanceHeard(WorkerId, String),
    /// A session was logged out.
    LoggedOut,
    /// The dispatch lease was given up.
    LeaseFree,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Order(String, String),
    Arrived(String),
    Waits(i64, Vec<(i64, String, ReasonParams)>),
    Silent(i64, bool),
    DispatcherChanged,
    TellAgain,
    InstanceChanged(i64),
    InstanceHeard(i64, String),
    LoggedOut,
    LeaseFree,
}

impl PeerMessage {
    /// Returns whether the message is told again: until it is followed, now and then, or to each server that was away.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        match self {
            Self::Order(..) | Self::Waits(..) | Self::Silent(..) | Self::InstanceHeard(..) => true,
            Self::Arrived(_) | Self::DispatcherChanged | Self::TellAgain => false,
            Self::InstanceChanged(_) | Self::LoggedOut | Self::LeaseFree => false,
        }
    }

    /// Encodes the message. Of the waiting runs of a job, those that are too many for one message are left out.
    ///
    /// # Panics
    /// Never: the parts are numbers and texts.
    #[must_use]
    pub fn encode(&self) -> String {
        let encode = |written: &Written| serde_json::to_string(written).expect("numbers and texts are JSON");
        let Self::Waits(job, waits) = self else { return encode(&self.written()) };
        let mut written = Vec::new();
        let mut length = 0;
        for (run, reasons) in waits {
            let (code, params) = wait_facts(reasons);
            let one = (run.get(), code.to_owned(), params);
            length += serde_json::to_string(&one).map_or(MAX, |text| text.len() + 1);
            if length + 64 > MAX {
                break;
            }
            written.push(one);
        }
        encode(&Written::Waits(job.get(), written))
    }

    /// Decodes a message; `None` if this version does not know it.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        Some(match serde_json::from_str(text).ok()? {
            Written::Order(key, order) => {
                Self::Order(ApiKey::parse(&key).ok()?, broadcast::object(order.as_bytes()).ok()?)
            }
            Written::Arrived(key) => Self::Arrived(ApiKey::parse(&key).ok()?),
            Written::Waits(job, waits) => {
                let waits = waits
                    .into_iter()
                    .map(|(run, code, params)| Some((RunId::new(run)?, wait_of_facts(&code, &params)?)));
                Self::Waits(JobId::new(job)?, waits.collect::<Option<_>>()?)
            }
            Written::Silent(worker, is_silent) => Self::Silent(WorkerId::new(worker)?, is_silent),
            Written::DispatcherChanged => Self::DispatcherChanged,
            Written::TellAgain => Self::TellAgain,
            Written::InstanceChanged(worker) => Self::InstanceChanged(WorkerId::new(worker)?),
            Written::InstanceHeard(worker, instance) => Self::InstanceHeard(WorkerId::new(worker)?, instance),
            Written::LoggedOut => Self::LoggedOut,
            Written::LeaseFree => Self::LeaseFree,
        })
    }

    fn written(&self) -> Written {
        match self {
            Self::Order(key, order) => Written::Order(key.to_string(), broadcast::text(*order)),
            Self::Arrived(key) => Written::Arrived(key.to_string()),
            Self::Waits(job, _) => Written::Waits(job.get(), Vec::new()),
            Self::Silent(worker, is_silent) => Written::Silent(worker.get(), *is_silent),
            Self::DispatcherChanged => Written::DispatcherChanged,
            Self::TellAgain => Written::TellAgain,
            Self::InstanceChanged(worker) => Written::InstanceChanged(worker.get()),
            Self::InstanceHeard(worker, instance) => Written::InstanceHeard(worker.get(), instance.clone()),
            Self::LoggedOut => Written::LoggedOut,
            Self::LeaseFree => Written::LeaseFree,
        }
    }
}
