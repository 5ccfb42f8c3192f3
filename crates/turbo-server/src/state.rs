//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::engine::Engine;

/// Largest request body.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are taken.
    Running,
    /// No new generation is taken; those under way go on.
    Draining,
    /// What is still under way ends with an error.
    Closing,
}

/// The engine and the state of the server; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    created: u64,
    phase: watch::Sender<Phase>,
    engine_gone: AtomicBool,
    drain_limit: Duration,
}

impl AppState {
    /// The state of a server in front of `engine`. Generations under way at shutdown get 30 seconds to finish.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self::with_drain_limit(engine, Duration::from_secs(30))
    }

    /// As [`AppState::new`], with the time that generations under way get at shutdown.
    pub fn with_drain_limit(engine: Arc<dyn Engine>, drain_limit: Duration) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        let phase = watch::Sender::new(Phase::Running);
        Self { inner: Arc::new(Inner { engine, created, phase, engine_gone: AtomicBool::new(false), drain_limit }) }
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// When the model became available, in seconds since 1970.
    pub(crate) fn created(&self) -> u64 {
        self.inner.created
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.inner.phase.borrow()
    }

    pub(crate) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.inner.phase.subscribe()
    }

    /// Moves on to a later phase; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.inner.phase.send_modify(|current| *current = phase.max(*current));
    }

    pub(crate) fn drain_limit(&self) -> Duration {
        self.inner.drain_limit
    }

    /// Whether the engine was found to have stopped.
    pub(crate) fn engine_gone(&self) -> bool {
        self.inner.engine_gone.load(Ordering::Relaxed) || self.inner.engine.stopped().is_some()
    }

    pub(crate) fn note_engine_gone(&self) {
        self.inner.engine_gone.store(true, Ordering::Relaxed);
    }
}
