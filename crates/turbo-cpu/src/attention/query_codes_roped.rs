//! Twin of `wgsl/kernels/attention/query_codes_roped.wgsl`: class Bounded for norm and rotation, Exact behind them.

use turbo_quant::KvType;
use turbo_quant::kv::Fault;

use super::query_codes::{QueryCodes, query_codes};
use crate::kv::kv_encode_roped::Turn;

/// Codes of every query head of `x`, `heads` of `head_dim` values to a token, after norm and rotation, for keys of
/// `k_type`; `scale` is the factor on q . k. A head with inf or nan is a [`Fault`].
pub fn query_codes_roped(
    (k_type, scale): (KvType, f32),
    turn: &Turn<'_>,
    x: &[f32],
    (heads, head_dim): (usize, usize),
) -> Vec<Result<QueryCodes, Fault>> {
    let mut x = x.to_vec();
    turn.apply(&mut x, heads, head_dim);
    x.chunks_exact(head_dim).map(|head| query_codes(k_type, scale, head)).collect()
}
