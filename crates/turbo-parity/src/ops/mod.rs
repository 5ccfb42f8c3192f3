//! Norms, rotary embedding, activations.

pub(crate) mod add_scaled;
pub(crate) mod embed;
pub(crate) mod embed_float;
pub(crate) mod gated_act;
pub(crate) mod gated_codes;
pub(crate) mod norm_codes;
pub(crate) mod norm_rope;
pub(crate) mod quantise;
pub(crate) mod rms_norm;
pub(crate) mod rms_norm_in_place;
pub(crate) mod rope;
pub(crate) mod scale;
pub(crate) mod select_rows;
pub(crate) mod soft_cap;
