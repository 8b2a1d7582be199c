//! Requests to change the meters of the configuration.

use crate::status::edit_meter::{AddMeterRequest, ChangeMeterRequest, EditMeterError, RemoveMeterRequest};
use crate::web::AppState;
use crate::web::api::{blocking, json};
use crate::web::error::ApiError;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::Response;

/// `POST /api/meters`: adds a section for a meter to the configuration file, or only shows it without `write`.
pub async fn add_meter(
    State(app): State<AppState>,
    request: Result<Json<AddMeterRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = request?;
    let editor = app.editor.clone();
    let added = blocking(move || editor.add(&request).map_err(ApiError::from)).await?;
    json(&app, &added)
}

/// `PATCH /api/meters/<id>`: changes the section of a meter in the configuration file, or only shows it without `write`.
pub async fn change_meter(
    State(app): State<AppState>,
    Path(id): Path<String>,
    request: Result<Json<ChangeMeterRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = request?;
    let editor = app.editor.clone();
    let changed = blocking(move || editor.change(&id, &request).map_err(ApiError::from)).await?;
    json(&app, &changed)
}

/// `DELETE /api/meters/<id>`: removes the section of a meter from the configuration file, or only shows it without `write`.
pub async fn remove_meter(
    State(app): State<AppState>,
    Path(id): Path<String>,
    request: Result<Json<RemoveMeterRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = request?;
    let editor = app.editor.clone();
    let removed = blocking(move || editor.remove(&id, request).map_err(ApiError::from)).await?;
    json(&app, &removed)
}

impl From<EditMeterError> for ApiError {
    fn from(error: EditMeterError) -> Self {
        match error {
            EditMeterError::Invalid(reason) => ApiError::bad_request(reason),
            EditMeterError::AlreadyConfigured(reason) => ApiError::conflict(&reason),
            EditMeterError::NotConfigured(reason) => ApiError::not_found(&reason),
            EditMeterError::Failed(reason) => ApiError::internal(reason),
        }
    }
}
