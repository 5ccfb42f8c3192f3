//! Allocating GPU memory and moving data in and out.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use wgpu::{BufferDescriptor, BufferUsages, MapMode, PollType};

use crate::buffer::{Buffer, ReadBack, SplitBuffer};
use crate::error::GpuError;
use crate::gpu::{Gpu, one_line};
use crate::recorder::Submission;
use crate::tally::{self, Kind, Tally};

/// Bytes uploaded before the device is given time to free its staging memory.
const UPLOAD_STEP: usize = 32 << 20;

/// Bytes of memory for `bytes` bytes: whole vectors of four words, and never empty, for neither can be bound.
fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(16).max(16)
}

impl Gpu {
    /// Where memory that is taken now is counted.
    fn tally_now(&self) -> Arc<Tally> {
        tally::measured().unwrap_or_else(|| Arc::clone(&self.tally))
    }

    fn allocate(&self, label: &str, bytes: u64, usage: BufferUsages) -> Result<wgpu::Buffer, GpuError> {
        let out_of_memory = |reason: String| GpuError::OutOfMemory {
            device: self.name().to_owned(),
            what: label.to_owned(),
            bytes,
            reason,
        };
        let limit = self.capabilities().max_buffer_bytes;
        if bytes > limit {
            return Err(out_of_memory(format!("one buffer holds at most {limit} bytes here")));
        }
        if tally::measured().is_some() {
            return Ok(self.placeholder.clone());
        }
        let size = padded(bytes);
        let descriptor = BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let (raw, error) = self.scoped(|| self.device.create_buffer(&descriptor));
        // A lost device reports nothing else.
        self.check()?;
        error.map_or(Ok(raw), |e| Err(out_of_memory(one_line(&e))))
    }

    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// Too little memory.
    pub fn buffer<T: Pod>(&self, label: &str, len: usize) -> Result<Buffer<T>, GpuError> {
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        let raw = self.allocate(label, bytes, Buffer::<T>::USAGES)?;
        let taken = self.tally_now().take(padded(bytes));
        Ok(Buffer::from_raw(raw, len, self.dropped.clone(), taken))
    }

    /// A buffer with the values of `data`.
    ///
    /// # Errors
    /// Too little memory; a failing device.
    pub fn upload<T: Pod>(&self, label: &str, data: &[T]) -> Result<Buffer<T>, GpuError> {
        let buffer = self.buffer(label, data.len())?;
        self.write(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Overwrites the values from `first` on. Takes effect before work that is submitted later.
    ///
    /// # Errors
    /// Values beyond the end or not at a multiple of four bytes; a failing device.
    pub fn write<T: Pod>(&self, buffer: &Buffer<T>, first: usize, data: &[T]) -> Result<(), GpuError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let offset = first * size_of::<T>();
        if first + data.len() > buffer.len() || !offset.is_multiple_of(4) {
            return Err(self.call(
                "write",
                format!(
                    "{} values from {first} do not fit a buffer of {}, or not on four bytes",
                    data.len(),
                    buffer.len()
                ),
            ));
        }
        if tally::measured().is_some() {
            return Ok(());
        }
        let mut at = offset as u64;
        for part in bytes.chunks(UPLOAD_STEP) {
            let whole = part.len() & !3;
            self.queue.write_buffer(&buffer.raw, at, &part[..whole]);
            if whole < part.len() {
                // The buffer is a multiple of 16 bytes: its last word is ours.
                let mut word = [0; 4];
                word[..part.len() - whole].copy_from_slice(&part[whole..]);
                self.queue.write_buffer(&buffer.raw, at + whole as u64, &word);
            }
            at += part.len() as u64;
            if bytes.len() > UPLOAD_STEP {
                self.queue.submit([]);
                self.device.poll(PollType::wait_indefinitely()).map_err(|e| self.failed(e.to_string()))?;
            }
        }
        self.check()
    }

    /// Room for `units` units of `unit_bytes` each, in as few buffers as bindings allow.
    ///
    /// # Errors
    /// A unit larger than a binding or not a multiple of four bytes; too little memory.
    pub fn split_buffer(
        &self,
        label: &str,
        unit: &str,
        units: usize,
        unit_bytes: usize,
    ) -> Result<SplitBuffer, GpuError> {
        let limit = self.capabilities().max_binding_bytes;
        if unit_bytes == 0 || !unit_bytes.is_multiple_of(4) {
            return Err(
                self.call("split_buffer", format!("{label}: a {unit} of {unit_bytes} bytes is not whole words"))
            );
        }
        let units_per_part = usize::try_from(limit / unit_bytes as u64).unwrap_or(usize::MAX).min(units.max(1));
        if units_per_part == 0 {
            return Err(GpuError::TooLarge {
                what: label.to_owned(),
                unit: unit.to_owned(),
                bytes: unit_bytes as u64,
                device: self.name().to_owned(),
                limit,
            });
        }
        let mut parts = Vec::new();
        for first in (0..units.max(1)).step_by(units_per_part) {
            let here = units_per_part.min(units - first.min(units));
            parts.push(self.buffer(&format!("{label}.{}", parts.len()), here * unit_bytes / 4)?);
        }
        Ok(SplitBuffer { parts, units_per_part, units, unit_bytes })
    }

    /// Overwrites whole units from `first` on.
    ///
    /// # Errors
    /// Bytes beyond the end or not whole units; a failing device.
    pub fn write_units(&self, to: &SplitBuffer, first: usize, data: &[u8]) -> Result<(), GpuError> {
        if !data.len().is_multiple_of(to.unit_bytes) || first + data.len() / to.unit_bytes > to.units {
            return Err(self.call(
                "write_units",
                format!(
                    "{} bytes from unit {first} are not whole units of {} bytes, or beyond the last of {}",
                    data.len(),
                    to.unit_bytes,
                    to.units
                ),
            ));
        }
        let mut unit = first;
        let mut rest = data;
        while !rest.is_empty() {
            let (part, at) = (unit / to.units_per_part, unit % to.units_per_part);
            let here = (to.units_per_part - at).min(rest.len() / to.unit_bytes);
            let (now, later) = rest.split_at(here * to.unit_bytes);
            // Bytes of a file may lie anywhere in memory; words of ours are taken as they are.
            let first = at * to.unit_bytes / 4;
            match bytemuck::try_cast_slice(now) {
                Ok(words) => self.write(&to.parts[part], first, words)?,
                Err(_) => self.write(&to.parts[part], first, &bytemuck::pod_collect_to_vec::<u8, u32>(now))?,
            }
            unit += here;
            rest = later;
        }
        Ok(())
    }

    /// Memory for results of `len` values.
    ///
    /// # Errors
    /// Too little memory.
    pub fn read_back<T: Pod>(&self, label: &str, len: usize) -> Result<ReadBack<T>, GpuError> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let raw = self.allocate(label, (len * size_of::<T>()) as u64, usage)?;
        let _taken = self.tally_now().take_as(Kind::Host, raw.size());
        Ok(ReadBack { raw, len, _taken, of: PhantomData })
    }

    /// The values that `submission` copies to `from`, once it is done.
    ///
    /// # Errors
    /// A failing device.
    pub fn read<T: Pod>(&self, from: &ReadBack<T>, submission: &Submission) -> Result<Vec<T>, GpuError> {
        if from.is_empty() {
            return Ok(Vec::new());
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        from.raw.map_async(MapMode::Read, .., move |result| {
            // The receiver is gone only if the wait below failed.
            let _ = sender.send(result);
        });
        self.wait_for(submission)?;
        match receiver.try_recv() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(self.failed(one_line(&e))),
            Err(_) => return Err(self.failed("results could not be mapped")),
        }
        let bytes = from.raw.get_mapped_range(..).map_err(|e| self.failed(one_line(&e)))?;
        let values = bytemuck::pod_collect_to_vec(&bytes[..from.len * size_of::<T>()]);
        drop(bytes);
        from.raw.unmap();
        Ok(values)
    }

    /// The values of `range`, once all submitted work is done.
    ///
    /// # Errors
    /// A range beyond the end or not on four bytes; a failing device.
    pub fn download<T: Pod>(&self, buffer: &Buffer<T>, range: Range<usize>) -> Result<Vec<T>, GpuError> {
        let to = self.read_back("download", range.len())?;
        let mut recorder = self.recorder("download");
        recorder.copy_out(buffer, range, &to)?;
        let submission = recorder.submit()?;
        self.read(&to, &submission)
    }

    pub(crate) fn call(&self, kernel: &str, reason: impl Into<String>) -> GpuError {
        GpuError::Call { kernel: kernel.to_owned(), reason: reason.into() }
    }
}
