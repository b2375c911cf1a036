//! Settings of the Flamenco Manager.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::run::Secret;
use crate::server::domain::farm::softfail::FailureLimits;
use crate::server::domain::farm::timeouts::{FarmTimes, WorkerCleanup};
use crate::server::domain::farm::variables::Variables;

/// Settings of the Flamenco Manager. The defaults are those of Flamenco Manager 2.7, where it has the setting.
#[derive(Clone, Debug)]
pub struct FarmSettings {
    /// Address at which Flamenco workers are served; `None`: they are not.
    pub listen: Option<SocketAddr>,
    /// Directory of the tasks' logs; `None`: one in the data directory.
    pub logs: Option<PathBuf>,
    /// Secret with which workers sign their registration; `None`: every worker may register.
    pub registration_secret: Option<Secret>,
    /// Times after which something is done about silence and age.
    pub times: FarmTimes,
    /// Workers that are removed once nothing was heard of them for long.
    pub cleanup: WorkerCleanup,
    /// Numbers of failures that are too many.
    pub failures: FailureLimits,
    /// Texts in the settings of commands that differ between operating systems.
    pub variables: Variables,
}

impl Default for FarmSettings {
    fn default() -> Self {
        Self {
            listen: None,
            logs: None,
            registration_secret: None,
            times: FarmTimes {
                worker_silence: Duration::from_secs(60),
                task_silence: Duration::from_secs(600),
                first_check: Duration::from_secs(300),
                task_age: Some(Duration::from_secs(14 * 24 * 3600)),
            },
            cleanup: WorkerCleanup::default(),
            failures: FailureLimits { blacklist_threshold: 3, softfail_count: 3 },
            variables: Variables::default(),
        }
    }
}
