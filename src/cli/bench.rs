//! Flags of `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use turbo_quant::KvType;

use super::env;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// A Markdown table.
    Md,
    /// Comma-separated values.
    Csv,
    /// An array of objects with llama-bench's keys.
    Json,
}

/// `bench`
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// GGUF file, or the first part of a split one [default: the small model built into this program]
    #[arg(short, long, value_name = "MODEL", env = env("TURBO_MODEL", "LLAMA_ARG_MODEL"))]
    pub(crate) model: Option<PathBuf>,
    /// Tokens of prompt; several by commas, 0 for none
    #[arg(short = 'p', long, value_name = "N", value_delimiter = ',', default_value = "512", env = env("TURBO_N_PROMPT", "LLAMA_ARG_N_PROMPT"))]
    pub(crate) n_prompt: Vec<usize>,
    /// Tokens to generate, one by one; several by commas, 0 for none
    #[arg(short = 'n', long, value_name = "N", value_delimiter = ',', default_value = "128", env = env("TURBO_N_GEN", "LLAMA_ARG_N_GEN"))]
    pub(crate) n_gen: Vec<usize>,
    /// Tokens in the cache before it starts; several by commas
    #[arg(short = 'd', long, value_name = "N", value_delimiter = ',', default_value = "0", env = env("TURBO_N_DEPTH", "LLAMA_ARG_N_DEPTH"))]
    pub(crate) n_depth: Vec<usize>,
    /// KV cache types of the keys, by commas
    #[arg(long, alias = "cache-type-k", value_name = "TYPE", value_delimiter = ',', default_value = "f16", env = env("TURBO_CTK", "LLAMA_ARG_CACHE_TYPE_K"))]
    pub(crate) ctk: Vec<KvType>,
    /// KV cache types of the values, by commas, one for each of the keys; fewer: the last one for the rest
    #[arg(long, alias = "cache-type-v", value_name = "TYPE", value_delimiter = ',', default_value = "f16", env = env("TURBO_CTV", "LLAMA_ARG_CACHE_TYPE_V"))]
    pub(crate) ctv: Vec<KvType>,
    /// Repetitions of every test
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000), env = env("TURBO_REPETITIONS", "LLAMA_ARG_REPETITIONS"))]
    pub(crate) repetitions: u16,
    /// Where to run: auto (the best GPU that is not software, else the CPU), cpu, gpu (the best one), or a GPU by index, name or part of a name as `devices` lists them
    #[arg(long, value_name = "DEVICE", default_value = "auto", env = env("TURBO_DEVICE", "LLAMA_ARG_DEVICE"))]
    pub(crate) device: String,
    /// Threads that compute [default: one per physical core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = env("TURBO_THREADS", "LLAMA_ARG_THREADS"))]
    pub(crate) threads: Option<u16>,
    /// How to print the results
    #[arg(short, long, value_name = "FORMAT", default_value = "table", env = env("TURBO_OUTPUT", "LLAMA_ARG_OUTPUT"))]
    pub(crate) output: Output,
}

impl BenchArgs {
    /// The pairs of KV types to test.
    pub(crate) fn types(&self) -> Vec<(KvType, KvType)> {
        let last = |types: &[KvType], i: usize| types.get(i).or(types.last()).copied().unwrap_or(KvType::F16);
        (0..self.ctk.len().max(self.ctv.len())).map(|i| (last(&self.ctk, i), last(&self.ctv, i))).collect()
    }
}
