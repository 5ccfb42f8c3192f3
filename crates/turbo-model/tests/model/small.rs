//! A small made-up model whose metadata and tensors a test can change.

use turbo_backend::plan::Plan;
use turbo_gguf::write::{NewTensor, gguf_bytes};
use turbo_gguf::{GgmlType, GgufFile, Value};
use turbo_model::{ModelError, build_plan};

/// Metadata and tensors (name, shape, type, bytes) of a file to be.
pub(crate) struct Small {
    architecture: &'static str,
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, Vec<u64>, GgmlType, Vec<u8>)>,
}

impl Small {
    /// Width 64, 4 heads of 16 on 2 K/V heads, feed-forward 48, 32 token ids, context 128.
    pub(crate) fn new(architecture: &'static str, n_layers: u32) -> Self {
        let mut small = Self { architecture, metadata: Vec::new(), tensors: Vec::new() };
        small.metadata.push(("general.architecture".into(), Value::String(architecture.into())));
        for (suffix, value) in [
            ("block_count", n_layers),
            ("context_length", 128),
            ("embedding_length", 64),
            ("feed_forward_length", 48),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            small = small.with(suffix, Value::U32(value));
        }
        small = small.with("attention.layer_norm_rms_epsilon", Value::F32(1e-5));
        small = small.tensor("token_embd.weight", &[64, 32]).tensor("output_norm.weight", &[64]);
        for layer in 0..n_layers {
            for (name, shape) in [
                ("attn_norm", &[64][..]),
                ("attn_q", &[64, 64]),
                ("attn_k", &[64, 32]),
                ("attn_v", &[64, 32]),
                ("attn_output", &[64, 64]),
                ("ffn_norm", &[64]),
                ("ffn_gate", &[64, 48]),
                ("ffn_up", &[64, 48]),
                ("ffn_down", &[48, 64]),
            ] {
                small = small.tensor(&format!("blk.{layer}.{name}.weight"), shape);
            }
        }
        small
    }

    /// Sets a key of the architecture.
    pub(crate) fn with(mut self, suffix: &str, value: Value) -> Self {
        self = self.without(suffix);
        self.metadata.push((format!("{}.{suffix}", self.architecture), value));
        self
    }

    /// Sets a key by its whole name.
    pub(crate) fn with_key(mut self, key: &str, value: Value) -> Self {
        self.metadata.push((key.into(), value));
        self
    }

    /// Removes a key of the architecture.
    pub(crate) fn without(mut self, suffix: &str) -> Self {
        let key = format!("{}.{suffix}", self.architecture);
        self.metadata.retain(|(k, _)| *k != key);
        self
    }

    /// Adds or replaces a tensor of zeros.
    pub(crate) fn tensor(self, name: &str, shape: &[u64]) -> Self {
        let len = shape.iter().product::<u64>() as usize;
        self.bytes(name, shape, GgmlType::F32, vec![0; 4 * len])
    }

    /// Adds or replaces an F32 vector.
    pub(crate) fn vector(self, name: &str, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(name, &[values.len() as u64], GgmlType::F32, bytes)
    }

    /// Adds or replaces a tensor.
    pub(crate) fn bytes(mut self, name: &str, shape: &[u64], ty: GgmlType, bytes: Vec<u8>) -> Self {
        self = self.drop_tensor(name);
        self.tensors.push((name.into(), shape.into(), ty, bytes));
        self
    }

    /// Removes a tensor.
    pub(crate) fn drop_tensor(mut self, name: &str) -> Self {
        self.tensors.retain(|(n, ..)| n != name);
        self
    }

    /// The file, in memory.
    pub(crate) fn file(&self) -> GgufFile {
        let tensors: Vec<_> =
            self.tensors.iter().map(|(name, shape, ty, bytes)| NewTensor { name, shape, ty: *ty, bytes }).collect();
        let bytes = gguf_bytes(&self.metadata, &tensors).expect("the writer takes the small model");
        GgufFile::from_vec("small.gguf", bytes).expect("the reader takes what the writer wrote")
    }

    /// The plan, which must exist.
    pub(crate) fn plan(&self) -> Plan {
        self.try_plan().expect("the small model has a plan")
    }

    /// The message with which the plan is refused.
    pub(crate) fn refusal(&self) -> String {
        self.try_plan().expect_err("the small model is refused").to_string()
    }

    fn try_plan(&self) -> Result<Plan, ModelError> {
        build_plan(&self.file())
    }
}
