//! The door between the caller of a parallel loop and its workers.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use super::{SPIN, lock, spin_until};

/// Set in the state word while workers may enter.
const OPEN: u64 = 1 << 31;
/// Set in the state word when workers shall end.
const STOP: u64 = 1 << 30;
/// The low bits of the state word: workers inside.
const INSIDE: u64 = STOP - 1;
/// One loop, in the high bits of the state word.
const LOOP: u64 = 1 << 32;

/// What a worker got from [`Gate::enter`].
pub(super) enum Entry {
    /// It is inside: it runs tasks, then calls [`Gate::leave`].
    Entered,
    /// The pool is being dropped.
    Stopped,
}

/// State word: number of the loop (32 bits), open, stop, workers inside (30 bits).
pub(super) struct Gate {
    state: AtomicU64,
    sleepers: AtomicU32,
    bed: Mutex<()>,
    wake: Condvar,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { state: AtomicU64::new(0), sleepers: AtomicU32::new(0), bed: Mutex::new(()), wake: Condvar::new() }
    }

    /// Opens the gate for a new loop. The caller has written the job before.
    pub(super) fn open(&self) {
        // SeqCst here and in `sleep`: either this sees the sleeper, or the sleeper sees the loop.
        self.state.fetch_add(LOOP + OPEN, Ordering::SeqCst);
        self.wake_all();
    }

    /// Lets nobody else in and returns when everybody has left.
    pub(super) fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::SeqCst);
        spin_until(SPIN, || self.state.load(Ordering::Acquire) & INSIDE == 0);
    }

    /// Ends every worker, asleep or not.
    pub(super) fn stop(&self) {
        self.state.fetch_or(STOP, Ordering::SeqCst);
        self.wake_all();
    }

    fn wake_all(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // Taking the lock makes sure that a sleeper is in `wait` and not on its way there.
            drop(lock(&self.bed));
            self.wake.notify_all();
        }
    }

    /// Waits for a loop other than number `seen`, enters it and stores its number.
    pub(super) fn enter(&self, seen: &mut u32) -> Entry {
        let mut idle_since = None;
        let mut looks = 0_u32;
        loop {
            let state = self.state.load(Ordering::Acquire);
            if state & STOP != 0 {
                return Entry::Stopped;
            }
            if Self::is_news(state, *seen) {
                // Acquire: the job and the task counter are visible once inside.
                let entered =
                    self.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
                if entered {
                    *seen = (state >> 32) as u32;
                    return Entry::Entered;
                }
                continue;
            }
            looks = looks.wrapping_add(1);
            std::hint::spin_loop();
            if looks.is_multiple_of(64) && idle_since.get_or_insert_with(Instant::now).elapsed() > SPIN {
                self.sleep(*seen);
                idle_since = None;
            }
        }
    }

    /// Leaves the loop that `enter` entered.
    pub(super) fn leave(&self) {
        // Release: what the tasks wrote is visible to the caller after `close`.
        self.state.fetch_sub(1, Ordering::Release);
    }

    fn is_news(state: u64, seen: u32) -> bool {
        state & OPEN != 0 && (state >> 32) as u32 != seen
    }

    fn sleep(&self, seen: u32) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut bed = lock(&self.bed);
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if state & STOP != 0 || Self::is_news(state, seen) {
                break;
            }
            bed = self.wake.wait(bed).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        drop(bed);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}
