//! Matrix products straight on the weights of a model file.
//!
//! `y[token][row] = sum over columns of w[row][col] * x[token][col] (+ bias[row])`, where `w` is
//! in its ggml format: no copy of a matrix is made, only a few rows at a time are expanded.
//!
//! - Quantised weights take activations with 8-bit codes and multiply integers exactly; the few
//!   `f32` operations per 32 columns have one order ([`plain`]).
//! - f32, f16 and bf16 weights take `f32` activations and sums ([`float`]); so do the integer types
//!   and f64, after their values are rounded to `f32`.
//!
//! **Exact**: an output is a function of its weight row, its token's row and its bias alone. The
//! SIMD level, the number of threads and the other tokens of the batch do not change a bit, so
//! decoding a token alone or in a prompt gives the same numbers on every processor. (The fused
//! multiply-add this takes is emulated, slowly, on x86 processors from before 2013.)

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod float;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod float_simd;
pub mod halves;
mod integer;
mod level;
pub mod matvec;
pub mod matvec_float;
pub mod matvec_gated;
pub mod matvec_joined;
pub mod matvec_residual;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panel;
mod plain;
mod plane;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tile;
pub mod tiles;
pub mod tiles_float;
pub mod tiles_half;

pub use activations::{Activations, Forms};
pub use level::Level;

use turbo_gguf::GgmlType;

use crate::pool::{DisjointMut, ThreadPool};

/// A weight matrix in a model file: `rows` rows of `cols` values, in blocks of the type.
#[derive(Clone, Copy)]
pub struct WeightRef<'a> {
    /// Type of the blocks.
    pub ty: GgmlType,
    /// Rows: outputs of the product.
    pub rows: usize,
    /// Columns: inputs of the product.
    pub cols: usize,
    /// The blocks, row by row.
    pub data: &'a [u8],
}

impl WeightRef<'_> {
    /// Bytes of a row.
    fn row_bytes(&self) -> usize {
        self.cols / self.ty.block_values() * self.ty.block_bytes()
    }
}

/// Whether [`matmul`] takes weights of this type: every type that turbo-quant decodes.
pub fn supports(_ty: GgmlType) -> bool {
    // `turbo_quant::ggml::decode_row` refuses lengths, not types; a test walks the whole list.
    true
}

/// Outputs of a product: `[tokens][stride]`, of which the first `rows` of each token are written.
pub(crate) struct Out<'a> {
    values: DisjointMut<'a, f32>,
    stride: usize,
    bias: Option<&'a [f32]>,
}

impl Out<'_> {
    /// Writes `values`, the outputs of one token from row `row` on, with their biases.
    ///
    /// # Safety
    /// No other task writes these outputs.
    unsafe fn put(&self, token: usize, row: usize, values: &[f32]) {
        // SAFETY: the caller's promise.
        let out = unsafe { self.values.slice(token * self.stride + row, values.len()) };
        match self.bias {
            None => out.copy_from_slice(values),
            Some(bias) => {
                for ((out, value), bias) in out.iter_mut().zip(values).zip(&bias[row..]) {
                    *out = value + bias;
                }
            }
        }
    }
}

/// Multiplies `w` with every token of `x`: `out[token * stride + row]`, with `bias[row]` added.
///
/// `stride` is the distance between the outputs of two tokens, at least `w.rows`; what lies
/// between them is left alone.
///
/// # Panics
/// When shapes do not belong together: `w.data` is not `w.rows` rows, `x` has other columns or
/// lacks the form that the type needs ([`Forms::of`]), `bias` or `out` is too short. A loader
/// checks a file against its plan before it gets here.
pub fn matmul(
    pool: &ThreadPool,
    w: WeightRef<'_>,
    x: &Activations,
    bias: Option<&[f32]>,
    out: &mut [f32],
    stride: usize,
) {
    matmul_at(Level::best(), pool, w, x, bias, out, stride);
}

/// [`matmul`] with the instructions of a given level, for tests and benchmarks.
///
/// # Panics
/// As [`matmul`], and when this processor does not have the level.
pub fn matmul_at(
    level: Level,
    pool: &ThreadPool,
    w: WeightRef<'_>,
    x: &Activations,
    bias: Option<&[f32]>,
    out: &mut [f32],
    stride: usize,
) {
    check(&w, x, bias, out.len(), stride);
    assert!(level.available(), "this processor has no {}", level.name());
    if w.rows == 0 || x.tokens() == 0 {
        return;
    }
    let out = Out { values: DisjointMut::new(out), stride, bias };
    match plane::shape(w.ty) {
        Some(shape) => integer::product(level, pool, &w, shape, x, &out),
        None => float_product(level, pool, &w, x, &out),
    }
}

fn check(w: &WeightRef<'_>, x: &Activations, bias: Option<&[f32]>, out: usize, stride: usize) {
    let WeightRef { ty, rows, cols, data } = *w;
    assert!(cols.is_multiple_of(ty.block_values()), "{cols} columns of {ty}");
    assert_eq!(Some(data.len()), w.row_bytes().checked_mul(rows), "bytes of {rows} rows of {cols} {ty} columns");
    assert_eq!(x.cols(), cols, "columns of the activations and of the weights");
    let (need, have) = (Forms::of(&[ty]), x.forms());
    assert!((have.float || !need.float) && (have.int8 || !need.int8), "{ty} needs {need:?}, activations have {have:?}");
    assert!(bias.is_none_or(|bias| bias.len() >= rows), "bias shorter than {rows}");
    let needed = x.tokens().checked_sub(1).map_or(0, |last| last * stride + rows);
    assert!(stride >= rows && out >= needed, "{} tokens of {rows} outputs, stride {stride}, in {out}", x.tokens());
}

/// Rows of a task: enough work for a task to be worth taking, and tasks for the threads to share.
fn rows_per_task(pool: &ThreadPool, w: &WeightRef<'_>, tokens: usize, multiple: usize) -> usize {
    // About 20 us of reading or of multiplying, whichever is the longer.
    let work = w.row_bytes().max(w.cols * tokens / 32).max(1);
    let worth = (128 * 1024 / work).max(1);
    let shared = w.rows.div_ceil(pool.threads() * 4).max(1);
    worth.max(1).min(shared).next_multiple_of(multiple)
}

/// From this many tokens on, rows are decoded to `f32` before they are multiplied.
const MANY_TOKENS: usize = 8;
/// Rows that are decoded together: as `f32` they fit into a second-level cache.
const DECODED_ROWS: usize = 32;

/// Types without integer planes.
fn float_product(level: Level, pool: &ThreadPool, w: &WeightRef<'_>, x: &Activations, out: &Out<'_>) {
    let (row_bytes, tokens) = (w.row_bytes(), x.tokens());
    let many = tokens >= MANY_TOKENS;
    let step = if many { DECODED_ROWS } else { rows_per_task(pool, w, tokens, 4) };
    pool.run(w.rows.div_ceil(step), |task| {
        let first = task * step;
        let count = step.min(w.rows - first);
        let bytes = &w.data[first * row_bytes..][..count * row_bytes];
        let mut put = |row: usize, token: usize, value: f32| {
            // SAFETY: the rows of a task belong to no other.
            unsafe { out.put(token, first + row, &[value]) };
        };
        // With a few tokens a weight is cheapest to convert where it is used; with many, once.
        match float::kind(w.ty) {
            Some(kind) if kind == float::F32 || !many => {
                float::products(level, kind, &float::Rows { bytes, row_bytes, cols: w.cols }, x, &mut put);
            }
            _ => decoded_products(level, w, bytes, x, &mut put),
        }
    });
}

/// Decodes some rows at a time to `f32` and multiplies those.
fn decoded_products(level: Level, w: &WeightRef<'_>, bytes: &[u8], x: &Activations, put: float::Put<'_>) {
    let (row_bytes, cols) = (w.row_bytes(), w.cols);
    let mut values = vec![0.0_f32; (bytes.len() / row_bytes).min(DECODED_ROWS) * cols];
    for (group, bytes) in bytes.chunks(DECODED_ROWS * row_bytes).enumerate() {
        let values = &mut values[..bytes.len() / row_bytes * cols];
        if let Err(error) = turbo_quant::ggml::decode_row(w.ty, bytes, values) {
            // The shapes were checked, so a whole number of rows always decodes.
            unreachable!("{error}");
        }
        let rows = float::Rows { bytes: bytemuck::cast_slice(values), row_bytes: cols * 4, cols };
        float::products(level, float::F32, &rows, x, &mut |row, token, value| {
            put(group * DECODED_ROWS + row, token, value)
        });
    }
}

#[cfg(test)]
mod tests;
