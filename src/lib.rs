//! turbo-wgpu as a library: re-exports.
