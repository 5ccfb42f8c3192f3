//! The plain twin of the integer products, and the arithmetic that every level repeats.
//!
//! For weight row `w` and token row `x`, with blocks `b` of 32 columns:
//! ```text
//! dot[b]   = sum of w.codes * x.codes over the block, an exact integer
//! t        = dot[b] * w.scale[b]                          (one scale for the block), or
//!            fma(dot_high[b], w.high[b], dot_low[b] * w.low[b])       (one for each half)
//! t        = fma(-w.min[b], sum of x.codes, t)            (types with mins, for each half in turn)
//! lane[b % 8] = fma(t, x.scale[b], lane[b % 8])           (b rising)
//! y        = ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))
//! ```
//! Wide activations have two planes of codes (`x.codes = 256 * first + second`) and so
//! `dot[b] = 256 * (sum of w.codes * first) + sum of w.codes * second`; the rest is the same. With
//! 32 columns `dot[b]` is at most 32 * 127 * 32,512 < 2^27 in magnitude, an exact `i32` (from 2^24 on
//! rounded once to `f32`), and a sum of codes at most 32 * 32,512 < 2^20, exact in `f32`.
//!
//! All operations are exact or correctly rounded `f32`, so this fixes the bits of the result: no
//! level, number of threads or batch changes them.

use super::activations::{BLOCK, COARSE, Int8Row};
use super::plane::{Planes, Shape};

/// Partial sums of a product; block `b` goes to lane `b % LANES`.
pub(crate) const LANES: usize = 8;

/// The last step: the sum of the lanes.
#[inline(always)]
pub(crate) fn fold(lanes: &[f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = *lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Adds block `block` of the planes to its lane.
#[inline(always)]
pub(crate) fn step(planes: &Planes, shape: Shape, block: usize, x: &Int8Row<'_>, at: usize, lanes: &mut [f32; LANES]) {
    let w = &planes.codes[block * BLOCK..][..BLOCK];
    let sum = |plane: &[i8], range: std::ops::Range<usize>| -> i32 {
        let codes = &plane[at * BLOCK..][range.clone()];
        w[range].iter().zip(codes).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum()
    };
    let dot = |range: std::ops::Range<usize>| -> f32 {
        if x.fine.is_empty() {
            sum(x.codes, range) as f32
        } else {
            (sum(x.codes, range.clone()) * COARSE + sum(x.fine, range)) as f32
        }
    };
    let mut t;
    if shape.halves {
        t = dot(0..BLOCK / 2) * planes.low[block];
        t = dot(BLOCK / 2..BLOCK).mul_add(planes.high[block], t);
        if shape.mins {
            t = (-planes.min_low[block]).mul_add(x.low[at], t);
            t = (-planes.min_high[block]).mul_add(x.high[at], t);
        }
    } else {
        t = dot(0..BLOCK) * planes.low[block];
        if shape.mins {
            t = (-planes.min_low[block]).mul_add(x.sums[at], t);
        }
    }
    lanes[at % LANES] = t.mul_add(x.scales[at], lanes[at % LANES]);
}

/// The product of one weight row and one token row.
pub(crate) fn row(planes: &Planes, shape: Shape, x: &Int8Row<'_>) -> f32 {
    let mut lanes = [0.0; LANES];
    for block in 0..planes.low.len() {
        step(planes, shape, block, x, block, &mut lanes);
    }
    fold(&lanes)
}
