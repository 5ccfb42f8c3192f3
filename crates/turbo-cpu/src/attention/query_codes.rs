//! Twin of `wgsl/kernels/attention/query_codes.wgsl`: class Exact. `docs/exact-attention.md`, section 5.

use turbo_quant::KvType;
use turbo_quant::kv::{Fault, quantize_query};

/// A query head for coded keys.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryCodes {
    /// Integers of the rotated head.
    pub codes: Vec<i16>,
    /// Factor of every scale block of K.
    pub mults: Vec<f32>,
}

/// Codes of the query head `query` (after rope, not rotated) for keys of `k_type`; `scale` is the factor on q . k.
///
/// # Errors
/// [`Fault::NonFinite`] when the query holds inf or nan.
pub fn query_codes(k_type: KvType, scale: f32, query: &[f32]) -> Result<QueryCodes, Fault> {
    let d = query.len();
    let mut codes = vec![0; d];
    let quantized = quantize_query(query, k_type == KvType::Q8_0, &mut codes, &mut vec![0.0; d])?;
    let scale_log2 = (f64::from(scale) * std::f64::consts::LOG2_E) as f32;
    let sizes = k_type.scale_block_sizes(d);
    let mults = sizes.iter().map(|&n| quantized.score_mult(scale_log2, k_type, n)).collect();
    Ok(QueryCodes { codes, mults })
}
