//! Copying rows.

/// The rows of `cols` values that `rows` names.
pub fn select_rows(rows: &[u32], x: &[f32], cols: usize) -> Vec<f32> {
    rows.iter().flat_map(|&row| &x[row as usize * cols..][..cols]).copied().collect()
}
