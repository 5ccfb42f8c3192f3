//! Kernels of attention.

mod case;
pub(crate) mod decode;
mod problem;
pub(crate) mod query_codes;

pub use case::Case;
pub use problem::Problem;
