//! Bind groups, made once for a pipeline and the buffers it works on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::buffer::Bind;
use crate::pipelines::Pipeline;

/// A buffer's id, offset and size.
type Part = (u64, u64, u64);

/// Bind groups by variant and bound parts.
#[derive(Debug, Default)]
pub(crate) struct BindGroups {
    made: HashMap<(usize, Vec<Part>), Arc<wgpu::BindGroup>>,
}

impl BindGroups {
    /// Forgets what was made for buffers that are gone; their memory is free from then on.
    pub(crate) fn forget(&mut self, dropped: &[u64]) {
        if !dropped.is_empty() {
            self.made.retain(|(_, parts), _| !parts.iter().any(|(id, ..)| dropped.contains(id)));
        }
    }

    pub(crate) fn get(
        &mut self,
        device: &wgpu::Device,
        pipeline: &Pipeline,
        binds: &[Bind<'_>],
    ) -> Arc<wgpu::BindGroup> {
        let key = (
            std::ptr::from_ref(pipeline.variant).addr(),
            binds.iter().map(|b| (b.id, b.offset, b.bytes)).collect::<Vec<_>>(),
        );
        self.made.entry(key).or_insert_with(|| Arc::new(make(device, pipeline, binds))).clone()
    }
}

fn make(device: &wgpu::Device, pipeline: &Pipeline, binds: &[Bind<'_>]) -> wgpu::BindGroup {
    let entries: Vec<wgpu::BindGroupEntry<'_>> = binds
        .iter()
        .zip(pipeline.variant.bindings)
        .map(|(bind, binding)| wgpu::BindGroupEntry {
            binding: binding.index,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: bind.raw,
                offset: bind.offset,
                size: std::num::NonZeroU64::new(bind.bytes),
            }),
        })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(pipeline.variant.label),
        layout: &pipeline.layout,
        entries: &entries,
    })
}
