//! Flags, their environment variables and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod bench;
mod gpu;

pub(crate) use bench::{BenchArgs, Output};
pub(crate) use gpu::{BenchKernelsArgs, ParityArgs};
use turbo_quant::KvType;

/// The environment variable that a flag is read from: ours if it is set, else llama.cpp's name for the same thing.
fn env(ours: &'static str, llama: &'static str) -> &'static str {
    if std::env::var_os(ours).is_none() && std::env::var_os(llama).is_some() { llama } else { ours }
}

/// Run any GGUF language model with a KV cache 3.9 to 7.5 times smaller.
#[derive(Debug, Parser)]
#[command(name = "turbo-wgpu", version, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a model over HTTP to OpenAI clients
    Serve(ServeArgs),
    /// Answer a prompt, or chat when there is none
    Run(RunArgs),
    /// Perplexity of a text, by the protocol of llama-perplexity
    Perplexity(PerplexityArgs),
    /// Logits of given token ids
    Logits(LogitsArgs),
    /// Token ids of a text
    Tokenize(TokenizeArgs),
    /// What a model file holds and how much memory it needs
    Show(ShowArgs),
    /// Tokens per second of a model, measured as llama-bench does
    Bench(BenchArgs),
    /// The CPU and the GPUs of this machine, and what they can do
    Devices(DevicesArgs),
    /// Compare every GPU kernel with the CPU, to the bit, on your own GPU
    Parity(ParityArgs),
    /// Time every GPU kernel, and its share of the memory bandwidth
    BenchKernels(BenchKernelsArgs),
}

/// Which model, where, and with which KV cache.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArgs {
    /// GGUF file, or the first part of a split one [default: the small model built into this program]
    #[arg(short, long, value_name = "MODEL", env = env("TURBO_MODEL", "LLAMA_ARG_MODEL"))]
    pub(crate) model: Option<PathBuf>,
    /// KV cache type of the keys: f16, q8_0, q4_0, turbo4, turbo3, turbo2 (also -ctk)
    #[arg(long, alias = "cache-type-k", value_name = "TYPE", default_value = "f16", env = env("TURBO_CTK", "LLAMA_ARG_CACHE_TYPE_K"))]
    pub(crate) ctk: KvType,
    /// KV cache type of the values (also -ctv)
    #[arg(long, alias = "cache-type-v", value_name = "TYPE", default_value = "f16", env = env("TURBO_CTV", "LLAMA_ARG_CACHE_TYPE_V"))]
    pub(crate) ctv: KvType,
    /// Where to run: auto (the best GPU that is not software, else the CPU), cpu, gpu (the best one), or a GPU by index, name or part of a name as `devices` lists them
    #[arg(long, value_name = "DEVICE", default_value = "auto", env = env("TURBO_DEVICE", "LLAMA_ARG_DEVICE"))]
    pub(crate) device: String,
    /// Threads that compute [default: one per physical core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = env("TURBO_THREADS", "LLAMA_ARG_THREADS"))]
    pub(crate) threads: Option<u16>,
}

/// Size of the context, for commands where it is a matter of memory.
#[derive(Clone, Debug, Args)]
pub(crate) struct ContextArgs {
    /// Tokens of context [default: the model's own, or the largest that fits in the free memory]
    #[arg(short, long = "ctx-size", value_name = "TOKENS", env = env("TURBO_CTX_SIZE", "LLAMA_ARG_CTX_SIZE"))]
    pub(crate) context: Option<usize>,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Model and cache.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Context.
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// Address to listen on
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", env = env("TURBO_HOST", "LLAMA_ARG_HOST"))]
    pub(crate) host: String,
    /// Port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 11434, env = env("TURBO_PORT", "LLAMA_ARG_PORT"))]
    pub(crate) port: u16,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Model and cache.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Context.
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// Answer this prompt and leave; without it, chat
    #[arg(short, long, value_name = "PROMPT", env = env("TURBO_PROMPT", "LLAMA_ARG_PROMPT"))]
    pub(crate) prompt: Option<String>,
    /// Most tokens of an answer [default: to the end of the context]
    #[arg(short, long = "n-predict", value_name = "TOKENS", env = env("TURBO_N_PREDICT", "LLAMA_ARG_N_PREDICT"))]
    pub(crate) n_predict: Option<usize>,
    /// Continue the prompt as it is, without the model's chat template
    #[arg(long, env = env("TURBO_RAW", "LLAMA_ARG_RAW"))]
    pub(crate) raw: bool,
    /// Sampling.
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

/// How tokens are chosen.
#[derive(Clone, Debug, Args)]
pub(crate) struct SamplingArgs {
    /// Randomness of the answer; 0 always takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true, env = env("TURBO_TEMP", "LLAMA_ARG_TEMP"))]
    pub(crate) temp: f32,
    /// Keep the K most likely tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 40, env = env("TURBO_TOP_K", "LLAMA_ARG_TOP_K"))]
    pub(crate) top_k: usize,
    /// Keep the most likely tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = 0.95, allow_negative_numbers = true, env = env("TURBO_TOP_P", "LLAMA_ARG_TOP_P"))]
    pub(crate) top_p: f32,
    /// Drop tokens less likely than this share of the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.05, allow_negative_numbers = true, env = env("TURBO_MIN_P", "LLAMA_ARG_MIN_P"))]
    pub(crate) min_p: f32,
    /// Penalty on tokens of the last 64; 1 is none
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true, env = env("TURBO_REPEAT_PENALTY", "LLAMA_ARG_REPEAT_PENALTY"))]
    pub(crate) repeat_penalty: f32,
    /// Start of the random numbers: the same seed gives the same text [default: random]
    #[arg(long, value_name = "SEED", env = env("TURBO_SEED", "LLAMA_ARG_SEED"))]
    pub(crate) seed: Option<u64>,
}

/// `perplexity`
#[derive(Debug, Args)]
pub(crate) struct PerplexityArgs {
    /// Model and cache.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Text to score
    #[arg(short, long, value_name = "FILE", env = env("TURBO_FILE", "LLAMA_ARG_FILE"))]
    pub(crate) file: PathBuf,
    /// Tokens of each window; its second half is scored
    #[arg(short, long = "ctx-size", value_name = "TOKENS", default_value_t = 512, env = env("TURBO_CTX_SIZE", "LLAMA_ARG_CTX_SIZE"))]
    pub(crate) context: usize,
    /// Score only the first N windows
    #[arg(long, value_name = "N", env = env("TURBO_CHUNKS", "LLAMA_ARG_CHUNKS"))]
    pub(crate) chunks: Option<usize>,
    /// Also measure the KL divergence from the same model with this KV cache type (K and V)
    #[arg(long, value_name = "TYPE", env = env("TURBO_KL_AGAINST", "LLAMA_ARG_KL_AGAINST"))]
    pub(crate) kl_against: Option<KvType>,
    /// Print JSON only
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
}

/// `logits`
#[derive(Debug, Args)]
pub(crate) struct LogitsArgs {
    /// Model and cache.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Token ids, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',', required_unless_present = "ids_file", conflicts_with = "ids_file", env = env("TURBO_IDS", "LLAMA_ARG_IDS"))]
    pub(crate) ids: Vec<u32>,
    /// File of token ids: a JSON array, or numbers separated by white space or commas; - for standard input
    #[arg(long, value_name = "FILE", env = env("TURBO_IDS_FILE", "LLAMA_ARG_IDS_FILE"))]
    pub(crate) ids_file: Option<PathBuf>,
    /// Print JSON only
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
}

/// `tokenize`
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// GGUF file [default: the built-in model]
    #[arg(short, long, value_name = "MODEL", env = env("TURBO_MODEL", "LLAMA_ARG_MODEL"))]
    pub(crate) model: Option<PathBuf>,
    /// Print JSON only
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
    /// Add the beginning and end tokens that the model wants around a prompt
    #[arg(long, env = env("TURBO_ADD_SPECIAL", "LLAMA_ARG_ADD_SPECIAL"))]
    pub(crate) add_special: bool,
    /// Recognise special tokens written out in the text, as in a prompt
    #[arg(long, env = env("TURBO_PARSE_SPECIAL", "LLAMA_ARG_PARSE_SPECIAL"))]
    pub(crate) parse_special: bool,
    /// The text, or - for standard input
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,
}

/// `show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// GGUF file [default: the built-in model]
    #[arg(value_name = "MODEL", env = env("TURBO_MODEL", "LLAMA_ARG_MODEL"))]
    pub(crate) model: Option<PathBuf>,
    /// Context.
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// Print JSON only
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
}

/// `devices`
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Print JSON only
    #[arg(long, env = env("TURBO_JSON", "LLAMA_ARG_JSON"))]
    pub(crate) json: bool,
}

/// llama.cpp's one-dash spellings of long flags, as clap wants them.
pub(crate) fn normalise(args: impl Iterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    args.map(|arg| match arg.to_str() {
        Some("-ctk") => "--ctk".into(),
        Some("-ctv") => "--ctv".into(),
        _ => arg,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Result<Cli, String> {
        let args = normalise(std::iter::once("turbo-wgpu").chain(args.iter().copied()).map(Into::into));
        Cli::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn llama_servers_spellings_work() {
        let cli = parse(&["serve", "-ctk", "turbo4", "-ctv", "turbo3", "-c", "4096"]).expect("valid flags");
        let Command::Serve(args) = cli.command else { panic!("not serve") };
        assert_eq!((args.model.ctk, args.model.ctv), (KvType::Turbo4, KvType::Turbo3));
        assert_eq!(args.context.context, Some(4096));
    }

    #[test]
    fn an_unknown_kv_type_lists_the_valid_ones() {
        let error = parse(&["serve", "--ctk", "turbo5"]).expect_err("turbo5 does not exist");
        assert!(error.contains("valid types are f16, q8_0, q4_0, turbo4, turbo3, turbo2"), "{error}");
    }
}
