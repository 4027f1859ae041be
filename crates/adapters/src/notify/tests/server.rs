//! A receiver on loopback that writes down what it is told, in any mood.

use std::sync::{Arc, Mutex};

use domain::contract::notify::Mood;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(super) struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Server {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        if mood == Mood::Gone {
            drop(listener);
            return Self { url, requests, task: None };
        }
        let kept = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, mood, kept.clone()));
            }
        });
        Self { url, requests, task: Some(task) }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The bodies of requests that begin so.
    pub fn bodies(&self, verb: &str) -> Vec<String> {
        let all = self.requests();
        let ours = all.iter().filter(|request| request.starts_with(verb));
        ours.filter_map(|request| Some(request.split_once("\r\n\r\n")?.1.to_owned())).collect()
    }
}

async fn serve(mut stream: TcpStream, mood: Mood, kept: Arc<Mutex<Vec<String>>>) {
    let request = read_request(&mut stream).await;
    if request.is_empty() {
        return;
    }
    kept.lock().unwrap().push(request);
    let close = "Connection: close\r\nContent-Length: 0\r\n\r\n";
    let answer = match mood {
        Mood::Good => format!("HTTP/1.1 200 OK\r\n{close}"),
        Mood::Floods => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
            return;
        }
        Mood::Busy => format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n{close}"),
        Mood::Refuses => format!("HTTP/1.1 404 Not Found\r\n{close}"),
        Mood::Redirects => {
            format!("HTTP/1.1 308 Permanent Redirect\r\nLocation: http://127.0.0.1:9/\r\n{close}")
        }
        Mood::Closes => return,
        Mood::Babbles => "220 mail.example.com ESMTP\r\n".to_owned(),
        Mood::Hangs => std::future::pending().await,
        Mood::Drips => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ").await;
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
            loop {
                tick.tick().await;
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        }
        Mood::Gone => unreachable!("nobody listens"),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}
