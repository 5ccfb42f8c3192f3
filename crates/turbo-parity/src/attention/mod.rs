//! Kernels of attention.

pub(crate) mod attention_combine;
pub(crate) mod attention_combine_codes;
pub(crate) mod attention_combine_f16;
pub(crate) mod attention_decode;
pub(crate) mod attention_decode_f16;
pub(crate) mod attention_prefill;
pub(crate) mod attention_prefill_f16;
pub(crate) mod attention_short;
mod case;
mod compare;
pub(crate) mod key_bias;
mod problem;
pub(crate) mod query_codes;
pub(crate) mod query_codes_roped;
mod stored;
mod twin;

pub use case::Case;
pub use key_bias::Rotation;
pub use problem::{Problem, Uploaded};
