//! Products of weights with activations.

mod choice;
mod codes;
mod fused;
mod halves;
mod matvec;
mod tiles;

pub use choice::{FewTokens, half_variant, has_half_tiles};
pub use codes::{Codes, CodesInput, CodesPart};
pub use fused::{Gated, Joined, MOST_FUSED_TOKENS, Residual, are_joinable, are_pair, makes_units, suits_residual};
pub use halves::Halves;
pub use matvec::{Input, MatVec, few_variant};
pub use tiles::{Tiles, TilesInput};
