//! What can go wrong when rows of ggml blocks are decoded or encoded.

use turbo_gguf::GgmlType;

/// A row cannot be decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum QuantError {
    /// A row of this type holds whole blocks only.
    #[error("a row of type {ty} cannot hold {values} values: expected a multiple of {}", ty.block_values())]
    PartialBlock {
        /// Type of the row.
        ty: GgmlType,
        /// Number of values asked for.
        values: usize,
    },
    /// The bytes do not fit the number of values.
    #[error(
        "{values} values of type {ty} given with {found} bytes: expected {expected} bytes ({} per block of {})",
        ty.block_bytes(),
        ty.block_values()
    )]
    ByteCount {
        /// Type of the row.
        ty: GgmlType,
        /// Number of values of the row.
        values: usize,
        /// Bytes the caller gave.
        found: usize,
        /// Bytes that so many values take.
        expected: usize,
    },
    /// There is no encoder for this type.
    #[error("cannot encode to type {ty}: choose one of f32, f16, bf16, q8_0, q4_0")]
    NoEncoder {
        /// Type asked for.
        ty: GgmlType,
    },
    /// A value that is not finite, or too large for the scale of its block.
    #[error(
        "cannot encode value {index} ({value}) to type {ty}: expected a finite value of magnitude at most {limit:e}"
    )]
    OutOfRange {
        /// Type asked for.
        ty: GgmlType,
        /// Index of the value in the row.
        index: usize,
        /// The value.
        value: f32,
        /// Largest magnitude that the type can hold.
        limit: f32,
    },
}
