//! The nine resources of the REST API, and the fields by which their lists can be filtered. The table is the
//! original's.

/// Resource of the REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Groups of people, read-only.
    Group,
    /// Jobs: their script and schedule.
    Job,
    /// Templates of jobs, read-only.
    JobTemplate,
    /// Requests to kill a run.
    KillRequest,
    /// Projects of templates and jobs, read-only.
    Project,
    /// Runs of jobs, planned, current and past.
    Run,
    /// Logs of runs, at most one for each.
    RunLog,
    /// Workers and their last answers.
    Worker,
    /// Pools of workers, read-only.
    WorkerPool,
}

/// Type of the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number, such as an id.
    Number,
    /// A text, or a value that is treated as one.
    Text,
    /// A boolean: true or false.
    Truth,
    /// A timestamp, as ISO 8601.
    Time,
    /// A reference to an object of another resource.
    One(Resource),
}

/// Ways in which a list can be filtered by a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowing {
    /// The list cannot be filtered by the field.
    No,
    /// Only by equality with a value.
    Exact,
    /// By every operator that the type of the field has.
    Any,
    /// By every operator, and by the fields that the related resource can be filtered by.
    Related,
}

impl Resource {
    /// All resources, by their names in alphabetical order.
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

    /// Returns the name used in paths, such as `job_template`.
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

    /// Parses the name that [`Resource::name`] returns.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.name() == name)
    }

    /// Returns the path of one object, such as `/api/v1/job/5/`.
    #[must_use]
    pub fn path(self, id: i64) -> String {
        format!("/api/v1/{}/{id}/", self.name())
    }

    /// Returns the HTTP methods that the list accepts.
    #[must_use]
    pub fn list_methods(self) -> &'static [&'static str] {
        match self {
            Self::Job | Self::Run | Self::KillRequest | Self::RunLog => &["GET", "POST"],
            Self::Group | Self::Project | Self::WorkerPool | Self::Worker | Self::JobTemplate => &["GET"],
        }
    }

    /// Returns the HTTP methods that one object accepts.
    #[must_use]
    pub fn detail_methods(self) -> &'static [&'static str] {
        match self {
            Self::Job => &["GET", "PUT", "PATCH"],
            Self::Run | Self::KillRequest | Self::RunLog | Self::Worker => &["GET", "PATCH"],
            Self::Group | Self::Project | Self::WorkerPool | Self::JobTemplate => &["GET"],
        }
    }

    /// Returns the type of a field and how a list can be filtered by it. `None`: no such field; a filter by it is
    /// ignored.
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

    /// Returns the fields by which a list cannot be filtered.
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
