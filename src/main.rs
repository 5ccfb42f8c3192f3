//! The turbo-wgpu command.
fn main() {}
