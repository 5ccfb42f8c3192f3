//! How much device memory is taken, and for what; and how much something would take.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Values, scratch, tables: whatever nothing else is said of.
    Working,
    /// Weights of a model.
    Weights,
    /// KV caches.
    Kv,
    /// Memory that weights go through on their way.
    Staging,
    /// Results on their way to the host.
    Host,
}

/// Kinds that there are.
const KINDS: usize = 5;

/// Bytes by kind.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    now: [AtomicU64; KINDS],
    peak: AtomicU64,
}

thread_local! {
    /// The kind of what this thread allocates.
    static KIND: Cell<Kind> = const { Cell::new(Kind::Working) };
    /// Where this thread only counts what it would allocate.
    static MEASURED: RefCell<Option<Arc<Tally>>> = const { RefCell::new(None) };
}

/// Counts what `work` allocates on this thread as `kind`.
pub(crate) fn counting<R>(kind: Kind, work: impl FnOnce() -> R) -> R {
    let before = KIND.replace(kind);
    let result = work();
    KIND.set(before);
    result
}

/// Counts in `tally` what `work` would allocate on this thread; its buffers have no memory and are not written.
pub(crate) fn measuring<R>(tally: &Arc<Tally>, work: impl FnOnce() -> R) -> R {
    let before = MEASURED.replace(Some(Arc::clone(tally)));
    let result = work();
    MEASURED.replace(before);
    result
}

/// The tally of [`measuring`] on this thread.
pub(crate) fn measured() -> Option<Arc<Tally>> {
    MEASURED.with_borrow(Clone::clone)
}

impl Tally {
    /// Bytes taken now.
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.now[kind as usize].load(Ordering::Relaxed)
    }

    /// Most bytes that were taken at a time on the device: everything but results on their way to the host.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Forgets what was taken and given back.
    pub(crate) fn restart_peak(&self) {
        self.peak.store(self.on_device(), Ordering::Relaxed);
    }

    fn on_device(&self) -> u64 {
        [Kind::Working, Kind::Weights, Kind::Kv, Kind::Staging].iter().map(|&kind| self.of(kind)).sum()
    }

    /// Counts `bytes` of this thread's kind until the result is dropped.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Taken {
        self.take_as(KIND.get(), bytes)
    }

    /// Counts `bytes` as `kind` until the result is dropped.
    pub(crate) fn take_as(self: &Arc<Self>, kind: Kind, bytes: u64) -> Taken {
        self.now[kind as usize].fetch_add(bytes, Ordering::Relaxed);
        self.peak.fetch_max(self.on_device(), Ordering::Relaxed);
        Taken { tally: Arc::clone(self), kind, bytes }
    }
}

/// Memory that is counted while this lives.
#[derive(Debug)]
pub(crate) struct Taken {
    tally: Arc<Tally>,
    kind: Kind,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.tally.now[self.kind as usize].fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_by_kind_until_it_is_given_back() {
        let tally = Arc::new(Tally::default());
        let weights = counting(Kind::Weights, || tally.take(100));
        let values = tally.take(10);
        drop(tally.take_as(Kind::Staging, 5));
        let host = tally.take_as(Kind::Host, 1000);
        assert_eq!([Kind::Weights, Kind::Working, Kind::Staging, Kind::Host].map(|k| tally.of(k)), [100, 10, 0, 1000]);
        drop((weights, values, host));
        assert_eq!([Kind::Weights, Kind::Working, Kind::Host].map(|k| tally.of(k)), [0; 3]);
        assert_eq!(tally.peak(), 115);
        tally.restart_peak();
        assert_eq!(tally.peak(), 0);
    }
}
