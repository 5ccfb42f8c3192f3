//! Root-mean-square norm in place: the same as to another place.

pub use super::rms_norm::rms_norm as rms_norm_in_place;
