//! What rows of every weight type look like in GPU memory; `wgsl/shared/weight_unit.wgsl` reads them.

use turbo_gguf::GgmlType;
use turbo_quant::ggml::{FP4_LEVELS, IQ4_LEVELS};

/// Columns of a unit.
pub const UNIT: usize = 32;

/// How scales are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scales {
    /// None: the values are floats.
    Float,
    /// An f16 for every unit.
    Half,
    /// Two f16 for every unit: scale and offset.
    Pair,
    /// The upper half of an f32 for every unit.
    Brain,
    /// For 256 values a word of two f16, then two bytes for every unit.
    Super,
}

/// How a type is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) ty: GgmlType,
    /// Bits of a code in the low plane.
    pub(super) low: usize,
    /// Bits of a code in the high plane.
    pub(super) high: usize,
    pub(super) scales: Scales,
    /// Added to a code to make it unsigned.
    pub(super) offset: i8,
    /// Where codes are stored as indices: the levels.
    pub(super) levels: Option<&'static [i8; 16]>,
}

/// Words of the parts of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLayout {
    /// Units of 32 columns.
    pub units: usize,
    /// Words before the plane of high bits.
    pub high_plane: usize,
    /// Words before the scales.
    pub scales: usize,
    /// Words of the whole row, a multiple of 4.
    pub words: usize,
}

impl Layout {
    /// The layout of a type; `None` if there are no kernels for it.
    pub fn of(ty: GgmlType) -> Option<Self> {
        let plain = |low, high, scales, offset| Self { ty, low, high, scales, offset, levels: None };
        Some(match ty {
            GgmlType::F32 | GgmlType::F16 | GgmlType::BF16 => plain(0, 0, Scales::Float, 0),
            GgmlType::Q8_0 => plain(8, 0, Scales::Half, 0),
            GgmlType::Q4_0 => plain(4, 0, Scales::Half, 8),
            GgmlType::Q4_1 => plain(4, 0, Scales::Pair, 0),
            GgmlType::Q5_0 => plain(4, 1, Scales::Half, 16),
            GgmlType::Q5_1 => plain(4, 1, Scales::Pair, 0),
            GgmlType::Q2_K => plain(2, 0, Scales::Super, 0),
            GgmlType::Q3_K => plain(2, 1, Scales::Super, 4),
            GgmlType::Q4_K => plain(4, 0, Scales::Super, 0),
            GgmlType::Q5_K => plain(4, 1, Scales::Super, 0),
            GgmlType::Q6_K => plain(4, 2, Scales::Super, 32),
            GgmlType::IQ4_NL => Self { levels: Some(&IQ4_LEVELS), ..plain(4, 0, Scales::Half, 0) },
            GgmlType::IQ4_XS => Self { levels: Some(&IQ4_LEVELS), ..plain(4, 0, Scales::Super, 0) },
            GgmlType::MXFP4 => Self { levels: Some(&FP4_LEVELS), ..plain(4, 0, Scales::Brain, 0) },
            _ => return None,
        })
    }

    /// Bytes of a block at which its f16 factors are: one or two, none of types without.
    pub const fn factors(&self) -> &'static [usize] {
        match self.ty {
            GgmlType::Q8_0 | GgmlType::Q4_0 | GgmlType::Q5_0 | GgmlType::IQ4_NL | GgmlType::IQ4_XS => &[0],
            GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4_K | GgmlType::Q5_K => &[0, 2],
            GgmlType::Q2_K => &[80, 82],
            GgmlType::Q3_K => &[108],
            GgmlType::Q6_K => &[208],
            _ => &[],
        }
    }

    /// All types that have one.
    pub fn all() -> impl Iterator<Item = Self> {
        GgmlType::ALL.iter().filter_map(|&ty| Self::of(ty))
    }

    /// The type.
    pub fn ty(&self) -> GgmlType {
        self.ty
    }

    /// A row of `cols` values, a multiple of the type's block.
    pub fn row(&self, cols: usize) -> RowLayout {
        let units = cols / UNIT;
        let aligned = |words: usize| words.next_multiple_of(4);
        let scale_words = match self.scales {
            Scales::Float => {
                let words = aligned((cols * self.ty.block_bytes()).div_ceil(4));
                return RowLayout { units, high_plane: 0, scales: 0, words };
            }
            Scales::Half | Scales::Brain => units.div_ceil(2),
            Scales::Pair => units,
            Scales::Super => units / 8 * 5,
        };
        let high_plane = aligned(units * self.low);
        let scales = high_plane + aligned(units * self.high);
        RowLayout { units, high_plane, scales, words: aligned(scales + scale_words) }
    }
}
