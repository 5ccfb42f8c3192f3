//! `turbo-wgpu serve`
