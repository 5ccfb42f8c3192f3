//! Rows of an embedding table.

use turbo_gguf::GgmlType;
use turbo_quant::ggml::{QuantError, decode_row};

/// Row `token` of a table of type `ty`, times `scale`.
///
/// # Errors
/// A table whose rows are not of `out.len()` values.
///
/// # Panics
/// When the table does not have the row.
pub fn embed(ty: GgmlType, table: &[u8], token: u32, scale: f32, out: &mut [f32]) -> Result<(), QuantError> {
    let row_bytes = out.len() / ty.block_values() * ty.block_bytes();
    decode_row(ty, &table[token as usize * row_bytes..][..row_bytes], out)?;
    if scale != 1.0 {
        out.iter_mut().for_each(|x| *x *= scale);
    }
    Ok(())
}
