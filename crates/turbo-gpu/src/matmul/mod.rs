//! Products of weights with activations.

mod choice;
mod codes;
mod fused;
mod gated;
mod halves;
mod joined;
mod matvec;
mod residual;
mod tiles;

pub use choice::{FewTokens, half_variant, has_half_tiles};
pub use codes::{Codes, CodesInput, CodesPart};
pub use fused::{MOST_FUSED_TOKENS, makes_units};
pub use gated::{Gated, are_pair};
pub use halves::Halves;
pub use joined::{Joined, are_joinable};
pub use matvec::{Input, MatVec, few_variant};
pub use residual::{Residual, suits_residual};
pub use tiles::{Tiles, TilesInput};
