//! Plans of the fixtures, of small made-up files, and every refusal's message.

mod any_metadata;
mod info;
mod plans;
mod refusals;
mod rope;
mod small;
