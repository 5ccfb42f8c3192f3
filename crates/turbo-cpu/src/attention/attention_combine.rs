//! Twin of `wgsl/kernels/attention/attention_combine.wgsl`: class Exact. `docs/exact-attention.md`, sections 9 and 10.

use turbo_backend::SideLayout;
use turbo_quant::kv::block_shift;
use turbo_quant::turbo::rotate::{Direction, rotate_head};

use super::attention_decode::width;
use super::exact::exp2::exp2;
use super::exact::fold::Denominator;
use super::exact::score::sink;
use super::exact::state::State;

/// The output head of `partials`, those of the chunks in order, over values of `layout`; `logit` is that of the sink.
pub(super) fn combine(layout: &SideLayout, partials: impl Iterator<Item = State>, logit: Option<f32>, out: &mut [f32]) {
    let sizes = layout.kv_type.scale_block_sizes(layout.head_dim);
    let mut total = State::empty(layout.head_dim, sizes.len());
    for partial in partials {
        total.fold(&partial, &sizes);
    }
    if let Some(logit) = logit {
        let power = exp2(sink(logit));
        total.denominator = total.denominator.fold(Denominator { l: power.mantissa, e: power.exponent });
    }
    let shifts: Vec<i32> = sizes.iter().map(|&n| block_shift(layout.kv_type, n)).collect();
    total.output(width(layout.kv_type).bits, &sizes, &shifts, out);
    rotate_head(out, Direction::Inverse);
}
