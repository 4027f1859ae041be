//! Answers that were given, to be given again when the same request comes again under its key. What they
//! did stands in the journals, so that a key has one effect also where this memory is lost or another
//! replica is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use jiff::Timestamp;

use super::exchange::whole;
use super::problem::Problem;
use super::route::Response;
use super::settings::{ANSWERS, ANSWERS_KEPT};

type Key = (String, String);

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Answered(Arc<Mutex<HashMap<Key, Entry>>>);

#[derive(Debug)]
struct Entry {
    print: String,
    at: Timestamp,
    /// None while it is under way.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// What is known of a request.
pub enum Known {
    /// It was answered.
    Answer(Response),
    /// It is new.
    New(Place),
}

/// Where the answer of a request will be kept. One that is dropped keeps nothing.
pub struct Place {
    all: Answered,
    key: Option<Key>,
}

impl Answered {
    /// Looks a request up.
    ///
    /// # Errors
    /// It is under way, or the key belongs to another request.
    pub fn begin(
        &self,
        who: &str,
        key: &str,
        print: &str,
        now: Timestamp,
    ) -> Result<Known, Problem> {
        let key = (who.to_owned(), key.to_owned());
        let mut all = self.0.lock().expect("nobody panics with it");
        all.retain(|_, entry| entry.answer.is_none() || now < entry.at + ANSWERS_KEPT);
        if let Some(entry) = all.get(&key) {
            if entry.print != print {
                let detail = "the key was used for another request; make a new one for this";
                return Err(Problem::wrong(detail));
            }
            let Some((status, headers, body)) = &entry.answer else {
                let detail = "the same request is under way";
                let problem = Problem::conflict("under-way", "It is being done", detail);
                return Err(problem.again_after(1));
            };
            let mut response = hyper::Response::new(whole(body.clone()));
            *response.status_mut() = *status;
            *response.headers_mut() = headers.clone();
            let again = HeaderValue::from_static("true");
            response.headers_mut().insert("idempotency-replayed", again);
            return Ok(Known::Answer(response));
        }
        if all.len() >= ANSWERS {
            let done = all.iter().filter(|(_, entry)| entry.answer.is_some());
            let oldest = done.min_by_key(|(_, entry)| entry.at).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else {
                return Err(Problem::busy("too many requests with keys are under way"));
            };
            all.remove(&oldest);
        }
        all.insert(key.clone(), Entry { print: print.to_owned(), at: now, answer: None });
        Ok(Known::New(Place { all: self.clone(), key: Some(key) }))
    }
}

impl Place {
    /// Keeps an answer, unless it says that something failed here: that may go better next time.
    pub async fn keep(mut self, response: Response) -> Response {
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let passing = head.status.is_server_error() || head.headers.contains_key("retry-after");
        if !passing && let Some(key) = self.key.take() {
            let mut all = self.all.0.lock().expect("nobody panics with it");
            if let Some(entry) = all.get_mut(&key) {
                entry.answer = Some((head.status, head.headers.clone(), body.clone()));
            }
        }
        Response::from_parts(head, whole(body))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.all.0.lock().expect("nobody panics with it").remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn response(status: u16, text: &'static str) -> Response {
        hyper::Response::builder().status(status).body(whole(text)).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered_once_and_the_same_again() {
        let answers = Answered::default();
        let begin = |who: &str, print: &str| answers.begin(who, "k", print, at(0));
        let Ok(Known::New(place)) = begin("ann", "a") else { panic!("it is new") };
        assert_eq!(begin("ann", "a").err().map(|problem| problem.status), Some(409));
        assert!(matches!(begin("ben", "a"), Ok(Known::New(_))), "keys are of their callers");
        place.keep(response(201, "made")).await;
        let Ok(Known::Answer(again)) = begin("ann", "a") else { panic!("it is known") };
        assert_eq!(again.status(), 201);
        assert_eq!(again.into_body().collect().await.unwrap().to_bytes(), "made");
        assert_eq!(begin("ann", "b").err().map(|problem| problem.status), Some(422));
        // A day later it is forgotten.
        let later = answers.begin("ann", "k", "b", at(86_400));
        assert!(matches!(later, Ok(Known::New(_))));
    }

    #[tokio::test]
    async fn what_failed_may_be_tried_again_and_the_oldest_is_forgotten() {
        let answers = Answered::default();
        let Ok(Known::New(place)) = answers.begin("ann", "k", "a", at(0)) else { panic!() };
        place.keep(response(503, "")).await;
        let Ok(Known::New(place)) = answers.begin("ann", "k", "a", at(0)) else { panic!() };
        drop(place);
        for n in 0..=ANSWERS as u64 {
            let Ok(Known::New(place)) = answers.begin("ann", &n.to_string(), "a", at(n)) else {
                panic!("{n}")
            };
            place.keep(response(200, "")).await;
        }
        assert!(matches!(answers.begin("ann", "0", "a", at(9)), Ok(Known::New(_))));
        assert!(matches!(answers.begin("ann", "2", "a", at(9)), Ok(Known::Answer(_))));
    }
}
