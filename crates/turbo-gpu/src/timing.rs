//! Times of single dispatches, by the device's clock.

use std::marker::PhantomData;

use wgpu::{BufferUsages, QuerySet, QueryType};

use crate::buffer::ReadBack;
use crate::capabilities::Timestamps;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::tally::Kind;

/// Timestamps in one query set.
const PER_SET: u32 = 4096;

/// Where the two timestamps of a dispatch go.
pub(crate) enum Timed {
    /// Before and after it, inside its pass.
    Between { set: QuerySet, index: u32 },
    /// To both ends of a pass of its own.
    Pass { set: QuerySet, index: u32 },
}

/// Timestamps of the dispatches of a recorder.
pub(crate) struct Timing {
    inside: bool,
    labels: Vec<&'static str>,
    sets: Vec<QuerySet>,
    resolved: Vec<ReadBack<u64>>,
    staging: Vec<wgpu::Buffer>,
}

impl Timing {
    pub(crate) fn new(gpu: &Gpu) -> Result<Self, GpuError> {
        let inside = match gpu.capabilities().timestamps {
            Timestamps::Dispatches => true,
            Timestamps::Passes => false,
            Timestamps::None => {
                return Err(GpuError::Unsupported {
                    device: gpu.name().to_owned(),
                    kernel: "timing".to_owned(),
                    unmet: "it has no timestamps".to_owned(),
                });
            }
        };
        Ok(Self { inside, labels: Vec::new(), sets: Vec::new(), resolved: Vec::new(), staging: Vec::new() })
    }

    /// Room for the two timestamps of the next dispatch.
    pub(crate) fn next(&mut self, gpu: &Gpu, label: &'static str) -> Timed {
        let (set, index) = self.room(gpu, label);
        if self.inside { Timed::Between { set, index } } else { Timed::Pass { set, index } }
    }

    /// Room for the two timestamps of the next pass.
    pub(crate) fn next_pass(&mut self, gpu: &Gpu, label: &'static str) -> Timed {
        let (set, index) = self.room(gpu, label);
        Timed::Pass { set, index }
    }

    fn room(&mut self, gpu: &Gpu, label: &'static str) -> (QuerySet, u32) {
        let at = 2 * self.labels.len() as u32;
        self.labels.push(label);
        let set = match self.sets.get((at / PER_SET) as usize) {
            Some(set) => set.clone(),
            None => {
                let descriptor =
                    wgpu::QuerySetDescriptor { label: Some("timing"), ty: QueryType::Timestamp, count: PER_SET };
                let set = gpu.device.create_query_set(&descriptor);
                self.sets.push(set.clone());
                self.prepare(gpu);
                set
            }
        };
        (set, at % PER_SET)
    }

    /// Buffers for the values of the newest set.
    fn prepare(&mut self, gpu: &Gpu) {
        let size = u64::from(PER_SET) * 8;
        let buffer = |usage| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timing"),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        self.staging.push(buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC));
        let raw = buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let _taken = gpu.tally.take_as(Kind::Host, size);
        self.resolved.push(ReadBack { raw, len: PER_SET as usize, _taken, of: PhantomData });
    }

    /// Adds the copies that bring the timestamps out.
    pub(crate) fn resolve(&mut self, encoder: &mut wgpu::CommandEncoder) {
        let mut left = 2 * self.labels.len() as u32;
        for ((set, staging), resolved) in self.sets.iter().zip(&self.staging).zip(&self.resolved) {
            let here = left.min(PER_SET);
            encoder.resolve_query_set(set, 0..here, staging, 0);
            encoder.copy_buffer_to_buffer(staging, 0, &resolved.raw, 0, u64::from(here) * 8);
            left -= here;
        }
    }

    /// Labels and nanoseconds, once the work is done.
    pub(crate) fn read(self, gpu: &Gpu) -> Result<Vec<(&'static str, f64)>, GpuError> {
        let mut ticks = Vec::new();
        for resolved in &self.resolved {
            ticks.extend(gpu.read(resolved)?);
        }
        let period = f64::from(gpu.queue.get_timestamp_period());
        let times = ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period);
        Ok(self.labels.into_iter().zip(times).collect())
    }
}
