//! Bytes and operations of the kernels, counted from their shapes.
//!
//! Bytes are what must cross memory once. Operations are additions, multiplications, divisions and comparisons of
//! values; those on indices, and moving bits about, are left out.

use turbo_backend::SideLayout;
use turbo_quant::{KvType, rotation_groups};

/// Bytes and operations of one dispatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) bytes: u64,
    pub(crate) ops: u64,
}

impl Count {
    fn times(self, n: usize) -> Self {
        Self { bytes: self.bytes * n as u64, ops: self.ops * n as u64 }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, ops: self.ops + other.ops }
    }
}

/// Additions and subtractions of the transforms of a head: n log2 n for a group of n.
fn transform(head_dim: usize) -> u64 {
    rotation_groups(head_dim).map(|n| n as u64 * u64::from(n.trailing_zeros())).sum()
}

/// Bytes of a stored head.
fn stored(side: &SideLayout) -> u64 {
    (4 * side.code_words + 2 * side.scale_blocks) as u64
}

/// Rotating `heads` heads: the transform and a multiplication each.
pub(crate) fn rotate(heads: usize, head_dim: usize) -> Count {
    let d = head_dim as u64;
    Count { bytes: 8 * d, ops: transform(head_dim) + d }.times(heads)
}

/// Storing the heads of `tokens` tokens of one side, which are told their places.
pub(crate) fn encode(side: &SideLayout, tokens: usize) -> Count {
    let d = side.head_dim as u64;
    let ops = match side.kv_type {
        // The rounding.
        KvType::F16 => d,
        // 1 / sqrt(n), the largest, the level.
        KvType::Q8_0 | KvType::Q4_0 => transform(side.head_dim) + 3 * d,
        // Squares and their sum, squares after the rotation and their comparisons with the thresholds, squared levels.
        KvType::Turbo2 | KvType::Turbo3 | KvType::Turbo4 => {
            transform(side.head_dim) + d * (4 + (1 << (side.kv_type.code_bits() - 1)) - 1)
        }
    };
    let head = Count { bytes: 4 * d + stored(side), ops };
    head.times(side.n_heads).plus(Count { bytes: 4, ops: 0 }).times(tokens)
}

/// Reading them back, rotated back too.
pub(crate) fn decode(side: &SideLayout, tokens: usize) -> Count {
    let d = side.head_dim as u64;
    let ops = if side.kv_type.is_coded() { transform(side.head_dim) + 2 * d } else { d };
    let head = Count { bytes: 4 * d + stored(side), ops };
    head.times(side.n_heads).plus(Count { bytes: 4, ops: 0 }).times(tokens)
}

/// A product of a matrix of `matrix_bytes` bytes with some tokens in f32.
pub(crate) fn product(matrix_bytes: u64, (rows, cols): (usize, usize), tokens: usize) -> Count {
    let ends = 4 * tokens * (rows + cols);
    Count { bytes: matrix_bytes + ends as u64, ops: 2 * (rows * cols * tokens) as u64 }
}

/// What attention of one query token over one sequence does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionCount<'a> {
    pub(crate) k: &'a SideLayout,
    pub(crate) v: &'a SideLayout,
    /// Bytes of the keys and values.
    pub(crate) cache_bytes: usize,
    pub(crate) keys: usize,
    /// Chunks of keys, each with a partial result.
    pub(crate) chunks: usize,
    /// Query heads.
    pub(crate) rows: usize,
}

impl AttentionCount<'_> {
    /// A query as the decode kernel reads it.
    fn query(&self) -> u64 {
        let planes = if self.k.kv_type == KvType::Q8_0 { 2 } else { 1 };
        match self.k.kv_type.is_coded() {
            true => (planes * self.k.head_dim + 4 * self.k.scale_blocks) as u64,
            false => 4 * self.k.head_dim as u64,
        }
    }

    /// The partial results of a query: a largest score and a sum, two words for every scale block, the values.
    fn partials(&self) -> u64 {
        (4 * self.chunks * ((2 + 2 * self.v.scale_blocks.max(1)).next_multiple_of(4) + self.v.head_dim)) as u64
    }

    /// The codes of the queries: transform, largest, factor, rounding.
    pub(crate) fn codes(&self) -> Count {
        let d = self.k.head_dim as u64;
        Count { bytes: 4 * d + self.query(), ops: transform(self.k.head_dim) + 3 * d }.times(self.rows)
    }

    /// Two operations for every value of every key and value of every query; the softmax is left out.
    pub(crate) fn decode(&self) -> Count {
        let ops = 2 * self.keys as u64 * (self.k.head_dim + self.v.head_dim) as u64;
        let each = Count { bytes: self.query() + self.partials(), ops }.times(self.rows);
        each.plus(Count { bytes: self.cache_bytes as u64, ops: 0 })
    }

    /// Two operations for every value of every partial, and turning the result back.
    pub(crate) fn combine(&self) -> Count {
        let d = self.v.head_dim as u64;
        let back = if self.v.kv_type.is_coded() { transform(self.v.head_dim) + d } else { 0 };
        let ops = 2 * self.chunks as u64 * d + back;
        Count { bytes: self.partials() + 4 * d, ops }.times(self.rows)
    }

    /// All of it: partial results and codes need not have crossed memory.
    pub(crate) fn whole(&self) -> Count {
        let parts = [self.codes(), self.decode(), self.combine()];
        let skip = if self.k.kv_type.is_coded() { 0 } else { self.codes().ops };
        let ends = 4 * self.rows * (self.k.head_dim + self.v.head_dim);
        Count { bytes: (self.cache_bytes + ends) as u64, ops: parts.iter().map(|c| c.ops).sum::<u64>() - skip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(kv_type: KvType) -> SideLayout {
        SideLayout::new(kv_type, 8, 128).unwrap()
    }

    #[test]
    fn counts_of_known_shapes() {
        assert_eq!(rotate(2, 128), Count { bytes: 2 * 1024, ops: 2 * (128 * 7 + 128) });
        // 80 = 64 + 16.
        assert_eq!(rotate(1, 80), Count { bytes: 640, ops: 64 * 6 + 16 * 4 + 80 });
        // 66 bytes a head of turbo4, seven thresholds.
        let turbo4 = encode(&side(KvType::Turbo4), 3);
        assert_eq!(turbo4, Count { bytes: 3 * (8 * (512 + 66) + 4), ops: 24 * 128 * (7 + 4 + 7) });
        assert_eq!(encode(&side(KvType::F16), 1).bytes, 8 * (512 + 256) + 4);
        assert_eq!(decode(&side(KvType::Q8_0), 1).bytes, 8 * (512 + 128 + 8) + 4);
    }

    #[test]
    fn a_product_reads_the_matrix_once() {
        assert_eq!(product(100, (3, 5), 2), Count { bytes: 100 + 64, ops: 60 });
    }

    #[test]
    fn a_call_reads_the_cache_once() {
        let (k, v) = (side(KvType::Turbo4), side(KvType::Turbo4));
        let count = AttentionCount { k: &k, v: &v, cache_bytes: 1000, keys: 512, chunks: 2, rows: 40 };
        assert_eq!(count.whole().bytes, 1000 + 40 * 1024);
        assert_eq!(count.decode().ops, 40 * 2 * 512 * 256);
        assert_eq!(count.combine().bytes, 40 * (2 * 4 * (2 + 2 + 128) + 512));
        assert_eq!(count.codes().bytes, 40 * (512 + 128 + 4));
    }
}
