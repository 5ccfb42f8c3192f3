//! Products of weights with activations.

mod codes;
mod halves;
mod matvec;
mod tiles;

pub use codes::Codes;
pub use halves::Halves;
pub use matvec::{Input, MatVec, type_name};
pub use tiles::{FewTokens, Tiles, TilesInput, half_variant, has_half_tiles};
