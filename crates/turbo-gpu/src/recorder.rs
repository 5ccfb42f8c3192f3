//! Recording many dispatches into one pass.

use std::ops::Range;

use bytemuck::Pod;
use turbo_wgsl::{Bindings, Kernel, ParamsMode, Variant};

use crate::buffer::{Bind, Buffer, ReadBack};
use crate::error::GpuError;
use crate::gpu::{Gpu, lock};
use crate::pipelines::Pipeline;
use crate::ring::{Page, Ring};
use crate::timing::{Timed, Timing};

/// Workgroups of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Along x.
    pub x: u32,
    /// Along y.
    pub y: u32,
    /// Along z.
    pub z: u32,
}

impl Grid {
    /// `n` workgroups, in two dimensions beyond 65535: kernels find their place by `linear_workgroup` and leave out
    /// what lies beyond their data.
    pub const fn linear(n: u32) -> Self {
        const MAX: u32 = 65535;
        let y = n.div_ceil(MAX);
        if y <= 1 { Self { x: n, y: 1, z: 1 } } else { Self { x: n.div_ceil(y), y, z: 1 } }
    }

    /// One invocation for each of `n` items in workgroups of `size`.
    pub const fn items(n: u32, size: u32) -> Self {
        Self::linear(n.div_ceil(size))
    }
}

/// Labels of dispatches and the nanoseconds each took.
pub type Times = Vec<(&'static str, f64)>;

/// Work that was handed to the device.
#[derive(Clone, Debug)]
pub struct Submission(pub(crate) wgpu::SubmissionIndex);

/// A list of dispatches and copies, run in order by one submission.
///
/// Dispatches that follow each other share a pass; wgpu puts a barrier between two when the second uses a buffer that
/// the first writes.
pub struct Recorder<'a> {
    gpu: &'a Gpu,
    encoder: wgpu::CommandEncoder,
    pass: Option<wgpu::ComputePass<'static>>,
    /// The variant whose pipeline is set.
    current: Option<&'static Variant>,
    pages: Vec<Page>,
    timing: Option<Timing>,
    span: Span,
    /// The kernel whose dispatches alone are recorded.
    only: Option<&'static Kernel>,
    label: String,
    /// Takes the variants of dispatches in place of the device.
    listed: Option<Listed>,
}

/// Kernels and their variants.
pub(crate) type Listed = Vec<(&'static Kernel, &'static Variant)>;

/// Where the recorder is with a span of dispatches that are timed as one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    /// In none: every dispatch is timed by itself, if at all.
    None,
    /// Before its first dispatch.
    Empty(&'static str),
    /// After that.
    Open,
}

impl Gpu {
    /// An empty recorder; `label` is seen in traces.
    pub fn recorder(&self, label: &str) -> Recorder<'_> {
        let dropped = std::mem::take(&mut *lock(&self.dropped));
        lock(&self.groups).forget(&dropped);
        let encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) });
        let (pages, label) = (Vec::new(), label.to_owned());
        let (timing, span, only) = (None, Span::None, None);
        Recorder { gpu: self, encoder, pass: None, current: None, pages, timing, span, only, label, listed: None }
    }
}

impl<'a> Recorder<'a> {
    /// The device it records for.
    pub fn gpu(&self) -> &'a Gpu {
        self.gpu
    }

    /// Only notes which variants are dispatched.
    pub(crate) fn listing(mut self) -> Self {
        self.listed = Some(Vec::new());
        self
    }

    /// The variants that [`Recorder::listing`] has noted.
    pub(crate) fn into_listed(self) -> Listed {
        self.listed.unwrap_or_default()
    }

    /// Takes the time of every dispatch from here on; see [`Recorder::submit_timed`].
    ///
    /// # Errors
    /// The device has no timestamps.
    pub fn with_timing(mut self) -> Result<Self, GpuError> {
        self.timing = Some(Timing::new(self.gpu)?);
        Ok(self)
    }

    /// Leaves out the dispatches of all kernels but `kernel` from here on: for measuring one part of a call.
    pub fn only(mut self, kernel: &'static Kernel) -> Self {
        self.only = Some(kernel);
        self
    }

    /// Takes the time of all dispatches of `record` as one, called `label`; they have a pass of their own. Copies end
    /// the time. Needs [`Recorder::with_timing`].
    ///
    /// # Errors
    /// What `record` returns.
    pub fn span(
        &mut self,
        label: &'static str,
        record: impl FnOnce(&mut Self) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        self.end_pass();
        self.span = Span::Empty(label);
        let recorded = record(self);
        self.span = Span::None;
        self.end_pass();
        recorded
    }

    /// Where the timestamps of the next dispatch of a variant called `label` go.
    fn next_timed(&mut self, label: &'static str) -> Option<Timed> {
        let (timing, span) = (self.timing.as_mut()?, self.span);
        match span {
            Span::None => Some(timing.next(self.gpu, label)),
            Span::Empty(label) => {
                self.span = Span::Open;
                Some(timing.next_pass(self.gpu, label))
            }
            Span::Open => None,
        }
    }

    /// Adds a dispatch of `variant` over `grid` workgroups.
    ///
    /// # Errors
    /// A variant of another kernel, a binding too small or misaligned, an empty or too large grid, a pipeline that
    /// cannot be made.
    pub fn dispatch<'b, B: Bindings<Bind<'b>>>(
        &mut self,
        variant: &'static Variant,
        bindings: B,
        params: &B::Params,
        grid: Grid,
    ) -> Result<(), GpuError> {
        let gpu = self.gpu;
        if self.only.is_some_and(|kernel| !std::ptr::eq(kernel, B::KERNEL)) {
            return Ok(());
        }
        if !B::KERNEL.has(variant) {
            return Err(gpu.call(variant.label, format!("it is no variant of {}", B::KERNEL.name)));
        }
        let binds = bindings.in_order();
        check_call(gpu, variant, binds.as_ref(), grid)?;
        if let Some(listed) = &mut self.listed {
            listed.push((B::KERNEL, variant));
            return Ok(());
        }
        let pipeline = gpu.pipeline(B::KERNEL, variant)?;
        let group = lock(&gpu.groups).get(&gpu.device, &pipeline, binds.as_ref());
        let timed = self.next_timed(variant.label);
        if let Some(Timed::Pass { .. }) = &timed {
            self.end_pass();
        }
        self.set(&pipeline, &group, bytemuck::bytes_of(params), timed.as_ref());
        let pass = self.pass.as_mut().ok_or_else(|| gpu.failed("no pass is open"))?;
        if let Some(Timed::Between { set, index }) = &timed {
            pass.write_timestamp(set, *index);
        }
        pass.dispatch_workgroups(grid.x, grid.y, grid.z);
        if let Some(Timed::Between { set, index }) = &timed {
            pass.write_timestamp(set, *index + 1);
        }
        Ok(())
    }

    /// Sets pipeline, bind groups and params in the open pass, opening one if there is none.
    fn set(&mut self, pipeline: &Pipeline, group: &wgpu::BindGroup, params: &[u8], timed: Option<&Timed>) {
        let gpu = self.gpu;
        let (encoder, label) = (&mut self.encoder, &self.label);
        let pass = self.pass.get_or_insert_with(|| {
            let timestamp_writes = match timed {
                Some(Timed::Pass { set, index }) => Some(wgpu::ComputePassTimestampWrites {
                    query_set: set,
                    beginning_of_pass_write_index: Some(*index),
                    end_of_pass_write_index: Some(*index + 1),
                }),
                _ => None,
            };
            let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes };
            encoder.begin_compute_pass(&descriptor).forget_lifetime()
        });
        if !self.current.is_some_and(|v| std::ptr::eq(v, pipeline.variant)) {
            pass.set_pipeline(&pipeline.raw);
            self.current = Some(pipeline.variant);
        }
        pass.set_bind_group(0, group, &[]);
        match gpu.params_mode() {
            ParamsMode::Immediate => pass.set_immediates(0, params),
            ParamsMode::Uniform => {
                let (group, offset) = lock(&gpu.ring).push(&gpu.device, &mut self.pages, params);
                pass.set_bind_group(1, &*group, &[offset]);
            }
        }
    }

    fn end_pass(&mut self) {
        self.pass = None;
        self.current = None;
    }

    /// Adds a copy of `range` of `from` to the start of `to`.
    ///
    /// # Errors
    /// Values beyond an end, or not on four bytes.
    pub fn copy_out<T: Pod>(
        &mut self,
        from: &Buffer<T>,
        range: Range<usize>,
        to: &ReadBack<T>,
    ) -> Result<(), GpuError> {
        self.copy_words(from, range, to, 0)
    }

    /// Adds a copy of `range` of `from` to `to`, from its value `first` on; values of both are of one size.
    ///
    /// # Errors
    /// Values beyond an end, or not on four bytes.
    pub fn copy_words<T: Pod, U: Pod>(
        &mut self,
        from: &Buffer<T>,
        range: Range<usize>,
        to: &ReadBack<U>,
        first: usize,
    ) -> Result<(), GpuError> {
        if first + range.len() > to.len() || range.end > from.len() || size_of::<T>() != size_of::<U>() {
            let reason = format!(
                "values {range:?} of a buffer of {} do not fit {} from {first} on, or are of another size",
                from.len(),
                to.len()
            );
            return Err(self.gpu.call("copy_out", reason));
        }
        self.copy_raw("copy_out", (&from.raw, range.start), (&to.raw, first), range.len(), size_of::<T>())
    }

    /// Adds a copy of `range` of `from` to `to`, from value `first` on.
    ///
    /// # Errors
    /// Values beyond an end, or not on four bytes.
    pub fn copy<T: Pod>(
        &mut self,
        from: &Buffer<T>,
        range: Range<usize>,
        to: &Buffer<T>,
        first: usize,
    ) -> Result<(), GpuError> {
        if range.end > from.len() || first + range.len() > to.len() {
            let reason = format!(
                "values {range:?} of a buffer of {} do not fit a buffer of {} from {first}",
                from.len(),
                to.len()
            );
            return Err(self.gpu.call("copy", reason));
        }
        self.copy_raw("copy", (&from.raw, range.start), (&to.raw, first), range.len(), size_of::<T>())
    }

    fn copy_raw(
        &mut self,
        what: &str,
        from: (&wgpu::Buffer, usize),
        to: (&wgpu::Buffer, usize),
        len: usize,
        size: usize,
    ) -> Result<(), GpuError> {
        if ![from.1 * size, to.1 * size].iter().all(|at| at.is_multiple_of(4)) {
            return Err(self.gpu.call(what, "copies start at multiples of four bytes"));
        }
        // Buffers are padded to 16 bytes, so a last part of a word can come along.
        let bytes = ((len * size) as u64).next_multiple_of(4);
        if bytes > 0 {
            self.end_pass();
            self.encoder.copy_buffer_to_buffer(from.0, (from.1 * size) as u64, to.0, (to.1 * size) as u64, bytes);
        }
        Ok(())
    }

    /// Hands what is recorded so far to the device, which begins with it while more is recorded. Not while times are
    /// taken: those are read at the end.
    ///
    /// # Errors
    /// Something recorded is invalid; the device failed or was lost.
    pub fn flush(&mut self) -> Result<(), GpuError> {
        if self.timing.is_some() || self.listed.is_some() {
            return Ok(());
        }
        self.end_pass();
        let gpu = self.gpu;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some(&self.label) };
        let encoder = std::mem::replace(&mut self.encoder, gpu.device.create_command_encoder(&descriptor));
        Ring::write(&gpu.queue, &self.pages);
        gpu.queue.submit([encoder.finish()]);
        lock(&gpu.ring).give_back(&mut self.pages);
        gpu.check()
    }

    /// Hands everything to the device and returns without waiting; [`Gpu::read`] waits for it.
    ///
    /// # Errors
    /// Something recorded is invalid; the device failed or was lost.
    pub fn submit(self) -> Result<Submission, GpuError> {
        self.finish().map(|(submission, _)| submission)
    }

    /// Like [`Recorder::submit`], then waits: labels of the dispatches and the nanoseconds each took.
    ///
    /// # Errors
    /// As [`Recorder::submit`].
    pub fn submit_timed(self) -> Result<Times, GpuError> {
        self.submit_with_times().map(|(_, times)| times)
    }

    /// Like [`Recorder::submit_timed`], with what was submitted.
    pub(crate) fn submit_with_times(self) -> Result<(Submission, Times), GpuError> {
        let gpu = self.gpu;
        let (submission, timing) = self.finish()?;
        let times = timing.map_or(Ok(Vec::new()), |timing| timing.read(gpu, &submission))?;
        Ok((submission, times))
    }

    fn finish(mut self) -> Result<(Submission, Option<Timing>), GpuError> {
        self.end_pass();
        let Self { gpu, mut encoder, mut pages, mut timing, .. } = self;
        if let Some(timing) = &mut timing {
            timing.resolve(&mut encoder);
        }
        Ring::write(&gpu.queue, &pages);
        let submission = Submission(gpu.queue.submit([encoder.finish()]));
        lock(&gpu.ring).give_back(&mut pages);
        gpu.check()?;
        Ok((submission, timing))
    }
}

/// What wgpu would report only later and in its own words.
fn check_call(gpu: &Gpu, variant: &Variant, binds: &[Bind<'_>], grid: Grid) -> Result<(), GpuError> {
    let caps = gpu.capabilities();
    let refuse = |reason: String| Err(gpu.call(variant.label, reason));
    if [grid.x, grid.y, grid.z].iter().any(|&n| n == 0 || n > 65535) {
        return refuse(format!("a grid of {} x {} x {} workgroups is empty or too large", grid.x, grid.y, grid.z));
    }
    for (bind, binding) in binds.iter().zip(variant.bindings) {
        let name = binding.name;
        if bind.bytes < u64::from(binding.min_bytes) || bind.offset + bind.bytes > bind.raw.size() {
            let (bytes, size) = (bind.bytes, bind.raw.size());
            return refuse(format!("{name}: {bytes} bytes from {} of a buffer of {size} cannot be bound", bind.offset));
        }
        if bind.bytes > caps.max_binding_bytes || !bind.offset.is_multiple_of(caps.storage_alignment.into()) {
            let (limit, alignment) = (caps.max_binding_bytes, caps.storage_alignment);
            return refuse(format!(
                "{name}: {} bytes from {} where at most {limit} at multiples of {alignment} can be bound",
                bind.bytes, bind.offset
            ));
        }
    }
    Ok(())
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("label", &self.label).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn large_grids_have_two_dimensions() {
        assert_eq!(Grid::linear(65535), Grid { x: 65535, y: 1, z: 1 });
        assert_eq!(Grid::linear(65536), Grid { x: 32768, y: 2, z: 1 });
        assert_eq!(Grid::items(64 * 65535 + 1, 64), Grid { x: 32768, y: 2, z: 1 });
        for n in [1, 70_001, 1 << 24, 65535 * 65535] {
            let grid = Grid::linear(n);
            assert!(grid.x <= 65535 && grid.y <= 65535 && u64::from(grid.x) * u64::from(grid.y) >= u64::from(n));
        }
    }
}
