//! The simple per-token operations of a plan: norms, rotary embedding, activations. All are Bounded f32 work.
//!
//! Every function works on rows of one token each and gives each row the same bits whatever the batch.

mod activation;
mod exp;
mod rms_norm;
mod rope;
mod simd;

pub(crate) use activation::{gated, soft_cap};
pub(crate) use rms_norm::{rms_norm, rms_norm_to};
pub(crate) use rope::RopeAngles;
