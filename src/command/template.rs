//! `job_runner template add`

use super::args::{Template, TemplateAdd};
use super::exit::{Failure, OK, print};
use super::{find, reading, table};
use crate::wire::operator::{Made, NewTemplate};

pub async fn run(args: Template) -> Result<u8, Failure> {
    let Template::Add(TemplateAdd { name, file, project, json, at }) = args;
    let new = NewTemplate { title: name, body: reading::read(&file)?, project };
    let made: Made = find::server(&at)?.post(&["templates"], &new).await?;
    if json {
        table::json(&made)?;
    } else {
        print(&format!("template {} ({}) is made\n", made.id, table::shown(&made.title)))?;
    }
    Ok(OK)
}
