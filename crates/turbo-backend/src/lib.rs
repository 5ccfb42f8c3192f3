//! What a backend implements: plan steps, KV cache layouts, batches and the Backend trait.
