//! From the details objects of `chrome.webRequest` to what the registry is told.
//!
//! Owns the reading of those objects and the choice of headers a download needs. Never keeps one. Invariant: reading
//! touches as few properties as the verdict needs, because this runs for every request a page makes.

use std::collections::BTreeMap;

use js_sys::Array;
use wasm_bindgen::prelude::*;
use weir_media::classify::{Initiator, Response, essence, total_bytes};

#[wasm_bindgen]
extern "C" {
    /// Argument of every `webRequest` listener.
    #[derive(Clone)]
    pub type Details;

    /// The same for all events of a request, redirects included.
    #[wasm_bindgen(method, getter, js_name = requestId)]
    pub fn request_id(this: &Details) -> String;

    /// Address at this stage.
    #[wasm_bindgen(method, getter)]
    pub fn url(this: &Details) -> String;

    #[wasm_bindgen(method, getter)]
    fn method(this: &Details) -> String;

    #[wasm_bindgen(method, getter, js_name = type)]
    fn resource_type(this: &Details) -> String;

    /// −1 when it belongs to no tab.
    #[wasm_bindgen(method, getter, js_name = tabId)]
    pub fn tab_id(this: &Details) -> i32;

    /// 0 is the tab's own document.
    #[wasm_bindgen(method, getter, js_name = frameId)]
    pub fn frame_id(this: &Details) -> i32;

    /// The document that asked, or (in `webNavigation`) that is now shown.
    #[wasm_bindgen(method, getter, js_name = documentId)]
    pub fn document_id(this: &Details) -> Option<String>;

    /// `active`, `prerender`, `cached`, `pending_deletion`.
    #[wasm_bindgen(method, getter, js_name = documentLifecycle)]
    pub fn document_lifecycle(this: &Details) -> Option<String>;

    /// Origin that asked.
    #[wasm_bindgen(method, getter)]
    pub fn initiator(this: &Details) -> Option<String>;

    #[wasm_bindgen(method, getter, js_name = statusCode)]
    fn status_code(this: &Details) -> u16;

    #[wasm_bindgen(method, getter, js_name = requestHeaders)]
    fn request_headers(this: &Details) -> Option<Array>;

    #[wasm_bindgen(method, getter, js_name = responseHeaders)]
    fn response_headers(this: &Details) -> Option<Array>;

    type Header;

    #[wasm_bindgen(method, getter)]
    fn name(this: &Header) -> String;

    #[wasm_bindgen(method, getter)]
    fn value(this: &Header) -> Option<String>;
}

/// What a download repeats of the browser's request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `Referer`.
    pub referer: Option<String>,
    /// `Cookie`.
    pub cookies: Option<String>,
    /// The others that matter.
    pub headers: BTreeMap<String, String>,
}

impl Context {
    /// Keeps of a request's headers what describes the person and the page, and leaves out what describes this one
    /// transfer: hop-by-hop headers (RFC 9110 section 7.6.1), ranges, conditions, encodings, the body.
    pub fn from_headers(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut context = Self::default();
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "referer" => context.referer = Some(value),
                "cookie" => context.cookies = Some(value),
                "host"
                | "connection"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authorization"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "upgrade-insecure-requests"
                | "range"
                | "if-range"
                | "if-none-match"
                | "if-modified-since"
                | "if-match"
                | "if-unmodified-since"
                | "accept-encoding"
                | "content-length"
                | "content-type"
                | "expect"
                | "priority"
                | "pragma"
                | "cache-control"
                | "purpose"
                | "sec-purpose" => {}
                _ => {
                    context.headers.insert(name, value);
                }
            }
        }
        context
    }

    /// What the browser sent, as `webRequest.onSendHeaders` tells it.
    #[must_use]
    pub fn sent(details: &Details) -> Self {
        let headers = details.request_headers().unwrap_or_default();
        Self::from_headers(headers.iter().filter_map(|header| {
            let header: Header = header.unchecked_into();
            Some((header.name(), header.value()?))
        }))
    }
}

/// The head of an answer, read out of JavaScript once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Address after redirects.
    pub url: String,
    content_type: Option<String>,
    content_disposition: Option<String>,
    content_length: Option<u64>,
    content_range: Option<String>,
    /// What asked for it.
    pub initiator: Initiator,
}

impl Answer {
    /// `None` for what can be no download: not a `GET`, not a success, not asked for by a page.
    #[must_use]
    pub fn read(details: &Details) -> Option<Self> {
        let status = details.status_code();
        if !(200..300).contains(&status) || matches!(status, 204 | 205) || details.method() != "GET" {
            return None;
        }
        // The extension's own look at a playlist, and other extensions' business.
        if details.initiator().is_some_and(|origin| origin.starts_with("chrome-extension:")) {
            return None;
        }
        let initiator = match details.resource_type().as_str() {
            "main_frame" | "sub_frame" | "other" => Initiator::Navigation,
            "media" | "object" => Initiator::Element,
            "xmlhttprequest" => Initiator::Script,
            _ => return None,
        };
        let mut answer = Self {
            url: details.url(),
            content_type: None,
            content_disposition: None,
            content_length: None,
            content_range: None,
            initiator,
        };
        let mut encoded = false;
        for header in details.response_headers().unwrap_or_default().iter() {
            let header: Header = header.unchecked_into();
            let mut name = header.name();
            // Few headers have one of these lengths, so few are looked at.
            if !matches!(name.len(), 12 | 13 | 14 | 16 | 19) {
                continue;
            }
            name.make_ascii_lowercase();
            match name.as_str() {
                "content-type" => answer.content_type = header.value(),
                "content-disposition" => answer.content_disposition = header.value(),
                "content-range" => answer.content_range = header.value(),
                "content-length" => {
                    answer.content_length = header.value().and_then(|value| value.trim().parse().ok());
                }
                "content-encoding" => {
                    encoded =
                        header.value().is_some_and(|value| !value.trim().eq_ignore_ascii_case("identity"));
                }
                _ => {}
            }
        }
        if encoded {
            // It counts the compressed bytes, which are not the file's.
            answer.content_length = None;
        }
        Some(answer)
    }

    /// The form the classifier reads.
    #[must_use]
    pub fn response(&self) -> Response<'_> {
        Response {
            url: &self.url,
            content_type: self.content_type.as_deref(),
            content_disposition: self.content_disposition.as_deref(),
            content_length: self.content_length,
            content_range: self.content_range.as_deref(),
            initiator: self.initiator,
        }
    }

    /// `Content-Type` without parameters, lower case.
    #[must_use]
    pub fn essence(&self) -> Option<String> {
        self.content_type.as_deref().map(essence).filter(|essence| !essence.is_empty())
    }

    /// Size of the whole, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        total_bytes(&self.response())
    }

    /// Name in `Content-Disposition`.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        self.content_disposition.as_deref().and_then(weir_media::filename::from_content_disposition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(headers: &[(&str, &str)]) -> Context {
        Context::from_headers(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_person_and_the_page_are_kept() {
        let kept = context(&[
            ("User-Agent", "B/1"),
            ("Referer", "https://a.test/frame"),
            ("Cookie", "s=1; t=2"),
            ("Authorization", "Bearer x"),
            ("X-Auth-Token", "y"),
            ("Origin", "https://a.test"),
            ("Accept-Language", "de"),
        ]);
        assert_eq!(kept.referer.as_deref(), Some("https://a.test/frame"));
        assert_eq!(kept.cookies.as_deref(), Some("s=1; t=2"));
        let names: Vec<&str> = kept.headers.keys().map(String::as_str).collect();
        assert_eq!(names, ["Accept-Language", "Authorization", "Origin", "User-Agent", "X-Auth-Token"]);
    }

    #[test]
    fn the_transfer_is_not() {
        let kept = context(&[
            ("Host", "a.test"),
            ("Connection", "keep-alive"),
            ("Range", "bytes=0-"),
            ("if-range", "\"e\""),
            ("IF-NONE-MATCH", "\"e\""),
            ("Accept-Encoding", "identity;q=1, *;q=0"),
            ("Proxy-Authorization", "Basic x"),
        ]);
        assert_eq!(kept, Context::default());
    }
}
