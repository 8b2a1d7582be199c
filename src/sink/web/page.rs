//! The page: three files inside the program, and nothing from elsewhere.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// `GET /`
pub async fn index() -> Response {
    asset("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// `GET /app.js`
pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page/app.js"))
}

/// `GET /style.css`
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page/style.css"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
