//! The KV cache types and how a head is cut into rotation groups and scale blocks.

use std::fmt;
use std::str::FromStr;

/// What one side (K or V) of a layer's cache is stored as. Formats: `docs/exact-attention.md` section 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvType {
    /// IEEE half precision, not rotated.
    F16,
    /// 8-bit codes, one f16 scale per 32 values, rotated.
    Q8_0,
    /// 4-bit codes, one f16 scale per 32 values, rotated.
    Q4_0,
    /// 2-bit Lloyd-Max codes, one f16 scale per rotation group.
    Turbo2,
    /// 3-bit Lloyd-Max codes, one f16 scale per rotation group.
    Turbo3,
    /// 4-bit Lloyd-Max codes, one f16 scale per rotation group.
    Turbo4,
}

/// The name given is not a KV cache type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown KV cache type {name:?}: valid types are {}", KvType::names())]
pub struct UnknownKvType {
    /// What was asked for.
    pub name: String,
}

impl KvType {
    /// Every type, from the largest to the smallest.
    pub const ALL: [Self; 6] = [Self::F16, Self::Q8_0, Self::Q4_0, Self::Turbo4, Self::Turbo3, Self::Turbo2];

    /// The name users type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Turbo2 => "turbo2",
            Self::Turbo3 => "turbo3",
            Self::Turbo4 => "turbo4",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Bits of one code; 16 for [`KvType::F16`].
    pub const fn code_bits(self) -> usize {
        match self {
            Self::F16 => 16,
            Self::Q8_0 => 8,
            Self::Q4_0 | Self::Turbo4 => 4,
            Self::Turbo3 => 3,
            Self::Turbo2 => 2,
        }
    }

    /// Bits of a code in the first plane of its words: the low two for [`KvType::Turbo3`].
    pub const fn low_bits(self) -> usize {
        match self {
            Self::Turbo3 => 2,
            _ => self.code_bits(),
        }
    }

    /// Whether values are stored rotated, as integer codes with scales (all types but f16).
    pub const fn is_coded(self) -> bool {
        !matches!(self, Self::F16)
    }

    /// Whether codes index a Lloyd-Max level table.
    pub const fn is_turbo(self) -> bool {
        matches!(self, Self::Turbo2 | Self::Turbo3 | Self::Turbo4)
    }

    /// Whether a head of this many values can be stored: any even size for f16, multiples of 16 otherwise.
    pub const fn supports_head(self, head_dim: usize) -> bool {
        match self {
            Self::F16 => head_dim > 0 && head_dim.is_multiple_of(2),
            _ => head_dim > 0 && head_dim.is_multiple_of(16),
        }
    }

    /// u32 words of codes for one head of one token.
    pub const fn code_words(self, head_dim: usize) -> usize {
        match self {
            Self::F16 => head_dim / 2,
            Self::Q8_0 => head_dim / 4,
            Self::Q4_0 | Self::Turbo4 => head_dim / 8,
            Self::Turbo3 => head_dim / 16 + head_dim.div_ceil(32),
            Self::Turbo2 => head_dim / 16,
        }
    }

    /// Number of scale blocks (f16 scales) for one head of one token.
    pub fn scale_blocks(self, head_dim: usize) -> usize {
        match self {
            Self::F16 => 0,
            Self::Q8_0 | Self::Q4_0 => head_dim.div_ceil(32),
            Self::Turbo2 | Self::Turbo3 | Self::Turbo4 => rotation_groups(head_dim).count(),
        }
    }

    /// Sizes of the scale blocks of a head, in order.
    pub fn scale_block_sizes(self, head_dim: usize) -> Vec<usize> {
        match self {
            Self::F16 => Vec::new(),
            Self::Q8_0 | Self::Q4_0 => (0..head_dim).step_by(32).map(|at| (head_dim - at).min(32)).collect(),
            Self::Turbo2 | Self::Turbo3 | Self::Turbo4 => rotation_groups(head_dim).collect(),
        }
    }
}

/// Sizes of the rotation groups of a head, in order: greedily the largest of 128, 64, 32, 16 that fits.
///
/// `head_dim` must be a multiple of 16 ([`KvType::supports_head`]); a remainder below 16 is left out.
pub fn rotation_groups(head_dim: usize) -> impl Iterator<Item = usize> + Clone {
    let mut left = head_dim;
    std::iter::from_fn(move || {
        let n = [128, 64, 32, 16].into_iter().find(|&n| n <= left)?;
        left -= n;
        Some(n)
    })
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for KvType {
    type Err = UnknownKvType;

    fn from_str(name: &str) -> Result<Self, UnknownKvType> {
        Self::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| UnknownKvType { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_cut_greedily() {
        let cut = |d| rotation_groups(d).collect::<Vec<_>>();
        assert_eq!(cut(64), [64]);
        assert_eq!(cut(80), [64, 16]);
        assert_eq!(cut(96), [64, 32]);
        assert_eq!(cut(192), [128, 64]);
        assert_eq!(cut(576), [128, 128, 128, 128, 64]);
        assert_eq!(KvType::Q8_0.scale_block_sizes(80), [32, 32, 16]);
    }

    #[test]
    fn an_unknown_type_lists_the_valid_ones() {
        let error = "turbo5".parse::<KvType>().unwrap_err().to_string();
        assert_eq!(error, "unknown KV cache type \"turbo5\": valid types are f16, q8_0, q4_0, turbo4, turbo3, turbo2");
    }
}
