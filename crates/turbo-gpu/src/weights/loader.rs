//! Matrices on their way to the device: repacked on all cores, some rows at a time, while the device copies those before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use wgpu::PollType;

use super::Matrix;
use super::magnitude;
use super::repack::RowPacker;
use crate::error::GpuError;
use crate::gpu::{Gpu, lock};
use crate::tally::Kind;

/// Bytes of repacked rows that are staged at once.
const PIECE: usize = 4 << 20;

/// Bytes that may be staged and not yet copied. Drivers put them into the device's own memory if they can.
const IN_FLIGHT: usize = 96 << 20;

/// Bytes after which the device is given the copies.
const SUBMIT: usize = 16 << 20;

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

/// A piece that was staged.
struct Staged {
    matrix: usize,
    file_bytes: u64,
    staged: usize,
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
    let pieces = pieces(matrices);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(MAX_THREADS).min(pieces.len());
    let work = Work {
        gpu,
        matrices: matrices.iter().map(|matrix| &**matrix).collect(),
        bytes,
        pieces: &pieces,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    let room = Room::default();
    let _taken = gpu.tally.take_as(Kind::Staging, IN_FLIGHT.min(work.staged_bytes()) as u64);
    let (sender, staged) = channel();
    let largest = std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| work.stage_all(&room, sender));
        }
        drop(sender);
        let result = work.watch(&room, &staged, progress);
        // Threads that wait for room end too.
        work.stop.store(true, Ordering::Relaxed);
        room.give(IN_FLIGHT);
        result
    })?;
    for (matrix, largest) in matrices.iter_mut().zip(largest) {
        matrix.half_factor = magnitude::half_factor(matrix.ty, largest);
    }
    Ok(())
}

/// All rows of all matrices.
fn pieces(matrices: &[&mut Matrix]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, matrix) in matrices.iter().enumerate() {
        let step = (PIECE / (4 * matrix.row.words)).max(1);
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
    stop: AtomicBool,
}

impl Work<'_> {
    fn staged_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows * 4 * self.matrices[piece.matrix].row.words).sum()
    }

    /// What a thread does: piece after piece.
    fn stage_all(&self, room: &Room, sender: Sender<Result<Staged, GpuError>>) {
        let mut words = Vec::new();
        while let Some(piece) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let staged = 4 * piece.rows * self.matrices[piece.matrix].row.words;
            room.take(staged);
            // Whoever has stopped no longer listens.
            if self.stop.load(Ordering::Relaxed) || sender.send(self.stage(piece, &mut words)).is_err() {
                return;
            }
        }
    }

    fn stage(&self, piece: &Piece, words: &mut Vec<u32>) -> Result<Staged, GpuError> {
        let (gpu, matrix) = (self.gpu, self.matrices[piece.matrix]);
        let (row_bytes, row_words) = (matrix.row_bytes(), matrix.row.words);
        let bytes = &self.bytes[piece.matrix][piece.first * row_bytes..][..piece.rows * row_bytes];
        words.clear();
        words.resize(piece.rows * row_words, 0);
        let mut packer = RowPacker::new(matrix.layout, matrix.cols);
        for (bytes, words) in bytes.chunks_exact(row_bytes).zip(words.chunks_exact_mut(row_words)) {
            packer.pack(bytes, words);
        }
        let (part, row) = (piece.first / matrix.data.units_per_part, piece.first % matrix.data.units_per_part);
        let (to, at) = (&matrix.data.parts[part].raw, 4 * (row * row_words) as u64);
        let staged: &[u8] = bytemuck::cast_slice(words);
        if let Some(size) = wgpu::BufferSize::new(staged.len() as u64) {
            let mut view = gpu.queue.write_buffer_with(to, at, size).ok_or_else(|| match gpu.check() {
                Err(error) => error,
                Ok(()) => gpu.failed(format!("there is no staging memory for {} bytes of weights", staged.len())),
            })?;
            view.copy_from_slice(staged);
        }
        let largest = magnitude::bound(&matrix.layout, bytes);
        Ok(Staged { matrix: piece.matrix, file_bytes: bytes.len() as u64, staged: staged.len(), largest })
    }

    /// Gives the device what is staged, and room when it is done with it. The largest magnitude of every matrix.
    fn watch(
        &self,
        room: &Room,
        staged: &Receiver<Result<Staged, GpuError>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<f32>, GpuError> {
        let gpu = self.gpu;
        let mut largest = vec![0.0_f32; self.matrices.len()];
        let mut pending = 0;
        loop {
            let more = staged.recv_timeout(PAUSE);
            let ended = matches!(more, Err(RecvTimeoutError::Disconnected));
            let mut idle = matches!(more, Err(RecvTimeoutError::Timeout));
            if let Ok(piece) = more {
                let piece = piece?;
                largest[piece.matrix] = largest[piece.matrix].max(piece.largest);
                pending += piece.staged;
                progress(piece.file_bytes);
                idle = pending >= SUBMIT;
            }
            if pending > 0 && (idle || ended) {
                gpu.queue.submit([]);
                let (room, bytes) = (room.clone(), pending);
                gpu.queue.on_submitted_work_done(move || room.give(bytes));
                pending = 0;
            }
            if ended {
                gpu.wait()?;
                return Ok(largest);
            }
            // A lost device says so in the check.
            let _ = gpu.device.poll(PollType::Poll);
            gpu.check()?;
        }
    }
}

/// Bytes that are staged and not yet copied.
#[derive(Clone, Default)]
struct Room {
    taken: std::sync::Arc<(Mutex<usize>, Condvar)>,
}

impl Room {
    /// Waits until `bytes` may be staged; at least one piece may, whatever its size.
    fn take(&self, bytes: usize) {
        let (taken, changed) = &*self.taken;
        let fits = |taken: &mut usize| *taken > 0 && *taken + bytes > IN_FLIGHT;
        let mut taken = changed.wait_while(lock(taken), fits).unwrap_or_else(|e| e.into_inner());
        *taken += bytes;
    }

    fn give(&self, bytes: usize) {
        let (taken, changed) = &*self.taken;
        let mut taken = lock(taken);
        *taken = taken.saturating_sub(bytes);
        changed.notify_all();
    }
}
