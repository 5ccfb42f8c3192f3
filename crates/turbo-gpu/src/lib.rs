//! The GPU backend on wgpu: Vulkan, Metal, DX12 and GL.
//!
//! [`adapters`] lists the GPUs of a machine, [`find`] picks one, [`Gpu::open`] opens it. A [`Gpu`] has buffers
//! ([`Gpu::buffer`], [`Gpu::split_buffer`]) and compiled pipelines; a [`Recorder`] puts many dispatches into one
//! pass. What a kernel needs and the device lacks is an error, never a silent substitute.

mod adapters;
pub mod attention;
pub mod bench;
mod buffer;
mod cache;
mod capabilities;
mod device_memory;
mod disk;
mod engine;
mod error;
mod gpu;
mod kernels;
pub mod kv;
pub mod matmul;
mod memory;
pub mod ops;
mod pipelines;
mod recorder;
mod ring;
pub mod sampling;
mod tally;
mod timing;
pub mod turn;
pub mod weights;

pub use adapters::{Adapter, Automatic, Description, adapters, automatic, choose, find, usable_adapters};
pub use buffer::{Bind, Buffer, ReadBack, SplitBuffer};
pub use capabilities::{Capabilities, CoopMatrix, SubgroupSizes, Timestamps};
pub use device_memory::DeviceMemory;
pub use disk::default_cache_dir;
pub use engine::{GpuBackend, GpuEngine};
pub use error::GpuError;
pub use gpu::{Gpu, GpuOptions};
pub use kernels::Kernels;
pub use pipelines::Pipeline;
pub use recorder::{Grid, Recorder, Submission, Times};
