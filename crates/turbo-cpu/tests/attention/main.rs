//! Attention over the KV cache: parity with the twin, accuracy, faults.

mod accuracy;
mod bias;
mod case;
mod faults;
mod golden;
mod parity;
