//! Compiled pipelines, by variant, and their cache on disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use turbo_wgsl::{Access, Kernel, ParamsMode, Variant};
use wgpu::{BindGroupLayout, BindGroupLayoutEntry, BindingType, BufferBindingType, ShaderRuntimeChecks, ShaderStages};

use crate::disk;
use crate::error::GpuError;
use crate::gpu::{Gpu, lock, one_line};

/// A compiled variant.
#[derive(Debug)]
pub struct Pipeline {
    pub(crate) raw: wgpu::ComputePipeline,
    /// Layout of the storage buffers.
    pub(crate) layout: BindGroupLayout,
    pub(crate) variant: &'static Variant,
}

/// All pipelines of a device.
#[derive(Debug)]
pub(crate) struct Pipelines {
    made: Mutex<HashMap<usize, Arc<Pipeline>>>,
    /// Locked while a variant is compiled.
    making: Mutex<HashMap<usize, Arc<Mutex<()>>>>,
    checked: bool,
    /// Layout of group 1, where params come from a uniform buffer.
    ring_layout: Option<BindGroupLayout>,
    cache: Option<wgpu::PipelineCache>,
    file: Option<PathBuf>,
    /// Whether something was compiled that the file does not have.
    grown: AtomicBool,
}

impl Pipelines {
    pub(crate) fn new(
        device: &wgpu::Device,
        info: &wgpu::AdapterInfo,
        cache_dir: Option<&Path>,
        checked: bool,
        ring_layout: Option<BindGroupLayout>,
    ) -> Self {
        let supported = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        let file = cache_dir.filter(|_| supported).and_then(|dir| disk::file(dir, info));
        let cache = file.as_deref().map(|file| disk::load(device, file));
        Self {
            made: Mutex::default(),
            making: Mutex::default(),
            checked,
            ring_layout,
            cache,
            file,
            grown: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(
        &self,
        gpu: &Gpu,
        kernel: &'static Kernel,
        variant: &'static Variant,
    ) -> Result<Arc<Pipeline>, GpuError> {
        // Variants are statics: their address is their identity.
        let key = std::ptr::from_ref(variant).addr();
        if let Some(pipeline) = lock(&self.made).get(&key) {
            return Ok(pipeline.clone());
        }
        if let Some(unmet) = gpu.capabilities().unmet(variant) {
            let (device, kernel) = (gpu.name().to_owned(), variant.label.to_owned());
            return Err(GpuError::Unsupported { device, kernel, unmet });
        }
        // Of several threads that want it, one compiles.
        let one = lock(&self.making).entry(key).or_default().clone();
        let _making = lock(&one);
        if let Some(pipeline) = lock(&self.made).get(&key) {
            return Ok(pipeline.clone());
        }
        let (pipeline, error) = gpu.scoped(|| self.compile(&gpu.device, kernel, variant));
        if let Some(error) = error {
            let (device, kernel) = (gpu.name().to_owned(), variant.label.to_owned());
            return Err(GpuError::Pipeline { device, kernel, reason: one_line(&error) });
        }
        gpu.check()?;
        self.grown.store(true, Ordering::Relaxed);
        let pipeline = Arc::new(pipeline);
        lock(&self.made).insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, device: &wgpu::Device, kernel: &'static Kernel, variant: &'static Variant) -> Pipeline {
        let mode = if self.ring_layout.is_some() { ParamsMode::Uniform } else { ParamsMode::Immediate };
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(variant.label),
            source: wgpu::ShaderSource::Wgsl(variant.source.text(mode).into()),
        };
        let module = if self.checked {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the text is a constant of this workspace, validated by its build. Its loops end (they count to
            // constants or params), its divisors are constants or params that host wrappers refuse to be zero, and its
            // indices come from the grid, from constants and from params, which host wrappers hold to the sizes of
            // the bound buffers.
            unsafe { device.create_shader_module_trusted(descriptor, ShaderRuntimeChecks::unchecked()) }
        };
        let layout = storage_layout(device, variant);
        let groups = [Some(&layout), self.ring_layout.as_ref()];
        let immediate_size = if self.ring_layout.is_some() { 0 } else { kernel.params_bytes };
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(variant.label),
            bind_group_layouts: if self.ring_layout.is_some() { &groups } else { &groups[..1] },
            immediate_size,
        });
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(variant.label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: variant.overrides,
                // Kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: false,
            },
            cache: self.cache.as_ref(),
        });
        Pipeline { raw, layout, variant }
    }

    pub(crate) fn save(&self) {
        let (Some(cache), Some(file)) = (&self.cache, &self.file) else { return };
        if self.grown.swap(false, Ordering::Relaxed)
            && let Some(data) = cache.get_data()
            && let Err(error) = disk::save(file, &data)
        {
            tracing::warn!("compiled kernels were not kept in {}: {error}", file.display());
        }
    }
}

fn storage_layout(device: &wgpu::Device, variant: &Variant) -> BindGroupLayout {
    let entries: Vec<BindGroupLayoutEntry> = variant
        .bindings
        .iter()
        .map(|b| BindGroupLayoutEntry {
            binding: b.index,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: BufferBindingType::Storage { read_only: b.access == Access::Read },
                has_dynamic_offset: false,
                min_binding_size: std::num::NonZeroU64::new(b.min_bytes.into()),
            },
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(variant.label), entries: &entries })
}
