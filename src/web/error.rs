//! Errors of the API: a status code, and `{"err": "…"}`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// Answer to a request that cannot be fulfilled.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    reason: String,
}

/// Body of an error.
#[derive(Debug, Serialize)]
pub struct ErrorJson {
    /// Reason, in words.
    err: String,
}

impl ApiError {
    /// The request asks for something that does not exist.
    pub fn not_found(reason: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// The request is wrong.
    pub fn bad_request(reason: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// The request contradicts what is there.
    pub fn conflict(reason: &str) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }

    /// The request is right, but cannot be fulfilled.
    pub fn internal(reason: impl Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    /// The request would cost more than there is for it at present.
    pub fn busy(reason: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    fn new(status: StatusCode, reason: impl Display) -> Self {
        ApiError {
            status,
            reason: reason.to_string(),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<WebSocketUpgradeRejection> for ApiError {
    fn from(rejection: WebSocketUpgradeRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorJson { err: self.reason })).into_response()
    }
}

/// Query parameters, whose mistakes are an [`ApiError`].
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Parameters(parameters)),
            Err(rejection) => Err(ApiError::bad_request(rejection)),
        }
    }
}
