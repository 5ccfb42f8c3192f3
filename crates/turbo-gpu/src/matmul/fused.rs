//! What products for few tokens share that do more than one thing.

use turbo_wgsl::Variant;
use turbo_wgsl::params::FusedParams;

use super::codes::{Codes, CodesInput};
use super::matvec::{tokens_of, tokens_of_workgroup};
use crate::recorder::Grid;
use crate::weights::{Matrix, MatrixPart, UNIT};

/// Most tokens that these products are for.
pub const MOST_FUSED_TOKENS: u32 = 8;

/// The name of a variant for `tokens` tokens.
pub(super) fn variant_name(matrix: &Matrix, kind: &str, tokens: u32) -> String {
    format!("{}{kind},t{}", matrix.ty(), tokens_of_workgroup(tokens))
}

/// Whether the results of `matrix` are whole units of codes, in every binding.
pub fn makes_units(matrix: &Matrix) -> bool {
    let whole = |part: MatrixPart<'_>| (part.rows as usize | part.first_row as usize).is_multiple_of(UNIT);
    matrix.is_quantised() && matrix.parts().all(whole)
}

/// Whether rows of two matrices are laid out alike.
pub(super) fn are_alike(one: &Matrix, other: &Matrix) -> bool {
    one.ty() == other.ty() && one.cols() == other.cols()
}

/// Why the codes of the results of `matrix` cannot be made, if so.
pub(super) fn unit_problem(matrix: &Matrix, tokens: u32, next: &Codes, input: &CodesInput<'_>) -> Option<String> {
    let values = tokens as usize * matrix.rows();
    if !makes_units(matrix) {
        return Some(format!("{} rows of {} are not whole units of {UNIT}", matrix.rows(), matrix.ty()));
    }
    if !next.fits(values) {
        return Some(format!("codes of another size for {tokens} tokens of {} results", matrix.rows()));
    }
    if next.is(input.codes) {
        return Some("codes of the results in the place of those of the activations".to_owned());
    }
    input.problem(matrix, tokens)
}

/// Params for the rows of `part`.
pub(super) fn fused_params(
    matrix: &Matrix,
    part: &MatrixPart<'_>,
    tokens: u32,
    input: &CodesInput<'_>,
    next_fine_plane: u32,
) -> FusedParams {
    let row = matrix.row();
    FusedParams {
        row_words: row.words as u32,
        high_plane: row.high_plane as u32,
        scales: row.scales as u32,
        units: row.units as u32,
        rows: part.rows,
        tokens,
        fine_plane: input.fine_plane(),
        first_row: part.first_row,
        out_row: matrix.rows() as u32,
        next_fine_plane,
        normed: input.norm.is_some().into(),
        eps: input.norm.unwrap_or(0.0),
    }
}

/// Workgroups for the rows of `part`.
pub(super) fn fused_grid(variant: &Variant, part: &MatrixPart<'_>, tokens: u32) -> Grid {
    Grid::linear(tokens.div_ceil(tokens_of(variant)) * (part.rows / UNIT as u32))
}
