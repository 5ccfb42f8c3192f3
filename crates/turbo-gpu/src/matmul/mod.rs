//! Products of weights with activations.

mod choice;
mod codes;
mod halves;
mod matvec;
mod tiles;

pub use choice::{FewTokens, half_variant, has_half_tiles};
pub use codes::{Codes, CodesPart};
pub use halves::Halves;
pub use matvec::{Input, MatVec};
pub use tiles::{Tiles, TilesInput};
