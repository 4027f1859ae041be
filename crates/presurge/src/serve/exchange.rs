//! One request and its answer: who asks, what for, the body, and whether it has come before.

use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::Server;
use super::access::Caller;
use super::answered::Known;
use super::problem::Problem;
use super::route::{self, Call, Response, Route};
use super::settings::{BODY, READ};
use domain::journal::Digest;

/// The header of a key under which a request may come again.
const KEY: &str = "idempotency-key";

/// Answers a request, whatever it is.
pub async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Response {
    let begun = server.clock.now();
    let method = request.method().clone();
    let mut told = "unknown";
    let mut response = match answered(&server, request, &mut told).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let seconds = server.clock.now().duration_since(begun).as_secs_f64();
    server.meters.answered(&method, told, response.status(), seconds);
    response
}

async fn answered(
    server: &Arc<Server>,
    request: Request<Incoming>,
    told: &mut &'static str,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    // What can be got can be asked for without its body.
    let method = if head.method == Method::HEAD { Method::GET } else { head.method.clone() };
    let (route, places) = route::find(&server.routes, &method, head.uri.path())?;
    *told = route.path;
    let who = server.access.check(&head.headers, route.right)?;
    let query = route::query_of(head.uri.query().unwrap_or(""))?;
    let body = if route.writes() { read(route, &head.headers, body).await? } else { Bytes::new() };
    let now = server.clock.now();
    let key = if route.writes() { key_of(&head.headers)? } else { None };
    let mut call = Call { who, now, places, query, headers: head.headers, body, request: None };
    let Some(key) = key else { return route.handle(server.clone(), call).await };
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let print = fingerprint(&call.who, &key, path, &call.body);
    match server.answered.begin(&call.who.name, &key, &print, now)? {
        Known::Answer(response) => Ok(response),
        Known::New(place) => {
            // Whoever reads the journal finds there what was asked.
            call.request = Some(server.store.put(print.as_bytes()).await?);
            let response = route.handle(server.clone(), call).await;
            let response = response.unwrap_or_else(Problem::into_response);
            Ok(place.keep(response).await)
        }
    }
}

/// The body, if it is not too long, comes in time, and is of a kind that is read here.
async fn read(route: &Route, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Problem> {
    let media = route::media_of(headers);
    let good = media == "application/json" || route.yaml && media == "application/yaml";
    if !good {
        let or = if route.yaml { " or application/yaml" } else { "" };
        let detail = format!("expected Content-Type: application/json{or}, found {media:?}");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "media-type", "Such a body is not read here", detail));
    }
    let collected = tokio::time::timeout(READ, Limited::new(body, BODY).collect()).await;
    let late = |_| {
        let detail = format!("the body has not come within {} s", READ.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "late", "The request took too long", detail)
    };
    let long = |error: Box<dyn std::error::Error + Send + Sync>| {
        if !error.is::<http_body_util::LengthLimitError>() {
            return Problem::bad(format!("the body ends early: {error}"));
        }
        let detail = format!("a body has at most {} KiB", BODY >> 10);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", "The request is too long", detail)
    };
    Ok(collected.map_err(late)?.map_err(long)?.to_bytes())
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let visible = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let text = value.to_str().ok().filter(visible);
    let text = text.filter(|text| (1..=255).contains(&text.len()));
    let bad = || Problem::bad("Idempotency-Key: expected 1 to 255 visible characters");
    text.map(|text| Some(text.to_owned())).ok_or_else(bad)
}

/// What a request is, as the archive keeps it.
fn fingerprint(who: &Caller, key: &str, path: &str, body: &Bytes) -> String {
    let body = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(_) => json!({ "sha256": Digest::of_bytes(body) }),
    };
    let request = json!({ "by": who.name, "idempotencyKey": key, "post": path, "body": body });
    // Its members are sorted by their names: the same request is the same text.
    request.to_string()
}

/// A whole body.
pub fn whole(bytes: impl Into<Bytes>) -> route::ResponseBody {
    Full::new(bytes.into()).boxed_unsync()
}
