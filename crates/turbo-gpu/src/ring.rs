//! Params in uniform buffers, for devices without immediates.

use std::num::NonZeroU64;
use std::sync::Arc;

use wgpu::{BindGroupLayout, BindingType, BufferBindingType, BufferUsages, ShaderStages};

/// Bytes of one page of params.
const PAGE_BYTES: u32 = 64 << 10;

/// Most bytes of one params struct; the build of turbo-wgsl holds all to it.
const PARAMS_BYTES: u64 = 128;

/// A uniform buffer that is filled with params, and its bind group.
#[derive(Debug)]
pub(crate) struct Page {
    buffer: wgpu::Buffer,
    pub(crate) group: Arc<wgpu::BindGroup>,
    bytes: Vec<u8>,
}

/// Pages that are not in use. A page comes back when its work is submitted: later writes are queued after that work.
#[derive(Debug)]
pub(crate) struct Ring {
    layout: BindGroupLayout,
    stride: usize,
    free: Vec<Page>,
}

impl Ring {
    pub(crate) fn new(device: &wgpu::Device, alignment: u32) -> Self {
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("params"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: ShaderStages::COMPUTE,
                ty: BindingType::Buffer {
                    ty: BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: None,
                },
                count: None,
            }],
        });
        Self { layout, stride: (PARAMS_BYTES as u32).next_multiple_of(alignment.max(1)) as usize, free: Vec::new() }
    }

    pub(crate) fn layout(&self) -> &BindGroupLayout {
        &self.layout
    }

    fn page(&mut self, device: &wgpu::Device) -> Page {
        self.free.pop().unwrap_or_else(|| {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("params"),
                size: PAGE_BYTES.into(),
                usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &buffer,
                offset: 0,
                size: NonZeroU64::new(PARAMS_BYTES),
            });
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("params"),
                layout: &self.layout,
                entries: &[wgpu::BindGroupEntry { binding: 0, resource }],
            });
            Page { buffer, group: Arc::new(group), bytes: Vec::with_capacity(PAGE_BYTES as usize) }
        })
    }

    /// Puts `params` on the last of `pages`, or on a new one; returns its bind group and the offset.
    pub(crate) fn push(
        &mut self,
        device: &wgpu::Device,
        pages: &mut Vec<Page>,
        params: &[u8],
    ) -> (Arc<wgpu::BindGroup>, u32) {
        let full = pages.last().is_none_or(|p| p.bytes.len() + self.stride > PAGE_BYTES as usize);
        if full {
            pages.push(self.page(device));
        }
        let last = pages.len() - 1;
        let page = &mut pages[last];
        let offset = page.bytes.len();
        page.bytes.extend_from_slice(params);
        page.bytes.resize(offset + self.stride, 0);
        (page.group.clone(), offset as u32)
    }

    /// Queues the writes of `pages`, before the work that reads them is submitted.
    pub(crate) fn write(queue: &wgpu::Queue, pages: &[Page]) {
        for page in pages {
            queue.write_buffer(&page.buffer, 0, &page.bytes);
        }
    }

    /// Takes pages back after their work was submitted.
    pub(crate) fn give_back(&mut self, pages: &mut Vec<Page>) {
        for page in pages.iter_mut() {
            page.bytes.clear();
        }
        self.free.append(pages);
    }
}
