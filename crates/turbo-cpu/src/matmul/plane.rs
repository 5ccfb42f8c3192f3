//! Integer planes of weight rows: codes, scales and mins of 32 columns at a time.

use turbo_gguf::GgmlType;
use turbo_quant::ggml;

use super::activations::BLOCK;

/// What the planes of a type look like, in blocks of 32 columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The two halves of a block have their own scales (and mins).
    pub(crate) halves: bool,
    /// The type has mins: `value = scale * code - min`.
    pub(crate) mins: bool,
}

/// The shape of a type's planes; `None` when its products are computed in `f32`.
pub(crate) fn shape(ty: GgmlType) -> Option<Shape> {
    let shape = ggml::plane_shape(ty)?;
    // Other cuts do not exist among the ggml types; if one appears it takes the f32 path.
    let cut = shape.sub == BLOCK / 2 || shape.sub == BLOCK;
    (cut && shape.block.is_multiple_of(BLOCK)).then_some(Shape { halves: shape.sub == BLOCK / 2, mins: shape.has_mins })
}

/// Columns that share a scale; 32 for types without planes, which have none to share.
pub(crate) fn plane_sub(ty: GgmlType) -> usize {
    ggml::plane_shape(ty).map_or(BLOCK, |shape| shape.sub)
}

/// Whether products of the type take int8 activations.
pub(crate) fn has_planes(ty: GgmlType) -> bool {
    shape(ty).is_some()
}

/// One row of weights: `value = scale * code - min`.
///
/// `low` and `high` belong to the halves of a block; without [`Shape::halves`] only `low` is used,
/// for the whole block.
#[derive(Default)]
pub(crate) struct Planes {
    pub(crate) codes: Vec<i8>,
    pub(crate) low: Vec<f32>,
    pub(crate) high: Vec<f32>,
    pub(crate) min_low: Vec<f32>,
    pub(crate) min_high: Vec<f32>,
    scales: Vec<f32>,
    mins: Vec<f32>,
}

impl Planes {
    /// Makes room for a row of `cols` columns.
    pub(crate) fn resize(&mut self, shape: Shape, cols: usize) {
        let blocks = cols / BLOCK;
        self.codes.resize(cols, 0);
        self.low.resize(blocks, 0.0);
        self.high.resize(if shape.halves { blocks } else { 0 }, 0.0);
        self.min_low.resize(if shape.mins { blocks } else { 0 }, 0.0);
        self.min_high.resize(if shape.mins && shape.halves { blocks } else { 0 }, 0.0);
    }

    /// Fills the planes from the bytes of a row of `cols` values, after [`resize`](Self::resize).
    pub(crate) fn expand(&mut self, ty: GgmlType, cols: usize, bytes: &[u8]) {
        let sub = plane_sub(ty);
        let (parts, mins) = (cols / sub, !self.min_low.is_empty());
        self.scales.resize(parts, 0.0);
        self.mins.resize(if mins { parts } else { 0 }, 0.0);
        ggml::expand(ty, bytes, &mut self.codes, &mut self.scales, &mut self.mins);
        spread(sub, &self.scales, &mut self.low, &mut self.high);
        if mins {
            spread(sub, &self.mins, &mut self.min_low, &mut self.min_high);
        }
    }
}

/// Numbers per `sub` columns to numbers per block of 32, or per half of one.
fn spread(sub: usize, from: &[f32], low: &mut [f32], high: &mut [f32]) {
    if sub == BLOCK / 2 {
        for ((pair, low), high) in from.as_chunks::<2>().0.iter().zip(low).zip(high) {
            [*low, *high] = *pair;
        }
    } else {
        low.copy_from_slice(from);
    }
}
