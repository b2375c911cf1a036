//! Shapes entities as the original's JSON.

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::time;
use crate::server::domain::model::{
    GroupId, Job, JobId, KillRequest, LogId, Pool, PoolId, Project, Run, Schedule, Template, Timestamp, UserGroup,
    Worker, WorkerId,
};
use crate::server::domain::resource::Resource;
use crate::server::store::rest_lists::ProjectLinks;

/// Shaper for readers of one time zone.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Zone in which timestamps are written.
    pub zone: Tz,
}

fn all(resource: Resource, ids: impl Iterator<Item = i64>) -> Vec<String> {
    ids.map(|id| resource.path(id)).collect()
}

impl Shape {
    fn time(self, at: Option<Timestamp>) -> Option<String> {
        at.map(|at| time::shown(at, self.zone))
    }

    /// Shapes a user group.
    pub fn group(self, group: &UserGroup) -> Value {
        json!({"name": group.name, "resource_uri": Resource::Group.path(group.id.get())})
    }

    /// Shapes a project with its pools and groups.
    pub fn project(self, project: &Project, links: &ProjectLinks) -> Value {
        let id = project.id.get();
        json!({
            "id": id, "resource_uri": Resource::Project.path(id), "title": project.title.as_str(),
            "description": project.description, "enqueue_is_enabled": project.enqueue_is_enabled,
            "worker_pools": all(Resource::WorkerPool, links.pools.iter().copied().map(PoolId::get)),
            "auth_groups": all(Resource::Group, links.groups.iter().copied().map(GroupId::get)),
        })
    }

    /// Shapes a pool with its workers.
    pub fn pool(self, pool: &Pool, workers: &[WorkerId]) -> Value {
        let id = pool.id.get();
        json!({
            "id": id, "resource_uri": Resource::WorkerPool.path(id), "title": pool.title.as_str(),
            "description": pool.description, "enqueue_is_enabled": pool.enqueue_is_enabled,
            "workers": all(Resource::Worker, workers.iter().copied().map(WorkerId::get)),
        })
    }

    /// Shapes a worker. `actions` is an addition to the original's fields: it tells a worker that knows commands that
    /// this server sends them.
    pub fn worker(self, worker: &Worker) -> Value {
        let id = worker.id.get();
        json!({
            "id": id, "resource_uri": Resource::Worker.path(id), "title": worker.title.as_str(),
            "api_key": worker.api_key.as_str(), "description": worker.description,
            "enqueue_is_enabled": worker.enqueue_is_enabled, "ping_response_dts": self.time(worker.ping_response_dts),
            "worker_version": worker.worker_version, "concurrent_jobs": worker.concurrent_jobs, "actions": true,
        })
    }

    /// Shapes a template without its text.
    pub fn template(self, template: &Template) -> Value {
        let id = template.id.get();
        json!({
            "id": id, "resource_uri": Resource::JobTemplate.path(id), "title": template.title.as_str(),
            "description": template.description, "enqueue_is_enabled": template.enqueue_is_enabled,
            "project": Resource::Project.path(template.project.get()),
        })
    }

    /// Shapes a job. `run_timeout` is an addition to the original's fields, for workers that know it.
    pub fn job(self, job: &Job, children: &[JobId]) -> Value {
        let id = job.id.get();
        let (every, unit) = match &job.schedule {
            Schedule::Interval { every, unit } => (Some(*every), unit.name()),
            Schedule::None | Schedule::Cron { .. } => (None, ""),
        };
        let mut shown = json!({
            "id": id, "resource_uri": Resource::Job.path(id), "title": job.title.as_str(),
            "description": job.description,
            "script_content": job.script_content, "script_content_partial": job.script_content_partial,
            "enqueue_is_enabled": job.enqueue_is_enabled, "reschedule_interval": every,
            "reschedule_interval_type": unit, "run_on_all_workers": job.run_on_all_workers,
            "schedule_children_on_error": job.schedule_children_on_error,
            "notification_addresses": job.notification_addresses,
            "disable_enqueue_after_fails": job.disable_enqueue_after_fails,
            "job_template": Resource::JobTemplate.path(job.template.get()),
            "worker_pool": Resource::WorkerPool.path(job.pool.get()),
            "parent": job.parent.map(|parent| Resource::Job.path(parent.get())),
            "children": all(Resource::Job, children.iter().copied().map(JobId::get)),
        });
        // Left out where there is no limit, since the original does not have this field.
        if let Some(timeout) = job.run_timeout {
            shown["run_timeout"] = timeout.into();
        }
        shown
    }

    /// Shapes a run. `attempt` is an addition to the original's fields, for workers that know it.
    pub fn run(self, run: &Run, log: Option<LogId>) -> Value {
        let id = run.id.get();
        json!({
            "id": id, "resource_uri": Resource::Run.path(id), "job": Resource::Job.path(run.job.get()),
            "schedule_id": run.schedule_id, "worker": run.worker.map(|worker| Resource::Worker.path(worker.get())),
            "schedule_dts": time::shown(run.schedule_dts, self.zone), "enqueue_dts": self.time(run.enqueue_dts),
            "start_dts": self.time(run.start_dts), "return_dts": self.time(run.return_dts),
            "return_success": run.return_success, "pid": run.pid, "is_manual": run.is_manual,
            "schedule_children": run.schedule_children,
            "run_log": log.map(|log| Resource::RunLog.path(log.get())), "attempt": run.attempt.0,
        })
    }

    /// Shapes a kill request.
    pub fn kill(self, kill: &KillRequest) -> Value {
        let id = kill.id.get();
        json!({
            "id": id, "resource_uri": Resource::KillRequest.path(id), "run": Resource::Run.path(kill.run.get()),
            "schedule_dts": time::shown(kill.schedule_dts, self.zone), "enqueue_dts": self.time(kill.enqueue_dts),
            "execute_dts": self.time(kill.execute_dts),
        })
    }
}
