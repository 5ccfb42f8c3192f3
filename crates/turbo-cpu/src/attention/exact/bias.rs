//! The part of a score that a key bias gives (`docs/exact-attention.md` section 11).

use turbo_quant::turbo::exact::{exponent_field, scale_pow2};

use super::score::{WHOLE, limited};
use turbo_backend::key_bias::{KeyBiasTable, POLYNOMIALS};

/// What a query head gives with the bias of its K/V head: the part of the score of a key at position p is
/// (constant + sum over the pairs of a * cos(p * frequency) + c * sin(p * frequency)) * mult.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Part of the values that are not rotated.
    pub constant: f32,
    /// To Q16 log2 units.
    pub mult: f32,
}

/// 0 for a magnitude below 2^-60.
#[inline(always)]
pub fn flushed(x: f32) -> f32 {
    if x.abs() < f32::from_bits((127 - 60) << 23) { 0.0 } else { x }
}

/// Eight values, each pair of neighbours added, three times.
#[inline(always)]
pub fn tree(x: [f32; 8]) -> f32 {
    ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]))
}

/// Multiplies a finite query head with the bias. `a` and `c` get one value per pair in order, padding included.
pub fn factors(
    table: KeyBiasTable<'_>,
    kv_head: usize,
    q: &[f32],
    scale_log2e: f32,
    a: &mut [f32],
    c: &mut [f32],
) -> Factors {
    let field = q.iter().map(|&v| exponent_field(v)).max().unwrap_or(0) as i32;
    let framed = |i: usize| {
        let v = scale_pow2(q[i], 127 - field);
        if v.abs() < 1.0 / 16_777_216.0 { 0.0 } else { v }
    };
    let (bx, by, rest) = table.slot.framed(kv_head);
    a.fill(0.0);
    c.fill(0.0);
    for (at, &pair) in table.turns.order().iter().enumerate() {
        let [x, y] = table.turns.natural()[pair].map(framed);
        let (xx, yy, yx, xy) = (x * bx[at], y * by[at], y * bx[at], x * by[at]);
        (a[at], c[at]) = (xx + yy, yx - xy);
    }
    let mut sums = [0.0; 8];
    for (i, &b) in rest.iter().enumerate() {
        sums[i % 8] += framed(q.len() - rest.len() + i) * b;
    }
    let exponent = field - 127 + table.slot.exponent(kv_head) + 16;
    Factors { constant: tree(sums), mult: scale_pow2(scale_log2e, exponent) }
}

/// Factors of the columns of a tile.
pub fn column_factors(table: KeyBiasTable<'_>, tile: usize, a: &[f32], c: &[f32], factors: Factors) -> Vec<f32> {
    let turns = table.turns;
    let (cos, sin) = turns.tile(tile);
    let turned = |i: usize| {
        let (ac, cs, cc, asn) = (a[i] * cos[i], c[i] * sin[i], c[i] * cos[i], a[i] * sin[i]);
        [flushed(ac + cs), flushed(cc - asn)]
    };
    let mut out: Vec<f32> = (0..turns.fast()).flat_map(turned).collect();
    let slow = turns.width() - turns.fast();
    for k in 0..POLYNOMIALS {
        let mut sums = [0.0; 8];
        for i in 0..slow {
            sums[i % 8] += turned(turns.fast() + i)[k % 2] * turns.weights()[k * slow + i];
        }
        let sum = tree(sums);
        out.push(flushed(if k == 0 { sum + factors.constant } else { sum }));
    }
    out
}

/// Q16 part of the score of key `t` of the tile.
pub fn bias_score(table: KeyBiasTable<'_>, column_factors: &[f32], t: usize, mult: f32) -> i32 {
    let mut sum = 0.0;
    for (factor, column) in column_factors.iter().zip(table.turns.columns()) {
        sum += factor * column[t];
    }
    limited(sum * mult, WHOLE)
}

#[cfg(test)]
mod tests {
    use turbo_backend::BLOCK_TOKENS;
    use turbo_backend::plan::{RopeStyle, RopeTable};

    use super::*;
    use turbo_backend::key_bias::{KeyTurns, SlotBias};

    /// Largest error over positions 0 .. 130,000, relative to the sum of the parts' magnitudes.
    fn error(base: f64, rotated: usize, d: usize) -> f64 {
        let inv_freq: Vec<f32> =
            (0..rotated / 2).map(|i| base.powf(-((2 * i) as f64) / rotated as f64) as f32).collect();
        let table = RopeTable { style: RopeStyle::Neox, inv_freq, magnitude: 1.0 };
        let value = |i: usize, f: f64| (i as f64 * f).sin() as f32;
        let q: Vec<f32> = (0..d).map(|i| value(i, 1.7)).collect();
        let bias: Vec<f32> = (0..d).map(|i| 40.0 * value(i, 5.3)).collect();
        let mut turns = KeyTurns::new(&table);
        turns.reach(130_000);
        let slot = SlotBias::new(&bias, d, &table, &turns).expect("finite");
        let job = KeyBiasTable { slot: &slot, turns: &turns };
        let (mut a, mut c) = (vec![0.0; turns.width()], vec![0.0; turns.width()]);
        let row = factors(job, 0, &q, 1.0, &mut a, &mut c);
        let dot = |key: &[f64]| key.iter().zip(&q).map(|(k, &q)| k * f64::from(q)).sum::<f64>();
        let size: f64 = bias.iter().zip(&q).map(|(b, q)| f64::from((b * q).abs())).sum();
        let mut worst = 0.0_f64;
        for tile in (0..turns.n_tiles()).step_by(7) {
            let columns = column_factors(job, tile, &a, &c, row);
            for t in 0..BLOCK_TOKENS {
                let got = f64::from(bias_score(job, &columns, t, row.mult)) / 65536.0;
                worst = worst.max((got - dot(&job.key(0, tile * BLOCK_TOKENS + t))).abs() / size);
            }
        }
        worst
    }

    #[test]
    fn the_error_is_that_of_f32() {
        for (base, rotated, d) in [(1e6, 128, 128), (1e4, 64, 64), (1e4, 32, 128), (1.5, 64, 64), (1e9, 256, 256)] {
            let error = error(base, rotated, d);
            assert!(error < 2.5e-7, "base {base}, {rotated} of {d}: {error:e}");
        }
    }
}
