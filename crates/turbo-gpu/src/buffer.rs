//! GPU memory: typed buffers, data split over several bindings, reading back.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytemuck::Pod;
use wgpu::BufferUsages;

use crate::tally::Taken;

/// Ids of buffers that are gone; what is cached for them can go too.
pub(crate) type Dropped = Arc<Mutex<Vec<u64>>>;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// `len` values of `T` in GPU memory, usable as storage and in copies.
#[derive(Debug)]
pub struct Buffer<T> {
    pub(crate) raw: wgpu::Buffer,
    id: u64,
    len: usize,
    dropped: Dropped,
    _taken: Taken,
    of: PhantomData<fn() -> T>,
}

impl<T: Pod> Buffer<T> {
    pub(crate) const USAGES: BufferUsages =
        BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

    pub(crate) fn from_raw(raw: wgpu::Buffer, len: usize, dropped: Dropped, taken: Taken) -> Self {
        Self { raw, id: NEXT_ID.fetch_add(1, Ordering::Relaxed), len, dropped, _taken: taken, of: PhantomData }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Size of the values in bytes.
    pub fn bytes(&self) -> u64 {
        (self.len * size_of::<T>()) as u64
    }

    /// All of it, for a kernel.
    pub fn bind(&self) -> Bind<'_> {
        Bind { raw: &self.raw, id: self.id, offset: 0, bytes: self.raw.size() }
    }

    /// The values of `range`, for a kernel. Their first byte must lie on the device's storage alignment.
    pub fn bind_range(&self, range: Range<usize>) -> Bind<'_> {
        let size = size_of::<T>();
        let bytes = (range.end.saturating_sub(range.start) * size) as u64;
        Bind { raw: &self.raw, id: self.id, offset: (range.start * size) as u64, bytes }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.dropped.lock().unwrap_or_else(|e| e.into_inner()).push(self.id);
    }
}

/// A part of a buffer that a kernel works on.
#[derive(Clone, Copy, Debug)]
pub struct Bind<'a> {
    pub(crate) raw: &'a wgpu::Buffer,
    pub(crate) id: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Data larger than one binding: whole units (rows, blocks) in as few buffers as the device allows.
#[derive(Debug)]
pub struct SplitBuffer {
    pub(crate) parts: Vec<Buffer<u32>>,
    pub(crate) units_per_part: usize,
    pub(crate) units: usize,
    pub(crate) unit_bytes: usize,
}

impl SplitBuffer {
    /// Number of units.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Bytes of a unit.
    pub fn unit_bytes(&self) -> usize {
        self.unit_bytes
    }

    /// Its buffers, each with the units it holds.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (Range<usize>, &Buffer<u32>)> {
        self.parts.iter().enumerate().map(|(i, part)| {
            let first = i * self.units_per_part;
            (first..self.units.min(first + self.units_per_part), part)
        })
    }
}

/// Memory that results are copied to, kept for many readings.
#[derive(Debug)]
pub struct ReadBack<T> {
    pub(crate) raw: wgpu::Buffer,
    pub(crate) len: usize,
    pub(crate) _taken: Taken,
    pub(crate) of: PhantomData<fn() -> T>,
}

impl<T> ReadBack<T> {
    /// Number of values it takes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it takes nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
