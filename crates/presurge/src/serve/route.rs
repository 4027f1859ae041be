//! Routes: what they need, what they take and answer, and the way from a request to its handler. The
//! router, the check of rights and the published document are made from the same table of them.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Server;
use super::access::{Caller, Right};
use super::problem::Problem;
use crate::apply::control::Petition;
use crate::documents::read_body;
use domain::journal::Digest;

/// The body of a response: whole, or a stream.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A response.
pub type Response = hyper::Response<ResponseBody>;

/// What a handler is given.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub who: Caller,
    /// When.
    pub now: Timestamp,
    /// The values of the places in the path, in their order.
    pub places: Vec<String>,
    /// The query, in its order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The request in the archive, where it has a key under which it may come again.
    pub request: Option<Digest>,
}

impl Call {
    /// The first place in the path.
    pub fn place(&self) -> &str {
        self.places.first().map_or("", String::as_str)
    }

    /// A number of the query.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some((_, text)) = self.query.iter().find(|(key, _)| key == name) else {
            return Ok(None);
        };
        let number = text.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok());
        let bad = || Problem::bad(format!("{name}: expected a whole number, found {text:?}"));
        number.map(Some).ok_or_else(bad)
    }

    /// What goes with a request of this caller.
    pub fn petition<'a>(&self, reason: &'a str) -> Petition<'a> {
        let (by, at, request) = (self.who.actor(), self.now, self.request.clone());
        Petition { by, reason, at, request }
    }
}

/// A value of the query, as the document tells it.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The smallest value.
    pub least: u64,
    /// The largest value.
    pub most: Option<u64>,
}

/// What a handler answers.
pub struct Reply<T> {
    /// The status, of success.
    pub status: StatusCode,
    /// Where what was made is found.
    pub location: Option<String>,
    /// The answer.
    pub body: T,
}

impl<T> Reply<T> {
    /// An answer with a status.
    pub fn new(status: StatusCode, body: T) -> Self {
        Self { status, location: None, body }
    }
}

type Handler =
    Box<dyn Fn(Arc<Server>, Call) -> BoxFuture<'static, Result<Response, Problem>> + Send + Sync>;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One route.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{name}` is one part of it.
    pub path: &'static str,
    /// What the caller needs.
    pub right: Right,
    /// What it does, in a line.
    pub about: &'static str,
    /// What it takes in its query.
    pub query: &'static [Query],
    /// What it takes as its body.
    pub takes: Option<SchemaOf>,
    /// Whether it takes YAML as well.
    pub yaml: bool,
    /// What it answers as JSON, and with which statuses.
    pub answers: Option<SchemaOf>,
    /// The statuses of its success.
    pub statuses: &'static [u16],
    /// The media type of its answer.
    pub media: &'static str,
    /// Problems beside those that every route has.
    pub problems: &'static [u16],
    handler: Handler,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// JSON, with a status.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(|error| Problem::failed(error.to_string()))?;
    let mut response = hyper::Response::new(Full::from(bytes).boxed_unsync());
    *response.status_mut() = status;
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, media);
    Ok(response)
}

impl Route {
    fn new(method: Method, path: &'static str, right: Right, about: &'static str) -> Self {
        let handler: Handler = Box::new(|_, _| Box::pin(async { Err(Problem::failed("no way")) }));
        Self {
            method,
            path,
            right,
            about,
            query: &[],
            takes: None,
            yaml: false,
            answers: None,
            statuses: &[200],
            media: "application/json",
            problems: &[],
            handler,
        }
    }

    /// Answers with JSON.
    pub fn get<T, F>(
        path: &'static str,
        about: &'static str,
        handle: impl Fn(Arc<Server>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Serialize + JsonSchema,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |server, call| {
            let work = handle(server, call);
            Box::pin(async move { json(StatusCode::OK, &work.await?) })
        });
        let answers = Some(schema_of::<T> as SchemaOf);
        Self { answers, handler, ..Self::new(Method::GET, path, Right::Read, about) }
    }

    /// Answers with something else.
    pub fn other<F>(
        (path, right, media): (&'static str, Right, &'static str),
        about: &'static str,
        handle: impl Fn(Arc<Server>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |server, call| Box::pin(handle(server, call)));
        Self { media, handler, ..Self::new(Method::GET, path, right, about) }
    }

    /// Takes JSON, does something, and answers with JSON.
    pub fn post<I, T, F>(
        (path, right, statuses): (&'static str, Right, &'static [u16]),
        about: &'static str,
        handle: impl Fn(Arc<Server>, Call, I) -> F + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema,
        T: Serialize + JsonSchema,
        F: Future<Output = Result<Reply<T>, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |server, call| {
            let read = taken::<I>(&call);
            let work = read.map(|body| handle(server, call, body));
            Box::pin(async move {
                let reply = work?.await?;
                let mut response = json(reply.status, &reply.body)?;
                let location = reply.location.and_then(|at| HeaderValue::from_str(&at).ok());
                if let Some(location) = location {
                    response.headers_mut().insert(LOCATION, location);
                }
                Ok(response)
            })
        });
        let (takes, answers) = (Some(schema_of::<I> as SchemaOf), Some(schema_of::<T> as SchemaOf));
        Self { takes, answers, statuses, handler, ..Self::new(Method::POST, path, right, about) }
    }

    /// The same with what it takes in its query.
    #[must_use]
    pub fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    /// The same with the problems that it has beside those of all.
    #[must_use]
    pub fn problems(self, problems: &'static [u16]) -> Self {
        Self { problems, ..self }
    }

    /// The same, taking a document in YAML as well.
    #[must_use]
    pub fn or_yaml(self) -> Self {
        Self { yaml: true, ..self }
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        self.method == Method::POST
    }

    /// Does it.
    pub async fn handle(&self, server: Arc<Server>, call: Call) -> Result<Response, Problem> {
        for (name, _) in &call.query {
            let Some(query) = self.query.iter().find(|query| query.name == name) else {
                return Err(Problem::bad(format!("there is no parameter {name:?}")));
            };
            let (least, most) = (query.least, query.most.unwrap_or(i64::MAX as u64));
            if call.number(name)?.is_none_or(|number| number < least || number > most) {
                return Err(Problem::bad(format!("{name}: expected {least} to {most}")));
            }
        }
        (self.handler)(server, call).await
    }

    /// The values of the places of a path, if it is one of this route.
    fn matches(&self, path: &str) -> Option<Vec<String>> {
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        let mut places = Vec::new();
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(places),
                (Some(name), Some(part)) if name.starts_with('{') => {
                    places.push(decoded(part).filter(|part| !part.is_empty())?);
                }
                (Some(name), Some(part)) if name == part => {}
                _ => return None,
            }
        }
    }
}

/// Reads the body of a request: JSON, or one document of YAML where that is what it says.
fn taken<I: DeserializeOwned>(call: &Call) -> Result<I, Problem> {
    let value = if media_of(&call.headers) == "application/yaml" {
        let text = std::str::from_utf8(&call.body)
            .map_err(|_| Problem::bad("the body is not UTF-8 text"))?;
        let nodes = crate::yaml::documents(text).map_err(|error| {
            let (line, column) = (error.mark.line, error.mark.column);
            Problem::bad(format!("the body, {line}:{column}: {}", error.message))
        })?;
        let [node] = nodes.as_slice() else {
            return Err(Problem::bad("expected one document in the body"));
        };
        serde_json::json!({ "document": node.to_value() })
    } else {
        serde_json::from_slice(&call.body)
            .map_err(|error| Problem::bad(format!("the body is not JSON: {error}")))?
    };
    read_body::<I>(&value).map_err(|explained| {
        let (place, message) = (explained.place.to_string(), explained.message);
        Problem::wrong(if place.is_empty() {
            message.clone()
        } else {
            format!("{place}: {message}")
        })
        .with("field", place)
    })
}

/// The media type of a body, without its parameters.
pub fn media_of(headers: &HeaderMap) -> String {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    media.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// A part of a path or of a query without its percent signs; `None` where it is no text.
pub fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The route of a request with the places of its path.
///
/// # Errors
/// There is none, or none of this method.
pub fn find<'a>(
    routes: &'a [Route],
    method: &Method,
    path: &str,
) -> Result<(&'a Route, Vec<String>), Problem> {
    let mut allowed: Vec<&str> = Vec::new();
    for route in routes {
        let Some(places) = route.matches(path) else { continue };
        if route.method == *method {
            return Ok((route, places));
        }
        allowed.push(route.method.as_str());
    }
    if allowed.is_empty() {
        let detail = format!("there is no {path} here; /v1/openapi.json says what there is");
        return Err(Problem::missing(detail));
    }
    let (status, allowed) = (StatusCode::METHOD_NOT_ALLOWED, allowed.join(", "));
    let detail = format!("{method} cannot be asked of {path}; {allowed} can");
    let title = "It cannot be asked so";
    Err(Problem::new(status, "method", title, detail).header(ALLOW, &allowed))
}

/// The values of a query.
pub fn query_of(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.replace('+', " "), value.replace('+', " "));
        Some((decoded(&name)?, decoded(&value)?))
    };
    let all: Option<Vec<_>> = parts.map(pair).collect();
    all.ok_or_else(|| Problem::bad("the query is not written as queries are"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_and_queries_are_read_or_refused() {
        assert_eq!(decoded("roll%231"), Some("roll#1".into()));
        assert_eq!(decoded("a%2Fb+c"), Some("a/b+c".into()));
        for broken in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
        let query = query_of("after=12&x=a+b%26c&&flag").unwrap();
        let wanted = [("after", "12"), ("x", "a b&c"), ("flag", "")];
        assert_eq!(query, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(query_of("a=%").is_err());
    }

    #[test]
    fn a_path_finds_its_route_and_another_method_is_told() {
        let routes = super::super::routes::table();
        let find = |method: Method, path: &str| {
            let found = find(&routes, &method, path);
            found.map(|(route, places)| (route.path, places)).map_err(|problem| problem.status)
        };
        let places = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert_eq!(find(Method::GET, "/healthz"), Ok(("/healthz", vec![])));
        let one = find(Method::GET, "/v1/rollouts/a%2Fb");
        assert_eq!(one, Ok(("/v1/rollouts/{name}", places(&["a/b"]))));
        assert_eq!(find(Method::DELETE, "/v1/rollouts/a"), Err(405));
        assert_eq!(find(Method::GET, "/v1/rollouts/"), Err(404));
        assert_eq!(find(Method::GET, "/v1/rollouts/a/"), Err(404));
        assert_eq!(find(Method::GET, "/v2/rollouts"), Err(404));
    }
}
