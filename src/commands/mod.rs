//! One file per subcommand.

pub(crate) mod bench;
pub(crate) mod bench_kernels;
pub(crate) mod devices;
pub(crate) mod logits;
pub(crate) mod parity;
pub(crate) mod perplexity;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod tokenize;
