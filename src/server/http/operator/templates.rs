//! Templates: creates a template, and its project where that is missing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::find::place_name;
use super::refusal::{Body, OperatorRefusal};
use crate::server::domain::title::Title;
use crate::server::state::AppState;
use crate::server::store::EntityName;
use crate::wire::operator::{MadeJob, NewTemplateRequest};

/// Creates a template, and its project where it is missing.
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    Body(new): Body<NewTemplateRequest>,
) -> Result<(StatusCode, Json<MadeJob>), OperatorRefusal> {
    let title = Title::new(&new.title)?;
    let project = place_name(new.project.as_deref(), EntityName::OrCreated)?;
    let made = app.store.add_template(&project, title, &new.body).await?;
    Ok((StatusCode::CREATED, Json(MadeJob { id: made.id.get(), title: made.title.into() })))
}
