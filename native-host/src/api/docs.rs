//! `/docs`: Swagger UI, compiled into the program, on the document of [`super::openapi`].
//!
//! Owns the files and how they are served. Never asks anybody else for anything, and its page may ask this daemon only.
//! Nothing here is secret: what the page tries out needs the token or a session, as everything else does.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    IF_NONE_MATCH, VARY,
};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use super::archive;
use super::error::ApiError;

const PAGE: &str = include_str!("docs/index.html");
const START: &str = include_str!("docs/init.js");

/// Files of Swagger UI that its page needs, and their types.
const VENDORED: [(&str, &str); 2] = [
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
];

/// Swagger UI sets styles by script; everything else comes from here or from the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page that can be opened by following a link.
pub(super) fn is_page(path: &str) -> bool {
    matches!(path, "/docs" | "/docs/" | "/openapi.json")
}

/// `GET /docs`, and `GET /docs/`.
pub(super) async fn page() -> Response {
    answer(PAGE, "text/html; charset=utf-8")
}

/// `GET /docs/{file}`.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    if name == "init.js" {
        return Ok(answer(START, "text/javascript; charset=utf-8"));
    }
    let known = VENDORED.iter().find(|(known, _)| *known == name);
    let (_, content_type) = known.ok_or_else(ApiError::not_found)?;
    let packed = archive::find(SWAGGER_UI_VENDORED, &format!("/dist/{name}"));
    let packed = packed.ok_or_else(|| ApiError::internal(&format_args!("{name} is not in the archive")))?;
    let says = |name, word: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(word))
    };
    let tag = format!("\"{:08x}\"", packed.crc);
    let fixed = [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache"), (VARY, "accept-encoding")];
    if says(IF_NONE_MATCH, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, fixed, [(ETAG, tag)]).into_response());
    }
    let named = [(ETAG, tag), (CONTENT_TYPE, (*content_type).to_owned())];
    // As it lies in the archive, a browser can take it: packed once, when Swagger UI was published.
    Ok(if says(ACCEPT_ENCODING, "gzip") {
        (fixed, named, [(CONTENT_ENCODING, "gzip")], packed.gzip()).into_response()
    } else {
        let bytes = packed.unpack().map_err(|error| ApiError::internal(&error))?;
        (fixed, named, bytes).into_response()
    })
}

fn answer(text: &'static str, content_type: &'static str) -> Response {
    let headers =
        [(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_archive() {
        for (name, _) in VENDORED {
            let packed = archive::find(SWAGGER_UI_VENDORED, &format!("/dist/{name}")).unwrap();
            let bytes = packed.unpack().unwrap();
            assert!(bytes.len() > 50_000, "{name}");
            assert!(PAGE.contains(&format!("/docs/{name}")), "{name}");
            let mut unpacked = Vec::new();
            let gzip = packed.gzip();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut unpacked).unwrap();
            assert!(unpacked == bytes, "{name}");
        }
    }
}
