//! Norm and rotation of heads, for the kernels that take heads straight from their product.

use turbo_backend::plan::RopeStyle;

use crate::buffer::Bind;
use crate::ops::HeadNorm;

/// What is done to every head: a norm, if there is one, then its rotary embedding.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The norm.
    pub norm: Option<HeadNorm<'a>>,
    /// Pairs of a head that are rotated.
    pub pairs: u32,
    /// Which values are pairs.
    pub style: RopeStyle,
    /// Per token `pairs` cosines, then as many sines.
    pub factors: Bind<'a>,
    /// Tokens there before the first one that is worked on.
    pub first_token: u32,
}

impl<'a> Turn<'a> {
    /// Whether kernels that turn four values at a time can do it to heads of `head_dim` values: vectors of four must not
    /// be cut by a pair or by the end of those that are rotated.
    pub fn fits(head_dim: usize, pairs: usize, style: RopeStyle) -> bool {
        let whole = match style {
            RopeStyle::Neox => 4,
            RopeStyle::Interleaved => 2,
        };
        head_dim.is_multiple_of(4) && pairs.is_multiple_of(whole) && 2 * pairs <= head_dim
    }

    /// Why this cannot be done to the heads of `tokens` tokens, if so.
    pub(crate) fn problem(&self, head_dim: usize, tokens: u32) -> Option<String> {
        if !Self::fits(head_dim, self.pairs as usize, self.style) {
            let (pairs, style) = (self.pairs, self.style);
            return Some(format!("{pairs} pairs ({style:?}) of heads of {head_dim} values are no whole vectors of 4"));
        }
        let angles = 8 * (u64::from(self.first_token) + u64::from(tokens)) * u64::from(self.pairs);
        if self.factors.bytes < angles.max(4) {
            return Some(format!("factors has {} bytes, {angles} are needed", self.factors.bytes));
        }
        let short = self.norm.filter(|norm| norm.weight.bytes < 4 * head_dim as u64)?;
        Some(format!("weight has {} bytes, {} are needed", short.weight.bytes, 4 * head_dim))
    }

    /// The norm's factors, or `other`, which is read but not used.
    pub(crate) fn weight(&self, other: Bind<'a>) -> Bind<'a> {
        self.norm.map_or(other, |norm| norm.weight)
    }

    /// `neox`, `normed` and `eps` of params.
    pub(crate) fn params(&self) -> (u32, u32, f32) {
        let neox = (self.style == RopeStyle::Neox).into();
        (neox, self.norm.is_some().into(), self.norm.map_or(0.0, |norm| norm.eps))
    }
}
