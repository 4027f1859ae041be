//! What every archive has to show.

use std::sync::Arc;

use super::cut_short;
use crate::journal::Digest;
use crate::ports::Archive;

/// A store for one case.
pub trait World: Send + Sync {
    /// Another handle on the same store, as another process opens it.
    fn archive(&self) -> Arc<dyn Archive>;
}

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    what_was_put_is_found_by_its_digest(&make().await).await;
    what_was_never_put_is_not_found(&make().await).await;
    a_put_cut_short_is_repeated(&make().await).await;
}

async fn what_was_put_is_found_by_its_digest<W: World>(world: &W) {
    let large = vec![0xa5; 3_000_000];
    for bytes in [b"".as_slice(), b"load", b"\0\xff not text", &large] {
        for _ in 0..3 {
            let digest = put(world, bytes).await;
            assert_eq!(digest, Digest::of_bytes(bytes), "kept by its digest");
        }
    }
    for bytes in [b"".as_slice(), b"load", b"\0\xff not text", &large] {
        let found = get(world, &Digest::of_bytes(bytes)).await;
        assert!(found.as_deref() == Some(bytes), "{} bytes come back", bytes.len());
    }
}

async fn what_was_never_put_is_not_found<W: World>(world: &W) {
    put(world, b"one").await;
    assert_eq!(get(world, &Digest::of_bytes(b"two")).await, None);
    assert_eq!(get(world, &Digest::zero()).await, None);
}

async fn a_put_cut_short_is_repeated<W: World>(world: &W) {
    for polls in 0..4 {
        let bytes = vec![b'x'; 10_000 + polls as usize];
        cut_short(world.archive().put(&bytes), polls).await;
        let digest = put(world, &bytes).await;
        assert_eq!(get(world, &digest).await, Some(bytes));
    }
}

async fn put<W: World>(world: &W, bytes: &[u8]) -> Digest {
    let kept = world.archive().put(bytes).await;
    kept.unwrap_or_else(|error| panic!("put: {}", error.chain()))
}

async fn get<W: World>(world: &W, digest: &Digest) -> Option<Vec<u8>> {
    let found = world.archive().get(digest).await;
    found.unwrap_or_else(|error| panic!("get: {}", error.chain()))
}
