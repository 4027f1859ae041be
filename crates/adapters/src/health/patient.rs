//! A server on the wire that can be in every condition that a gate has to judge.

use std::sync::{Arc, Mutex};

use domain::contract::health::Condition;
use domain::name::ServerName;
use domain::ports::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server. It has one address through all its conditions.
pub(super) struct Patient {
    address: std::net::SocketAddr,
    condition: Arc<Mutex<Condition>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Patient {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let condition = Arc::new(Mutex::new(Condition::Well));
        let task = tokio::sync::Mutex::new(Some(serve(listener, condition.clone())));
        Self { address, condition, task }
    }

    pub(super) fn target(&self) -> Target {
        let server = ServerName::new("web-1").unwrap();
        Target { server, address: Some(self.address.to_string()) }
    }

    pub(super) async fn set(&self, condition: Condition) {
        *self.condition.lock().unwrap() = condition;
        let mut task = self.task.lock().await;
        if condition == Condition::Refusing {
            if let Some(task) = task.take() {
                task.abort();
                let _ = task.await;
            }
        } else if task.is_none() {
            let listener = TcpListener::bind(self.address).await.unwrap();
            *task = Some(serve(listener, self.condition.clone()));
        }
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

fn serve(listener: TcpListener, condition: Arc<Mutex<Condition>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let condition = *condition.lock().unwrap();
            open.spawn(answer(stream, condition));
        }
    })
}

async fn answer(mut stream: TcpStream, condition: Condition) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    let head = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let text = match condition {
        Condition::Well => head("200 OK", "{\"status\": \"ready\"}"),
        Condition::Sick => head("503 Service Unavailable", "\u{1b}[31mno\ndatabase"),
        Condition::Babbling => "SSH-2.0-OpenSSH_9.2\r\n".into(),
        Condition::Hanging | Condition::Refusing => std::future::pending().await,
        Condition::Flooding => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
}
