//! The ggml weight types: bytes to values, values to bytes, and bytes to integer planes.
//!
//! Every quantised format is written once, as small integers times a scale (less a minimum) per
//! 16 or 32 values: [`expand`] hands those planes to integer matrix products, and [`decode_row`]
//! multiplies them out, which gives the same bits as ggml's own conversion.

mod bits;
mod cpu;
mod decode;
mod encode;
mod error;
mod format;
mod fp4;
mod grid_iq1;
mod grid_iq2;
mod grid_iq3;
mod iq1;
mod iq2;
mod iq3;
mod iq4;
mod k_quants;
mod planes;
mod q_legacy;
mod ternary;

pub use decode::decode_row;
pub use encode::encode_row;
pub use error::QuantError;
pub use fp4::FP4_LEVELS;
pub use iq4::IQ4_LEVELS;
pub use planes::{PlaneShape, expand, plane_shape};

use turbo_gguf::GgmlType;

/// Checks that `bytes` bytes are exactly a row of `values` values of type `ty`.
fn check_row(ty: GgmlType, values: usize, bytes: usize) -> Result<(), QuantError> {
    if !values.is_multiple_of(ty.block_values()) {
        return Err(QuantError::PartialBlock { ty, values });
    }
    // A row is a slice in memory, so this cannot overflow except for absurd lengths.
    let expected = (values / ty.block_values()).saturating_mul(ty.block_bytes());
    if bytes != expected {
        return Err(QuantError::ByteCount { ty, values, found: bytes, expected });
    }
    Ok(())
}
