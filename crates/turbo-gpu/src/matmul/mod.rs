//! Products of weights with activations.

mod codes;
mod matvec;

pub use codes::Codes;
pub use matvec::{Input, MatVec, type_name};
