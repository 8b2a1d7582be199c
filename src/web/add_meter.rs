//! "This is mine", as a request.

use crate::status::add_meter::{AddMeterRequest, Refusal};
use crate::web::AppState;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// `POST /api/meters`
pub(crate) async fn adopt(
    State(site): State<AppState>,
    claimed: Result<Json<AddMeterRequest>, JsonRejection>,
) -> Response {
    let claimed = match claimed {
        Ok(Json(claimed)) => claimed,
        Err(error) => return (error.status(), Json(json!({ "err": error.body_text() }))).into_response(),
    };
    // It reads and writes a file.
    let done = tokio::task::spawn_blocking(move || site.adopter.adopt(&claimed)).await;
    let (status, reason) = match done {
        Ok(Ok(adopted)) => return Json(adopted).into_response(),
        Ok(Err(Refusal::Wrong(reason))) => (StatusCode::BAD_REQUEST, reason),
        Ok(Err(Refusal::Known(reason))) => (StatusCode::CONFLICT, reason),
        Ok(Err(Refusal::Failed(reason))) => (StatusCode::INTERNAL_SERVER_ERROR, reason),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    (status, Json(json!({ "err": reason }))).into_response()
}
