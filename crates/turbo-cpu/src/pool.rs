//! Persistent worker threads for short parallel loops.
//!
//! A decode step runs hundreds of loops of 20 to 200 us one after the other, so a loop must cost
//! far less than that to start and to finish:
//! - workers that find nothing to do spin for about [`SPIN`] before they sleep, which bridges the
//!   gap between two operations of a token and costs nothing when the engine is idle;
//! - a loop never waits for a worker that has not arrived: a worker *enters* an open loop, takes
//!   task numbers from a shared counter until they run out, and leaves. The caller works too, then
//!   closes the loop and waits only for the workers that are inside.

mod cores;
mod gate;

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use cores::default_threads;
use gate::{Entry, Gate};

/// How long a worker looks for the next loop before it sleeps.
const SPIN: Duration = Duration::from_micros(150);

/// A closure of a running loop, its lifetime erased; valid while the gate is open or occupied.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(usize) + Sync));

// SAFETY: the closure is `Sync`, and `Gate` keeps it alive for as long as a worker can reach it.
unsafe impl Send for Job {}

struct Shared {
    gate: Gate,
    /// The closure and the number of tasks of the open loop.
    job: Mutex<Option<(Job, usize)>>,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A fixed set of threads that run parallel loops; see the module documentation.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One loop at a time: a second caller waits here.
    turn: Mutex<()>,
}

thread_local! {
    /// Whether this thread is inside a task: a loop started there runs inline.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A lock that a panicking task may have poisoned: the data behind ours is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ThreadPool {
    /// A pool of `threads` threads, the calling one included; 0 counts as 1.
    ///
    /// When the system refuses a thread, the pool has as many as it got ([`threads`](Self::threads)).
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            gate: Gate::new(),
            job: Mutex::new(None),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
        });
        let start = |index: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("turbo-cpu-{index}")).spawn(move || shared.work()).ok()
        };
        let workers = (1..threads.max(1)).map_while(start).collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// A pool with one thread per usable physical core ([`default_threads`]).
    pub fn with_default_threads() -> Self {
        Self::new(default_threads())
    }

    /// Number of threads that run tasks, the calling one included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(0)` to `task(tasks - 1)`, each once, in any order and on any thread; returns
    /// when all are done.
    ///
    /// A loop inside a task runs inline, on the thread of that task. Two threads that share a pool
    /// take turns.
    ///
    /// # Panics
    /// With the panic of the first task that panicked, after every running task has ended; tasks
    /// that had not started by then are dropped. The pool stays usable.
    pub fn run<F: Fn(usize) + Sync>(&self, tasks: usize, task: F) {
        if tasks <= 1 || self.workers.is_empty() || INSIDE.get() {
            (0..tasks).for_each(task);
            return;
        }
        let _turn = lock(&self.turn);
        let short: *const (dyn Fn(usize) + Sync + '_) = &task;
        // SAFETY: only the lifetime changes. `close` below returns after the last worker has left
        // the gate, and nothing between here and there unwinds, so no worker outlives `task`.
        let job = Job(unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(short)
        });
        *lock(&self.shared.job) = Some((job, tasks));
        self.shared.next.store(0, Ordering::Relaxed);
        self.shared.gate.open();
        self.shared.drain(&task, tasks);
        self.shared.gate.close();
        let panic = lock(&self.shared.panic).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Cuts `items` into pieces of `len` items (the last one may be shorter) and calls
    /// `task(index, piece)` for each, as [`run`](Self::run) does.
    ///
    /// # Panics
    /// When `len` is 0, and as `run` does.
    pub fn run_pieces<T: Send, F: Fn(usize, &mut [T]) + Sync>(&self, items: &mut [T], len: usize, task: F) {
        assert!(len > 0, "pieces of no items");
        let total = items.len();
        let shared = DisjointMut::new(items);
        self.run(total.div_ceil(len), |index| {
            let start = index * len;
            // SAFETY: each index is run once, and the ranges of different indices do not overlap.
            task(index, unsafe { shared.slice(start, len.min(total - start)) });
        });
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.gate.stop();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of tasks, so joining can only fail after a defect that
            // has been reported already; a panic here would hide it.
            drop(worker.join());
        }
    }
}

impl Shared {
    /// The life of a worker.
    fn work(&self) {
        let mut seen = 0;
        loop {
            match self.gate.enter(&mut seen) {
                Entry::Entered => {}
                Entry::Stopped => return,
            }
            let job = *lock(&self.job);
            if let Some((job, tasks)) = job {
                // SAFETY: this thread is inside the gate, so `ThreadPool::run` has not returned and
                // the closure it borrowed is alive.
                self.drain(unsafe { &*job.0 }, tasks);
            }
            self.gate.leave();
        }
    }

    /// Takes and runs tasks until none is left; a panic is kept for the caller and ends the loop.
    fn drain(&self, task: &(dyn Fn(usize) + Sync), tasks: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            INSIDE.set(true);
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= tasks {
                    break;
                }
                task(index);
            }
        }));
        INSIDE.set(false);
        if let Err(payload) = outcome {
            self.next.store(tasks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(payload);
        }
    }
}

/// A mutable slice whose disjoint parts are written by different tasks of one loop.
pub struct DisjointMut<'a, T> {
    start: *mut T,
    len: usize,
    lifetime: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out `&mut T` to other threads, which `T: Send` allows, and never `&T`.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}

impl<'a, T> DisjointMut<'a, T> {
    /// Wraps `items` for the length of the borrow.
    pub fn new(items: &'a mut [T]) -> Self {
        Self { start: items.as_mut_ptr(), len: items.len(), lifetime: std::marker::PhantomData }
    }

    /// The items `start .. start + len`.
    ///
    /// # Safety
    /// No two live slices of one `DisjointMut` may overlap.
    ///
    /// # Panics
    /// When the range is not inside the slice.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that slices do not overlap")]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "items {start} + {len} of {}", self.len);
        // SAFETY: inside the slice by the check above, and not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// Spins until `ready`, then yields the processor between looks once `limit` has passed.
fn spin_until(limit: Duration, mut ready: impl FnMut() -> bool) {
    let mut started = None;
    let mut looks = 0_u32;
    while !ready() {
        looks = looks.wrapping_add(1);
        if !looks.is_multiple_of(64) {
            std::hint::spin_loop();
        } else if started.get_or_insert_with(Instant::now).elapsed() > limit {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests;
