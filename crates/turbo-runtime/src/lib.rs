//! Sequences, scheduler, KV blocks, sampling: the public Rust API of the engine.
