//! `/openapi.json`: the door described for programs (OpenAPI 3.1).
//!
//! Owns the table of routes; the shapes come from the types on the wire themselves. Never decides anything: the router does,
//! and a test holds both together. Nothing in it is secret.

use std::sync::LazyLock;

use axum::Json;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use weir_protocol as wire;

/// Schemas of everything that travels, and of what they consist of.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "The daemon's door on loopback. Everything but what is marked as open needs the token of \
            `weir token` as `Authorization: Bearer`, or the session of the companion page. Errors are \
            `{\"error\": {\"code\", \"message\", \"action\"}}`; codes are never taken away."
    ),
    components(schemas(
        wire::ClientMessage,
        wire::Download,
        wire::DownloadDetail,
        wire::DownloadPatch,
        wire::ErrorBody,
        wire::Event,
        wire::Health,
        wire::Meta,
        wire::MetaRequest,
        wire::MoveDownload,
        wire::NewDownload,
        wire::Ranges,
        wire::SessionRequest,
        wire::Settings,
        wire::SettingsPatch,
        wire::Ticket,
    ))
)]
struct Shapes;

/// What is told of one route.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Name, type and meaning.
    query: &'static [(&'static str, &'static str, &'static str)],
    /// Name of the body's schema.
    body: Option<&'static str>,
    /// The body may be left out.
    bodiless: bool,
    answer: Answer,
    /// Needs neither token nor session.
    open: bool,
}

/// The answer of a success.
enum Answer {
    /// JSON of the schema of this name.
    Json(u16, &'static str),
    /// A list of such.
    List(&'static str),
    Empty(u16),
    /// Something else, of this type.
    Other(u16, &'static str),
}

const fn route(method: &'static str, path: &'static str, summary: &'static str, answer: Answer) -> Route {
    Route { method, path, summary, query: &[], body: None, bodiless: false, answer, open: false }
}

const fn act(path: &'static str, summary: &'static str) -> Route {
    route("post", path, summary, Answer::Json(200, "Download"))
}

const ROUTES: &[Route] = &[
    Route {
        open: true,
        ..route(
            "get",
            "/",
            "The companion page; with `Upgrade: websocket` the socket of `/ws`, which needs the token",
            Answer::Other(200, "text/html"),
        )
    },
    Route {
        open: true,
        query: &[(
            "challenge",
            "string",
            "At most 128 letters, digits, `-` and `_`; the answer then proves that the daemon knows the token",
        )],
        ..route("get", "/health", "Whether the daemon is there", Answer::Json(200, "Health"))
    },
    Route {
        open: true,
        ..route("get", "/openapi.json", "This document", Answer::Other(200, "application/json"))
    },
    Route {
        open: true,
        ..route("get", "/docs", "This document, to be read by people", Answer::Other(200, "text/html"))
    },
    Route { open: true, ..route("get", "/docs/", "The same as `/docs`", Answer::Other(200, "text/html")) },
    Route {
        open: true,
        ..route(
            "get",
            "/docs/{file}",
            "What that page consists of",
            Answer::Other(200, "application/octet-stream"),
        )
    },
    Route {
        open: true,
        body: Some("SessionRequest"),
        ..route(
            "post",
            "/session",
            "Trades a ticket, or the token, for the session's cookie",
            Answer::Empty(204),
        )
    },
    route(
        "post",
        "/session/ticket",
        "A ticket that opens the companion page once, within 30 seconds",
        Answer::Json(200, "Ticket"),
    ),
    route(
        "get",
        "/ws",
        "The socket of events: `Event` frames towards the client, `ClientMessage` towards the daemon. The subprotocol is `weir.v1`; a program gives the token as the header, a page as a second subprotocol `weir.token.TOKEN`",
        Answer::Empty(101),
    ),
    Route {
        query: &[
            ("url", "string", "The address, instead of in the body"),
            ("kind", "DownloadKind", "Instead of in the body"),
        ],
        body: Some("MetaRequest"),
        bodiless: true,
        ..route(
            "post",
            "/meta",
            "What is behind an address, before anybody downloads it",
            Answer::Json(200, "Meta"),
        )
    },
    route("get", "/settings", "The settings that hold", Answer::Json(200, "Settings")),
    Route {
        body: Some("SettingsPatch"),
        ..route("patch", "/settings", "Changes settings while everything runs", Answer::Json(200, "Settings"))
    },
    Route {
        query: &[
            ("status", "string", "Only these, separated by commas"),
            ("kind", "string", "Only these, separated by commas"),
            ("category", "string", "Only these, separated by commas"),
            ("q", "string", "Only what has this text in its name, title, address or page"),
            (
                "sort",
                "string",
                "created_at, filename, status, progress, total_bytes, finished_at or position; a leading `-` reverses; `-created_at` when absent",
            ),
            ("offset", "integer", "Rows to leave out"),
            ("limit", "integer", "1–1000, 100 when absent"),
        ],
        ..route(
            "get",
            "/list",
            "Queue and history; `X-Total-Count` says how many rows match",
            Answer::List("Download"),
        )
    },
    Route {
        body: Some("NewDownload"),
        ..route("post", "/download", "Queues a download", Answer::Json(201, "DownloadDetail"))
    },
    route("get", "/download/{id}", "One row", Answer::Json(200, "DownloadDetail")),
    Route {
        body: Some("DownloadPatch"),
        ..route("patch", "/download/{id}", "Changes a row", Answer::Json(200, "Download"))
    },
    Route {
        query: &[("files", "boolean", "Removes the finished file too")],
        ..route(
            "delete",
            "/download/{id}",
            "Takes a row out of the list, cancelling what runs",
            Answer::Empty(204),
        )
    },
    act("/download/{id}/pause", "Pauses; what has arrived is kept"),
    act("/download/{id}/resume", "Goes on with what is paused, or starts what waits for its time"),
    act("/download/{id}/cancel", "Gives a download up; what has arrived is removed"),
    act("/download/{id}/retry", "Tries what failed or was cancelled again"),
    act(
        "/download/{id}/finish",
        "Ends a live recording and keeps it, or takes what can be had of a stream that lost segments",
    ),
    Route { body: Some("MoveDownload"), ..act("/download/{id}/move", "Puts a row elsewhere in the queue") },
    route("get", "/download/{id}/ranges", "Which bytes of a file are there", Answer::Json(200, "Ranges")),
    route(
        "get",
        "/download/{id}/file",
        "The file, with `Range`; while it is still downloaded too",
        Answer::Other(200, "application/octet-stream"),
    ),
    route(
        "post",
        "/download/{id}/open",
        "Opens the finished file with the desktop's program for it",
        Answer::Empty(204),
    ),
    route("post", "/download/{id}/show", "Opens the folder of the file", Answer::Empty(204)),
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// `GET /openapi.json`.
pub(super) async fn get() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut document = serde_json::to_value(Shapes::openapi()).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["info"]["license"] = json!({ "name": "MIT OR Apache-2.0" });
    document["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    document["security"] = json!([{ "token": [] }]);
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    document["tags"] = json!([{ "name": "Downloads" }, { "name": "The daemon" }, { "name": "Pages" }]);
    document["paths"] = Value::Object(paths);
    document
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for (name, schema) in [("id", json!({ "type": "integer" })), ("file", json!({ "type": "string" }))] {
        if route.path.contains(&format!("{{{name}}}")) {
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
    }
    for (name, schema, meaning) in route.query {
        let schema = match *schema {
            named if named.starts_with(char::is_uppercase) => reference(named),
            plain => json!({ "type": plain }),
        };
        parameters.push(json!({ "name": name, "in": "query", "description": meaning, "schema": schema }));
    }
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let mut success = json!({ "description": "Done" });
    let status = match &route.answer {
        Answer::Json(status, name) => {
            success["content"] = content(reference(name));
            *status
        }
        Answer::List(name) => {
            success["content"] = content(json!({ "type": "array", "items": reference(name) }));
            let count = json!({ "description": "How many rows match", "schema": { "type": "integer" } });
            success["headers"] = json!({ "X-Total-Count": count });
            200
        }
        Answer::Other(status, kind) => {
            success["content"][*kind] = json!({});
            *status
        }
        Answer::Empty(status) => *status,
    };
    let mut responses = Map::new();
    responses.insert(status.to_string(), success);
    let refusal = json!({ "description": "Refused, or failed", "content": content(reference("ErrorBody")) });
    responses.insert("default".to_owned(), refusal);
    let mut operation = json!({ "summary": route.summary, "parameters": parameters, "responses": responses });
    if let Some(name) = route.body {
        operation["requestBody"] =
            json!({ "content": content(reference(name)), "required": !route.bodiless });
    }
    operation["tags"] = json!([area(route.path)]);
    if route.open {
        operation["security"] = json!([]);
    }
    operation
}

/// Under which heading people find it.
fn area(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("download" | "list" | "meta" | "ws") => "Downloads",
        Some("settings" | "session" | "health") => "The daemon",
        _ => "Pages",
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `METHOD /path` of every `.route(…)` of the router.
    fn routed() -> BTreeSet<String> {
        let source = include_str!("mod.rs");
        let mut routed = BTreeSet::new();
        for call in source.split(".route(\"").skip(1) {
            let (path, rest) = call.split_once('"').unwrap();
            let handlers = rest.split(".route").next().unwrap();
            let before = routed.len();
            for method in ["get", "post", "patch", "delete", "put"] {
                let named = |mark: &str| handlers.contains(&format!("{mark}{method}("));
                if named(", ") || named(").") {
                    routed.insert(format!("{method} {path}"));
                }
            }
            assert!(routed.len() > before, "no method of {path} was understood");
        }
        routed
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<String> =
            ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        assert_eq!(described.len(), ROUTES.len(), "described twice");
        assert_eq!(described, routed());
        assert!(described.len() > 20);
    }

    /// Every `$ref` in a value.
    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, into));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn every_shape_that_is_named_is_there() {
        let document = document();
        let mut named = BTreeSet::new();
        references(&document, &mut named);
        assert!(named.len() > 20, "{named:?}");
        for reference in named {
            let pointer = reference.strip_prefix('#').unwrap();
            let shape = document.pointer(pointer).unwrap_or_else(|| panic!("{reference}"));
            assert!(shape.is_object() && shape != &json!({}), "{reference}: {shape}");
        }
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        let new = &document["components"]["schemas"]["NewDownload"];
        assert_eq!(
            new["properties"]["timeout_s"]["description"].as_str().map(|text| text.contains("30")),
            Some(true)
        );
        for name in ["NewDownload", "MetaRequest"] {
            assert_eq!(document["components"]["schemas"][name]["required"], json!(["url"]), "{name}");
        }
        // No token travels by any of them.
        assert!(document["components"]["schemas"].get("Endpoint").is_none());
    }
}
