//! One file per subcommand.

pub mod devices;
pub mod logits;
pub mod perplexity;
pub mod run;
pub mod serve;
pub mod show;
pub mod tokenize;
