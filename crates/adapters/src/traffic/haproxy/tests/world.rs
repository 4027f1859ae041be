//! A real HAProxy with three servers behind it, and a wire that can be cut.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex as StdMutex;

use async_trait::async_trait;
use domain::ports::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::*;
use crate::free_port::free_port;
use crate::traffic::testing::{Answer, Arrival, Server, get, hold, requests};

/// How the adapter speaks to HAProxy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Api {
    Unix,
    Tcp,
}

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) servers: Vec<Server>,
    pub(super) spare: Server,
    api: Api,
    haproxy: StdMutex<Child>,
    front: u16,
    wire_port: u16,
    arrivals: Mutex<mpsc::UnboundedReceiver<Arrival>>,
    fault: Arc<StdMutex<Option<contract::Fault>>>,
    wire: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.wire.abort();
        let haproxy = self.haproxy.get_mut().unwrap();
        let _ = haproxy.kill();
        let _ = haproxy.wait();
    }
}

fn spawn(folder: &std::path::Path, takes_over: Option<u32>) -> Child {
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(folder.join("haproxy.cfg"));
    if let Some(old) = takes_over {
        command.arg("-x").arg(folder.join("admin.sock")).arg("-sf").arg(old.to_string());
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl World {
    pub(super) async fn start(api: Api) -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut servers = Vec::new();
        for name in ["web-1", "web-2", "web-3"] {
            servers.push(Server::start(name, sender.clone()).await);
        }
        let spare = Server::start("surge-1", sender).await;
        let folder = tempfile::tempdir().unwrap();
        let (front, tcp_api) = (free_port(), free_port());
        std::fs::write(
            folder.path().join("haproxy.cfg"),
            config(&folder, front, tcp_api, &servers),
        )
        .unwrap();
        let haproxy = StdMutex::new(spawn(folder.path(), None));
        let fault = Arc::new(StdMutex::new(None));
        let (wire, wire_port) = start_wire(api, &folder, tcp_api, fault.clone()).await;
        let arrivals = Mutex::new(arrivals);
        let world =
            Self { folder, servers, spare, api, haproxy, front, wire_port, arrivals, fault, wire };
        world.wait_until_up().await;
        world
    }

    async fn wait_until_up(&self) {
        for _ in 0..300 {
            if let Ok(table) = self.adapter().read().await
                && table.servers().all(|(_, server)| server.serves())
            {
                return;
            }
            pause(Duration::from_millis(20)).await;
        }
        panic!("HAProxy does not come up");
    }

    pub(super) fn config(&self) -> HaproxyConfig {
        let (socket, address) = match self.api {
            Api::Unix => (Some(PathBuf::from("wire.sock")), None),
            Api::Tcp => (None, Some(format!("127.0.0.1:{}", self.wire_port))),
        };
        HaproxyConfig {
            socket: socket.map(|name| self.folder.path().join(name)),
            address,
            backend: "be".into(),
            timeout: default_timeout(),
            add_options: "check inter 100ms rise 1 fall 2".into(),
        }
    }

    pub(super) fn adapter(&self) -> Haproxy {
        Haproxy::new(self.config(), Path::new("/")).unwrap()
    }

    /// Requests that take three seconds each, all of them at a server when this returns.
    pub(super) async fn start_slow_requests(&self, count: usize) -> Vec<Answer> {
        let mut requests = Vec::new();
        for _ in 0..count {
            requests.push(tokio::spawn(get(self.front, "/slow")));
        }
        for _ in 0..count {
            self.arrivals.lock().await.recv().await.unwrap();
        }
        requests
    }
}

pub(super) async fn finish(requests: Vec<Answer>) -> Vec<Result<String, String>> {
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    answers
}

/// The frontend is named as the backend, as many are. No retry and no redispatch: a request that meets a server that is gone fails, and shows.
fn config(folder: &tempfile::TempDir, front: u16, api: u16, servers: &[Server]) -> String {
    let folder = folder.path().display();
    let mut text = format!(
        "global\n stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners\n \
         stats socket {folder}/user.sock mode 600 level operator\n \
         stats socket ipv4@127.0.0.1:{api} level admin\n\
         defaults\n mode http\n timeout connect 2s\n timeout client 30s\n timeout server 30s\n \
         timeout queue 5s\n option httpchk GET /health\n retries 0\n\
         frontend be\n bind 127.0.0.1:{front}\n default_backend be\n\
         backend be\n balance roundrobin\n \
         default-server check inter 100ms rise 1 fall 2 maxconn 200 weight 100\n"
    );
    for server in servers {
        text.push_str(&format!(" server {} {}\n", server.name, server.address));
    }
    text
}

/// A wire between adapter and HAProxy that loses a command, or the answer to one.
async fn start_wire(
    api: Api,
    folder: &tempfile::TempDir,
    tcp_api: u16,
    fault: Arc<StdMutex<Option<contract::Fault>>>,
) -> (JoinHandle<()>, u16) {
    let admin = folder.path().join("admin.sock");
    match api {
        Api::Unix => {
            let listener = UnixListener::bind(folder.path().join("wire.sock")).unwrap();
            let task = tokio::spawn(async move {
                while let Ok((near, _)) = listener.accept().await {
                    if let Ok(far) = UnixStream::connect(&admin).await {
                        tokio::spawn(carry(near, far, fault.clone()));
                    }
                }
            });
            (task, 0)
        }
        Api::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let task = tokio::spawn(async move {
                while let Ok((near, _)) = listener.accept().await {
                    if let Ok(far) = TcpStream::connect(("127.0.0.1", tcp_api)).await {
                        tokio::spawn(carry(near, far, fault.clone()));
                    }
                }
            });
            (task, port)
        }
    }
}

async fn carry(
    mut near: impl AsyncRead + AsyncWrite + Unpin,
    mut far: impl AsyncRead + AsyncWrite + Unpin,
    fault: Arc<StdMutex<Option<contract::Fault>>>,
) -> std::io::Result<()> {
    let mut command = Vec::new();
    while !command.ends_with(b"\n") {
        if near.read_buf(&mut command).await? == 0 {
            return Ok(());
        }
    }
    let fails = {
        let mut fault = fault.lock().unwrap();
        match *fault {
            // A look has no effect, so only an order can fail after its effect.
            Some(contract::Fault::AfterEffect) if command.starts_with(b"show ") => None,
            _ => fault.take(),
        }
    };
    if fails == Some(contract::Fault::BeforeEffect) {
        return Ok(());
    }
    far.write_all(&command).await?;
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await?;
    if fails.is_none() {
        near.write_all(&answer).await?;
    }
    Ok(())
}

#[async_trait]
impl contract::World for World {
    fn traffic(&self) -> Arc<dyn Traffic> {
        Arc::new(self.adapter())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn members(&self) -> Vec<Target> {
        self.servers.iter().map(Server::target).collect()
    }

    fn spare(&self) -> Target {
        self.spare.target()
    }

    async fn requests(&self, count: usize) -> Result<BTreeMap<ServerName, usize>, String> {
        requests(self.front, count).await
    }

    async fn hold(&self, server: &ServerName) -> Result<Box<dyn contract::Held>, String> {
        hold(self.front, &self.arrivals, server).await
    }

    async fn set_healthy(&self, server: &ServerName, healthy: bool) -> bool {
        let real = self.servers.iter().find(|real| real.name == *server).unwrap();
        real.set_healthy(healthy);
        // A drained server keeps its checks: two of them in a row decide.
        pause(Duration::from_millis(500)).await;
        true
    }

    async fn lose_settings(&self) -> bool {
        let old = self.haproxy.lock().unwrap().id();
        let new = spawn(self.folder.path(), Some(old));
        let mut before = std::mem::replace(&mut *self.haproxy.lock().unwrap(), new);
        tokio::task::spawn_blocking(move || before.wait()).await.unwrap().unwrap();
        self.wait_until_up().await;
        true
    }

    async fn fail_next(&self, fault: contract::Fault) -> bool {
        *self.fault.lock().unwrap() = Some(fault);
        true
    }
}
