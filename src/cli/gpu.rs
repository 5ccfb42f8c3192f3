//! Flags of the commands that run GPU kernels.

use clap::Args;

use super::env;

/// `parity`
#[derive(Debug, Args)]
pub(crate) struct ParityArgs {
    /// Where: a GPU by index, name or part of a name as `devices` lists them, all, or auto: the best GPU
    #[arg(long, value_name = "DEVICE", default_value = "auto", env = env("TURBO_DEVICE", "LLAMA_ARG_DEVICE"))]
    pub(crate) device: String,
    /// Fewer vectors of every shape, and on software adapters fewer variants
    #[arg(long, env = env("TURBO_QUICK", "LLAMA_ARG_QUICK"))]
    pub(crate) quick: bool,
    /// Only variants whose family/kernel[variant] contains this
    #[arg(long, value_name = "KERNEL", env = env("TURBO_ONLY", "LLAMA_ARG_ONLY"))]
    pub(crate) only: Option<String>,
    /// A line for every variant instead of one for every kernel
    #[arg(short, long, env = env("TURBO_VERBOSE", "LLAMA_ARG_VERBOSE"))]
    pub(crate) verbose: bool,
    /// Print JSON only: an object, or with --device all an array of them
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
}

/// `bench-kernels`
#[derive(Debug, Args)]
pub(crate) struct BenchKernelsArgs {
    /// Where: a GPU by index, name or part of a name as `devices` lists them, or auto: the best GPU
    #[arg(long, value_name = "DEVICE", default_value = "auto", env = env("TURBO_DEVICE", "LLAMA_ARG_DEVICE"))]
    pub(crate) device: String,
    /// Keys of the sequence that is attended to
    #[arg(long, value_name = "N", default_value_t = turbo_bench::BenchOptions::default().keys, env = env("TURBO_KEYS", "LLAMA_ARG_KEYS"))]
    pub(crate) keys: usize,
    /// At most 1024 keys and few samples, for software adapters
    #[arg(long, env = env("TURBO_QUICK", "LLAMA_ARG_QUICK"))]
    pub(crate) quick: bool,
    /// Only variants whose kernel[variant] contains this; the bandwidth is always measured
    #[arg(long, value_name = "KERNEL", env = env("TURBO_ONLY", "LLAMA_ARG_ONLY"))]
    pub(crate) only: Option<String>,
    /// Every variant that the device can run, not only those it would use
    #[arg(short, long, env = env("TURBO_VERBOSE", "LLAMA_ARG_VERBOSE"))]
    pub(crate) verbose: bool,
    /// Print JSON only
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
}
