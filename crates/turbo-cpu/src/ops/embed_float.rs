//! Rows of an embedding table of floats: the same as of any other type.

pub use super::embed::embed as embed_float;
