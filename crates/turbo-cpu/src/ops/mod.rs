//! The simple per-token operations of a plan: norms, rotary embedding, activations. All are Bounded f32 work, and the
//! twins of the kernels in `wgsl/kernels/ops`.
//!
//! Every function works on rows of one token each and gives each row the same bits whatever the batch.

pub mod add_scaled;
pub mod embed;
pub mod embed_float;
mod exp;
mod gated_act;
pub mod gated_codes;
pub mod norm_codes;
pub mod norm_rope;
pub mod quantise;
mod rms_norm;
pub mod rms_norm_in_place;
mod rope;
pub mod scale;
pub mod select_rows;
mod simd;
mod soft_cap;

pub use gated_act::gated;
pub use rms_norm::{factors, rms_norm, rms_norm_to};
pub use rope::RopeAngles;
pub use soft_cap::soft_cap;
