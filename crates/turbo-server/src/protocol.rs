//! One folder per protocol: each translates its bodies into a [`crate::generation::Job`] and the engine's steps back.

pub(crate) mod openai;
