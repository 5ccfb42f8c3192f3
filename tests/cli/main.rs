//! The command as users meet it: what it prints, what it refuses and how, and that its numbers are right.

mod accuracy;
mod commands;
mod gpu;
mod memory;
mod program;
mod refusals;
mod serve;
