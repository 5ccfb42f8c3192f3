//! Matrices on their way to the device: repacked on all cores, some rows at a time, while the device copies those before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use wgpu::{BufferUsages, MapMode, PollType};

use super::Matrix;
use super::magnitude;
use super::repack::RowPacker;
use crate::error::GpuError;
use crate::gpu::{Gpu, lock, one_line};
use crate::tally::Kind;

/// Bytes of repacked rows that are staged at once.
const PIECE: usize = 4 << 20;

/// Most pieces between the host and the device. Drivers put them into the device's own memory if they can.
const SLOTS: usize = 24;

/// Pieces after which the device is given the copies.
const SUBMIT: usize = 4;

/// Most threads that repack.
const MAX_THREADS: usize = 16;

/// How long the host waits for rows before it looks after the device.
const PAUSE: Duration = Duration::from_micros(500);

/// Rows of a matrix that lie in one of its buffers.
struct Piece {
    matrix: usize,
    first: usize,
    rows: usize,
}

/// A piece in its slot.
struct Staged<'a> {
    piece: &'a Piece,
    slot: wgpu::Buffer,
    file_bytes: u64,
    largest: f32,
}

/// Fills `matrices` with what `bytes` has for each; `progress` is told bytes of the file as they are staged.
///
/// # Errors
/// Too little memory for staging; a failing device.
pub(super) fn fill(
    gpu: &Gpu,
    matrices: &mut [&mut Matrix],
    bytes: &[&[u8]],
    progress: &mut dyn FnMut(u64),
) -> Result<(), GpuError> {
    let largest = stage(gpu, matrices, bytes, progress)?;
    for (matrix, largest) in matrices.iter_mut().zip(largest) {
        matrix.half_factor = magnitude::half_factor(matrix.ty, largest);
    }
    Ok(())
}

/// As [`fill`]; the largest magnitude of every matrix.
fn stage(
    gpu: &Gpu,
    matrices: &[&mut Matrix],
    bytes: &[&[u8]],
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<f32>, GpuError> {
    let pieces = pieces(matrices);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(MAX_THREADS).min(pieces.len());
    let work = Work {
        gpu,
        matrices: matrices.iter().map(|matrix| &**matrix).collect(),
        bytes,
        pieces: &pieces,
        next: AtomicUsize::new(0),
    };
    let size = pieces.iter().map(|piece| work.staged_bytes(piece)).max().unwrap_or(0) as u64;
    let count = SLOTS.min(pieces.len());
    let _taken = gpu.tally.take_as(Kind::Staging, count as u64 * size);
    let slots = Arc::new(Slots::new(gpu, count, size)?);
    let (sender, staged) = channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| work.stage_all(&slots, sender));
        }
        drop(sender);
        let result = work.watch(&slots, &staged, progress);
        // Threads that wait for a slot end too.
        slots.close(None);
        result
    })
}

/// All rows of all matrices.
fn pieces(matrices: &[&mut Matrix]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, matrix) in matrices.iter().enumerate() {
        let step = (PIECE / (4 * matrix.row.words).max(1)).max(1);
        for (rows, _) in matrix.data.parts() {
            for first in rows.clone().step_by(step) {
                pieces.push(Piece { matrix: index, first, rows: step.min(rows.end - first) });
            }
        }
    }
    pieces
}

struct Work<'a> {
    gpu: &'a Gpu,
    matrices: Vec<&'a Matrix>,
    bytes: &'a [&'a [u8]],
    pieces: &'a [Piece],
    next: AtomicUsize,
}

impl<'a> Work<'a> {
    fn staged_bytes(&self, piece: &Piece) -> usize {
        4 * piece.rows * self.matrices[piece.matrix].row.words
    }

    /// What a thread does: piece after piece.
    fn stage_all(&self, slots: &Slots, sender: Sender<Result<Staged<'a>, GpuError>>) {
        let mut words = Vec::new();
        while let Some(slot) = slots.take()
            && let Some(piece) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed))
        {
            // Whoever has stopped no longer listens.
            if sender.send(self.stage(piece, slot, &mut words)).is_err() {
                return;
            }
        }
    }

    fn stage(&self, piece: &'a Piece, slot: wgpu::Buffer, words: &mut Vec<u32>) -> Result<Staged<'a>, GpuError> {
        let matrix = self.matrices[piece.matrix];
        let (row_bytes, row_words) = (matrix.row_bytes(), matrix.row.words);
        let bytes = &self.bytes[piece.matrix][piece.first * row_bytes..][..piece.rows * row_bytes];
        // Memory that the device sees is slow to read, and packing reads what it has written.
        words.clear();
        words.resize(piece.rows * row_words, 0);
        let mut packer = RowPacker::new(matrix.layout, matrix.cols);
        for (bytes, words) in bytes.chunks_exact(row_bytes).zip(words.chunks_exact_mut(row_words)) {
            packer.pack(bytes, words);
        }
        let staged: &[u8] = bytemuck::cast_slice(words);
        let view = slot.get_mapped_range_mut(..staged.len() as u64);
        view.map_err(|error| self.gpu.failed(one_line(&error)))?.copy_from_slice(staged);
        slot.unmap();
        let largest = magnitude::bound(&matrix.layout, bytes);
        Ok(Staged { piece, slot, file_bytes: bytes.len() as u64, largest })
    }

    /// Gives the device what is staged, and slots back when it is done with them. The largest magnitude of every matrix.
    fn watch(
        &self,
        slots: &Arc<Slots>,
        staged: &Receiver<Result<Staged<'a>, GpuError>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<f32>, GpuError> {
        let gpu = self.gpu;
        let mut largest = vec![0.0_f32; self.matrices.len()];
        let (mut pending, mut left) = (Vec::new(), self.pieces.len());
        while left > 0 {
            match staged.recv_timeout(PAUSE) {
                Ok(staged) => {
                    let staged = staged?;
                    let matrix = staged.piece.matrix;
                    largest[matrix] = largest[matrix].max(staged.largest);
                    progress(staged.file_bytes);
                    pending.push(staged);
                    left -= 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(gpu.failed("a thread that repacks has ended")),
            }
            if pending.len() >= SUBMIT || left == 0 || staged_is_idle(slots, &pending) {
                self.submit(slots, &mut pending);
            }
            // A lost device says so in the check.
            let _ = gpu.device.poll(PollType::Poll);
            gpu.check()?;
            if let Some(reason) = slots.failure() {
                return Err(gpu.failed(reason));
            }
        }
        gpu.wait()?;
        Ok(largest)
    }

    /// Copies what is in slots to where it belongs, and maps the slots again after that.
    fn submit(&self, slots: &Arc<Slots>, pending: &mut Vec<Staged<'a>>) {
        let gpu = self.gpu;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("weights") };
        let mut encoder = gpu.device.create_command_encoder(&descriptor);
        for Staged { piece, slot, .. } in pending.iter() {
            let matrix = self.matrices[piece.matrix];
            let (part, row) = (piece.first / matrix.data.units_per_part, piece.first % matrix.data.units_per_part);
            let (to, at) = (&matrix.data.parts[part].raw, 4 * (row * matrix.row.words) as u64);
            encoder.copy_buffer_to_buffer(slot, 0, to, at, self.staged_bytes(piece) as u64);
        }
        gpu.queue.submit([encoder.finish()]);
        for Staged { slot, .. } in pending.drain(..) {
            let (slots, mapped) = (Arc::clone(slots), slot.clone());
            slot.map_async(MapMode::Write, .., move |result| match result {
                Ok(()) => slots.give(mapped),
                Err(error) => slots.close(Some(one_line(&error))),
            });
        }
    }
}

/// Whether those who repack wait for slots that `pending` holds.
fn staged_is_idle(slots: &Slots, pending: &[Staged<'_>]) -> bool {
    !pending.is_empty() && lock(&slots.state).free.is_empty()
}

/// Buffers that the host writes and the device reads.
struct Slots {
    state: Mutex<SlotState>,
    changed: Condvar,
}

#[derive(Default)]
struct SlotState {
    free: Vec<wgpu::Buffer>,
    closed: bool,
    failure: Option<String>,
}

impl Slots {
    fn new(gpu: &Gpu, count: usize, size: u64) -> Result<Self, GpuError> {
        let descriptor = wgpu::BufferDescriptor {
            label: Some("staging"),
            size: size.next_multiple_of(16).max(16),
            usage: BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        };
        let create = || (0..count).map(|_| gpu.device.create_buffer(&descriptor)).collect();
        let (free, error) = gpu.scoped(create);
        gpu.check()?;
        if let Some(error) = error {
            return Err(GpuError::OutOfMemory {
                device: gpu.name().to_owned(),
                what: "staging memory for weights".to_owned(),
                bytes: count as u64 * size,
                reason: one_line(&error),
            });
        }
        Ok(Self { state: Mutex::new(SlotState { free, ..SlotState::default() }), changed: Condvar::new() })
    }

    /// A mapped buffer, as soon as there is one; none at the end.
    fn take(&self) -> Option<wgpu::Buffer> {
        let waits = |state: &mut SlotState| state.free.is_empty() && !state.closed;
        let mut state = self.changed.wait_while(lock(&self.state), waits).unwrap_or_else(|e| e.into_inner());
        if state.closed { None } else { state.free.pop() }
    }

    fn give(&self, slot: wgpu::Buffer) {
        lock(&self.state).free.push(slot);
        self.changed.notify_one();
    }

    fn close(&self, failure: Option<String>) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.failure = state.failure.take().or(failure);
        self.changed.notify_all();
    }

    fn failure(&self) -> Option<String> {
        lock(&self.state).failure.clone()
    }
}
