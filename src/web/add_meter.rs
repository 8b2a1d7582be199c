//! Request to add a meter to the configuration.

use crate::status::add_meter::{AddMeterError, AddMeterRequest};
use crate::web::AppState;
use crate::web::api::{blocking, json};
use crate::web::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;

/// `POST /api/meters`: adds a section for a meter to the configuration file, or only shows it without `write`.
pub async fn add_meter(
    State(app): State<AppState>,
    request: Result<Json<AddMeterRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = request?;
    let writer = app.add_meter.clone();
    let added = blocking(move || writer.add(&request).map_err(ApiError::from)).await?;
    json(&app, &added)
}

impl From<AddMeterError> for ApiError {
    fn from(error: AddMeterError) -> Self {
        match error {
            AddMeterError::Invalid(reason) => ApiError::bad_request(reason),
            AddMeterError::AlreadyConfigured(reason) => ApiError::conflict(&reason),
            AddMeterError::Failed(reason) => ApiError::internal(reason),
        }
    }
}
