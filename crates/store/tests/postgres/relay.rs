//! A relay between the store and its server that can be told to cut connections, or to keep still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// So many bytes pass before the cut, in one direction.
struct Budget(AtomicI64);

impl Budget {
    /// How many of `wanted` bytes pass.
    fn take(&self, wanted: usize) -> usize {
        let wanted = i64::try_from(wanted).unwrap();
        let had = self.0.fetch_sub(wanted, Ordering::SeqCst);
        usize::try_from(had.clamp(0, wanted)).unwrap()
    }

    fn set(&self, bytes: i64) {
        self.0.store(bytes, Ordering::SeqCst);
    }
}

/// No cut.
const ALL: i64 = i64::MAX / 2;

struct State {
    up: Budget,
    down: Budget,
    still: AtomicBool,
    cut: Notify,
    to: u16,
}

/// See the module.
pub struct Relay {
    pub port: u16,
    state: Arc<State>,
}

impl Relay {
    /// A relay to a port on loopback.
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            up: Budget(AtomicI64::new(ALL)),
            down: Budget(AtomicI64::new(ALL)),
            still: AtomicBool::new(false),
            cut: Notify::new(),
            to,
        });
        let accepting = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, accepting.clone()));
            }
        });
        Self { port, state }
    }

    /// Cuts every connection once so many more bytes have gone to the server.
    pub fn cut_requests_after(&self, bytes: i64) {
        self.state.up.set(bytes);
    }

    /// Cuts every connection once so many more bytes have come from the server.
    pub fn cut_answers_after(&self, bytes: i64) {
        self.state.down.set(bytes);
    }

    /// Carries everything again.
    pub fn mend(&self) {
        self.state.up.set(ALL);
        self.state.down.set(ALL);
        self.state.still.store(false, Ordering::SeqCst);
    }

    /// From now on nothing passes, and nobody is told.
    pub fn keep_still(&self) {
        self.state.still.store(true, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, state: Arc<State>) {
    let server = TcpStream::connect(("127.0.0.1", state.to)).await.unwrap();
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let ((client_in, client_out), (server_in, server_out)) =
        (client.into_split(), server.into_split());
    let cut = state.cut.notified();
    let is_cut = tokio::select! {
        is_cut = copy(client_in, server_out, &state, &state.up) => is_cut,
        is_cut = copy(server_in, client_out, &state, &state.down) => is_cut,
        () = cut => false,
    };
    if is_cut {
        state.cut.notify_waiters();
    }
}

/// Returns when the connection has ended, or is to be cut as all others are.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    budget: &Budget,
) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return false };
        while state.still.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let passes = budget.take(count);
        if count == 0 || to.write_all(&buffer[..passes]).await.is_err() || passes < count {
            return passes < count;
        }
    }
}
