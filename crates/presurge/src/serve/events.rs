//! The journal of a rollout as server-sent events: each record once, under its number, from any number on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use domain::journal::Record;
use domain::name::RolloutId;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::Server;
use super::exchange::whole;
use super::problem::Problem;
use super::route::{Call, Response};
use super::settings::{STREAM_ALIVE, STREAM_LOOK};

/// The media type.
pub const MEDIA: &str = "text/event-stream";

/// After the end of a rollout its stream goes on for so many looks: what people were told of the end
/// stands behind it.
const AFTER_THE_END: u32 = 4;

struct Tail {
    server: Arc<Server>,
    id: RolloutId,
    after: u64,
    waiting: VecDeque<Record>,
    /// Looks since the end of the rollout without anything new.
    ended: Option<u32>,
    said: Timestamp,
    _place: OwnedSemaphorePermit,
}

/// A stream of what is written behind `after`. Where the rollout has ended and nothing stands behind it,
/// there is no content, which tells a browser not to come again.
pub async fn stream(
    server: Arc<Server>,
    call: &Call,
    id: RolloutId,
    after: u64,
) -> Result<Response, Problem> {
    let place = server.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("too many streams are open"))?;
    let records = server.store.read(&id, 0).await?;
    let ended = records.iter().any(|record| record.kind == "Finished");
    let waiting: VecDeque<_> = records.into_iter().filter(|record| record.seq > after).collect();
    if ended && waiting.is_empty() {
        let mut response = hyper::Response::new(whole(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let ended = ended.then_some(0);
    let tail = Tail { server, id, after, waiting, ended, said: call.now, _place: place };
    let stream = futures_util::stream::unfold(tail, |mut tail| async move {
        let text = tail.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), tail))
    });
    let mut response = hyper::Response::new(StreamBody::new(stream).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    Ok(response)
}

impl Tail {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                self.after = record.seq;
                if record.kind == "Finished" {
                    self.ended = Some(0);
                }
                self.said = self.server.clock.now();
                return Some(event(&record));
            }
            if self.server.stop.is_asked() || self.ended.is_some_and(|looks| looks > AFTER_THE_END)
            {
                return None;
            }
            let now = self.server.clock.now();
            if now >= self.said + STREAM_ALIVE {
                self.said = now;
                return Some(": alive\n\n".into());
            }
            self.server.pause(STREAM_LOOK).await;
            self.ended = self.ended.map(|looks| looks + 1);
            match self.server.store.read(&self.id, self.after).await {
                Ok(records) => self.waiting.extend(records),
                // The client comes again from where it is.
                Err(_) => return None,
            }
        }
    }
}

/// A record as an event. JSON has no line ends in it.
fn event(record: &Record) -> String {
    let data = serde_json::to_string(record).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", record.seq, record.kind)
}
