//! One tile of the cache, expanded once for all query rows of a task.

use std::ops::Range;

use turbo_backend::{BLOCK_TOKENS as TILE, SideLayout};

use super::shape::Shape;
use super::simd::{Keys, ScaleKeys, Simd, Unpack};

/// Keys of a tile. Slots outside the expanded range hold leftovers.
#[derive(Default)]
pub(super) struct KeyTile {
    /// Coded: biased levels in quads.
    pub(super) levels: Vec<u8>,
    /// Coded: scales of every block.
    pub(super) scales: Vec<Keys<f32>>,
    /// f16: [key][padded value].
    pub(super) plain: Vec<f32>,
    rows: Vec<i8>,
    /// The key bias at the middle of the tile.
    turned: Vec<f32>,
}

/// Values of a tile. Slots outside the expanded range hold leftovers.
#[derive(Default)]
pub(super) struct ValueTile {
    /// Coded: levels in pairs of keys.
    pub(super) levels: Vec<i16>,
    /// Coded: scales of every block.
    pub(super) scales: Vec<ScaleKeys>,
    /// f16: [key][padded value].
    pub(super) plain: Vec<f32>,
    rows: Vec<i8>,
}

/// Words of the scales of every block of a unit.
fn scale_words(scales: &[u32]) -> impl Iterator<Item = &[u32]> {
    scales.chunks_exact(TILE / 2)
}

/// Levels of a unit as [key][head_dim], valid for `keys`. `rows` holds them where the codes are not levels already.
fn levels_of<'a>(
    simd: Simd,
    unpack: &Unpack,
    codes: &'a [u32],
    keys: &Range<usize>,
    rows: &'a mut Vec<i8>,
) -> &'a [i8] {
    if unpack.runs.is_empty() && cfg!(target_endian = "little") {
        return bytemuck::cast_slice(codes);
    }
    rows.resize(TILE * unpack.side.head_dim, 0);
    simd.unpack(unpack, codes, keys, rows);
    rows
}

fn expand_f16(simd: Simd, side: &SideLayout, codes: &[u32], keys: &Range<usize>, plain: &mut Vec<f32>) {
    let stride = Shape::padded(side.head_dim);
    if plain.len() != TILE * stride {
        plain.clear();
        plain.resize(TILE * stride, 0.0);
    }
    for t in keys.clone() {
        let row = &mut plain[t * stride..][..stride];
        simd.widen(&codes[t * side.code_words..][..side.code_words], &mut row[..side.head_dim]);
        row[side.head_dim..].fill(0.0);
    }
}

impl KeyTile {
    /// Expands `keys` of a tile of one K/V head.
    pub(super) fn expand(&mut self, shape: &Shape<'_>, kv_head: usize, tile: usize, keys: &Range<usize>) {
        let side = &shape.layer.k;
        let (codes, scales) = side.unit(shape.k_pool, shape.blocks[tile] as usize, kv_head);
        if !shape.coded_k() {
            expand_f16(shape.simd, side, codes, keys, &mut self.plain);
            return self.add_bias(shape, kv_head, tile, keys);
        }
        self.levels.resize(TILE * side.head_dim, 0);
        let rows = levels_of(shape.simd, &shape.k_unpack, codes, keys, &mut self.rows);
        shape.simd.quads(rows, side.head_dim, &mut self.levels);
        self.scales.resize(shape.k_sizes.len(), [0.0; TILE]);
        for (out, words) in self.scales.iter_mut().zip(scale_words(scales)) {
            shape.simd.widen(words, out);
        }
    }
}

impl KeyTile {
    /// Adds the key bias to the f32 keys.
    fn add_bias(&mut self, shape: &Shape<'_>, kv_head: usize, tile: usize, keys: &Range<usize>) {
        let Some(table) = shape.key_bias else { return };
        table.turned(kv_head, tile, &mut self.turned);
        let d = shape.layer.k.head_dim;
        for t in keys.clone() {
            let (cos, sin) = table.turns.step(t);
            let key = &mut self.plain[t * Shape::padded(d)..][..d];
            shape.simd.turn_key(table.turns.style(), &self.turned, cos, sin, key);
        }
    }
}

impl ValueTile {
    /// Expands `keys` of a tile of one K/V head.
    pub(super) fn expand(&mut self, shape: &Shape<'_>, kv_head: usize, tile: usize, keys: &Range<usize>) {
        let side = &shape.layer.v;
        let (codes, scales) = side.unit(shape.v_pool, shape.blocks[tile] as usize, kv_head);
        if !shape.coded_v() {
            return expand_f16(shape.simd, side, codes, keys, &mut self.plain);
        }
        self.levels.resize(TILE * side.head_dim, 0);
        let rows = levels_of(shape.simd, &shape.v_unpack, codes, keys, &mut self.rows);
        shape.simd.pairs(rows, side.head_dim, &mut self.levels);
        let empty = ScaleKeys { h: [0; TILE], x: [0; TILE], sign: [0; TILE] };
        self.scales.resize(shape.v_sizes.len(), empty);
        for (out, words) in self.scales.iter_mut().zip(scale_words(scales)) {
            shape.simd.scale_parts(words, out);
        }
    }
}
