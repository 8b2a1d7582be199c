//! The page: a few files inside the program, and nothing from elsewhere.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Files of the page by name, besides `index.html`.
const FILES: [(&str, &str); 10] = [
    ("style.css", include_str!("page/style.css")),
    ("app.js", include_str!("page/app.js")),
    ("air.js", include_str!("page/air.js")),
    ("cards.js", include_str!("page/cards.js")),
    ("claim.js", include_str!("page/claim.js")),
    ("connection.js", include_str!("page/connection.js")),
    ("log.js", include_str!("page/log.js")),
    ("table.js", include_str!("page/table.js")),
    ("wires.js", include_str!("page/wires.js")),
    ("words.js", include_str!("page/words.js")),
];

/// `GET /`
pub async fn index() -> Response {
    asset("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// `GET /app.js` and so on.
pub async fn file(Path(name): Path<String>) -> Response {
    let found = FILES.iter().find(|(file, _)| *file == name);
    match found {
        Some((name, text)) if name.ends_with(".css") => asset("text/css; charset=utf-8", text),
        Some((_, text)) => asset("text/javascript; charset=utf-8", text),
        None => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
