//! `job_runner template add`: adds a template from a file.

use super::args::{TemplateAdd, TemplateArgs};
use super::exit::{CommandFailure, OK, print};
use super::{script_file, server_choice, table};
use crate::wire::operator::{MadeJob, NewTemplateRequest};

pub async fn run(args: TemplateArgs) -> Result<u8, CommandFailure> {
    let TemplateArgs::Add(TemplateAdd { name, file, project, json, at }) = args;
    let new = NewTemplateRequest { title: name, body: script_file::read(&file)?, project };
    let made: MadeJob = server_choice::server(&at)?.post(&["templates"], &new).await?;
    if json {
        table::json(&made)?;
    } else {
        print(&format!("template {} ({}) is created\n", made.id, table::shown(&made.title)))?;
    }
    Ok(OK)
}
