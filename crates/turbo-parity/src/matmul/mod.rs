//! Products of weights with activations.

pub(crate) mod few;
pub(crate) mod halves;
pub(crate) mod matvec;
pub(crate) mod matvec_float;
pub(crate) mod matvec_gated;
pub(crate) mod matvec_joined;
pub(crate) mod matvec_residual;
pub(crate) mod problem;
pub(crate) mod tiles;
pub(crate) mod tiles_float;
pub(crate) mod tiles_half;
pub(crate) mod weights;
