//! Products of f32, f16 and bf16 weights with f32 activations.
//!
//! Column `c` goes to lane `c % 16` by a fused multiply-add, columns rising; then
//! `lane[i] + lane[i + 8]` for i below 8, and the eight sums as in [`plain::fold`]. Every level
//! does just that, so the bits are the same on all of them, for any number of threads and tokens.

use turbo_gguf::GgmlType;

use super::activations::Activations;
use super::{Level, plain};

/// Partial sums of a product.
pub(crate) const LANES: usize = 16;

/// How weights are stored: a const parameter of the kernels.
pub(crate) const F32: u8 = 0;
pub(crate) const F16: u8 = 1;
pub(crate) const BF16: u8 = 2;

/// Bytes of a stored weight.
pub(crate) const fn size(kind: u8) -> usize {
    if kind == F32 { 4 } else { 2 }
}

/// The way the type is stored, if a kernel reads it directly.
pub(crate) fn kind(ty: GgmlType) -> Option<u8> {
    match ty {
        GgmlType::F32 => Some(F32),
        GgmlType::F16 => Some(F16),
        GgmlType::BF16 => Some(BF16),
        _ => None,
    }
}

/// Weight `col` of a row.
#[inline(always)]
fn weight<const KIND: u8>(row: &[u8], col: usize) -> f32 {
    let bytes = &row[col * size(KIND)..][..size(KIND)];
    match KIND {
        F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        F16 => half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        _ => half::bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
    }
}

/// Adds the columns from `from` to the lanes and sums them: the end of every kernel.
#[inline(always)]
pub(crate) fn finish<const KIND: u8>(mut lanes: [f32; LANES], row: &[u8], x: &[f32], from: usize) -> f32 {
    for (col, &x) in x.iter().enumerate().skip(from) {
        let lane = &mut lanes[col % LANES];
        *lane = weight::<KIND>(row, col).mul_add(x, *lane);
    }
    plain::fold(&std::array::from_fn(|i| lanes[i] + lanes[i + 8]))
}

/// Rows of weights as they are stored, each of `cols` weights.
pub(crate) struct Rows<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) row_bytes: usize,
    pub(crate) cols: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn count(&self) -> usize {
        self.bytes.len() / self.row_bytes
    }

    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        &self.bytes[row * self.row_bytes..][..self.row_bytes]
    }
}

/// Where outputs go: row of the rows, token, value.
pub(crate) type Put<'a> = &'a mut dyn FnMut(usize, usize, f32);

/// The products of all rows with all tokens.
pub(crate) fn products(level: Level, kind: u8, rows: &Rows<'_>, x: &Activations, put: Put<'_>) {
    match kind {
        F32 => of_kind::<F32>(level, rows, x, put),
        F16 => of_kind::<F16>(level, rows, x, put),
        _ => of_kind::<BF16>(level, rows, x, put),
    }
}

fn of_kind<const KIND: u8>(level: Level, rows: &Rows<'_>, x: &Activations, put: Put<'_>) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available, which `matmul_at` checks.
        Level::Avx2 | Level::AvxVnni => unsafe { super::float_simd::avx2::products::<KIND>(rows, x, put) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512Vnni => unsafe { super::float_simd::avx512::products::<KIND>(rows, x, put) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Level::Neon | Level::NeonDot => unsafe { super::float_simd::neon::products::<KIND>(rows, x, put) },
        _ => {
            for row in 0..rows.count() {
                for token in 0..x.tokens {
                    put(row, token, finish::<KIND>([0.0; LANES], rows.row(row), x.float_row(token), 0));
                }
            }
        }
    }
}
