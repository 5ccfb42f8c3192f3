//! Products of weights with activations.

pub(crate) mod matvec;
pub(crate) mod matvec_float;
pub(crate) mod weights;
