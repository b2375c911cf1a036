//! The nine resources of the REST API, and by which of their fields a list can be narrowed. The table is the
//! original's.

/// A resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Groups of people.
    Group,
    /// Jobs.
    Job,
    /// Templates of jobs.
    JobTemplate,
    /// Requests to kill a run.
    KillRequest,
    /// Projects.
    Project,
    /// Runs.
    Run,
    /// Logs of runs.
    RunLog,
    /// Workers.
    Worker,
    /// Pools of workers.
    WorkerPool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number.
    Number,
    /// Text.
    Text,
    /// Truth.
    Truth,
    /// An instant.
    Time,
    /// One of another resource.
    One(Resource),
}

/// How a list can be narrowed by a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowing {
    /// Not at all.
    No,
    /// By its being just this.
    Exact,
    /// In every way.
    Any,
    /// In every way, and by what the related resource can be narrowed by.
    Related,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Group,
        Self::Job,
        Self::JobTemplate,
        Self::KillRequest,
        Self::Project,
        Self::Run,
        Self::RunLog,
        Self::Worker,
        Self::WorkerPool,
    ];

    /// Its name in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Job => "job",
            Self::JobTemplate => "job_template",
            Self::KillRequest => "kill_request",
            Self::Project => "project",
            Self::Run => "run",
            Self::RunLog => "run_log",
            Self::Worker => "worker",
            Self::WorkerPool => "worker_pool",
        }
    }

    /// The resource of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.name() == name)
    }

    /// The path of one of it.
    #[must_use]
    pub fn path(self, id: i64) -> String {
        format!("/api/v1/{}/{id}/", self.name())
    }

    /// The methods of its list.
    #[must_use]
    pub fn list_methods(self) -> &'static [&'static str] {
        match self {
            Self::Job | Self::Run | Self::KillRequest | Self::RunLog => &["GET", "POST"],
            Self::Group | Self::Project | Self::WorkerPool | Self::Worker | Self::JobTemplate => &["GET"],
        }
    }

    /// The methods of one of it.
    #[must_use]
    pub fn detail_methods(self) -> &'static [&'static str] {
        match self {
            Self::Job => &["GET", "PUT", "PATCH"],
            Self::Run | Self::KillRequest | Self::RunLog | Self::Worker => &["GET", "PATCH"],
            Self::Group | Self::Project | Self::WorkerPool | Self::JobTemplate => &["GET"],
        }
    }

    /// The field of a name: what it holds and how a list can be narrowed by it. `None`: no field, which is ignored.
    #[must_use]
    pub fn field(self, name: &str) -> Option<(FieldKind, Narrowing)> {
        use {FieldKind as K, Narrowing as N};
        Some(match (self, name) {
            (Self::Project, "id") => (K::Number, N::Exact),
            (Self::Project | Self::WorkerPool | Self::JobTemplate | Self::Job, "title") => (K::Text, N::Exact),
            (Self::Worker, "api_key") => (K::Text, N::Any),
            (Self::JobTemplate, "project") => (K::One(Self::Project), N::Related),
            (Self::Job, "job_template") => (K::One(Self::JobTemplate), N::Related),
            (Self::Run, "schedule_dts") => (K::Time, N::Any),
            (Self::Run, "is_manual") => (K::Truth, N::Any),
            (Self::Run, "job") => (K::One(Self::Job), N::Related),
            (Self::Run, "worker") => (K::One(Self::Worker), N::Related),
            (_, "resource_uri") => (K::Text, N::No),
            (_, name) if self.other_fields().contains(&name) => (K::Text, N::No),
            _ => return None,
        })
    }

    /// The fields by which a list cannot be narrowed.
    fn other_fields(self) -> &'static [&'static str] {
        match self {
            Self::Group => &["name"],
            Self::Project => &["description", "enqueue_is_enabled", "worker_pools", "auth_groups"],
            Self::WorkerPool => &["id", "description", "enqueue_is_enabled", "workers"],
            Self::Worker => &[
                "id",
                "title",
                "description",
                "enqueue_is_enabled",
                "ping_response_dts",
                "worker_version",
                "concurrent_jobs",
            ],
            Self::JobTemplate => &["id", "description", "enqueue_is_enabled"],
            Self::Job => &[
                "id",
                "description",
                "script_content",
                "script_content_partial",
                "enqueue_is_enabled",
                "reschedule_interval",
                "reschedule_interval_type",
                "run_on_all_workers",
                "schedule_children_on_error",
                "notification_addresses",
                "disable_enqueue_after_fails",
                "worker_pool",
                "parent",
                "children",
            ],
            Self::Run => &[
                "id",
                "schedule_id",
                "enqueue_dts",
                "start_dts",
                "return_dts",
                "return_success",
                "pid",
                "schedule_children",
                "run_log",
            ],
            Self::RunLog => &["id", "content", "run"],
            Self::KillRequest => &["id", "schedule_dts", "enqueue_dts", "execute_dts", "run"],
        }
    }
}
