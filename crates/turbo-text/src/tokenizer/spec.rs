//! A vocabulary as plain data.

/// Everything a [`super::Tokenizer`] is built from: the `tokenizer.ggml.*` metadata of a file, in
/// memory.
///
/// Fields left `None` get llama.cpp's defaults for the kind of vocabulary.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VocabSpec {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE), `llama` (SentencePiece BPE) or `gemma4`
    /// (BPE over plain UTF-8).
    pub model: String,
    /// `tokenizer.ggml.pre`: name of the pre-tokenizer; only for BPE.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the text of each token; the index is the id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`: priority of each token (SentencePiece; higher merges first).
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6
    /// byte.
    pub token_types: Option<Vec<i32>>,
    /// `tokenizer.ggml.merges`: pairs "left right", most urgent first (BPE).
    pub merges: Option<Vec<String>>,
    /// Ids of tokens with a role.
    pub special: SpecialIds,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`: whether SentencePiece text gets a space in front.
    pub add_space_prefix: Option<bool>,
    /// `general.name`: a few models need treatment that only their name tells.
    pub model_name: Option<String>,
    /// `general.architecture`, for the same reason.
    pub architecture: Option<String>,
}

/// Ids of tokens with a role; `None` where the file names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Beginning of a sequence.
    pub bos: Option<u32>,
    /// End of a sequence.
    pub eos: Option<u32>,
    /// End of a turn.
    pub eot: Option<u32>,
    /// End of a message.
    pub eom: Option<u32>,
    /// Text that no token covers.
    pub unk: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
    /// Padding of fill-in-the-middle prompts.
    pub fim_pad: Option<u32>,
    /// Repository name in fill-in-the-middle prompts.
    pub fim_rep: Option<u32>,
    /// File separator in fill-in-the-middle prompts.
    pub fim_sep: Option<u32>,
    /// Text before the gap of a fill-in-the-middle prompt.
    pub fim_pre: Option<u32>,
    /// Text after the gap.
    pub fim_suf: Option<u32>,
    /// Start of the gap's text.
    pub fim_mid: Option<u32>,
}

/// Access to one role.
type Role = fn(&mut SpecialIds) -> &mut Option<u32>;

/// The metadata key of each role. Later keys are older names of the same role.
pub(super) const ROLES: &[(&str, Role)] = &[
    ("tokenizer.ggml.bos_token_id", |ids| &mut ids.bos),
    ("tokenizer.ggml.eos_token_id", |ids| &mut ids.eos),
    ("tokenizer.ggml.eot_token_id", |ids| &mut ids.eot),
    ("tokenizer.ggml.eom_token_id", |ids| &mut ids.eom),
    ("tokenizer.ggml.unknown_token_id", |ids| &mut ids.unk),
    ("tokenizer.ggml.padding_token_id", |ids| &mut ids.pad),
    ("tokenizer.ggml.fim_pad_token_id", |ids| &mut ids.fim_pad),
    ("tokenizer.ggml.fim_rep_token_id", |ids| &mut ids.fim_rep),
    ("tokenizer.ggml.fim_sep_token_id", |ids| &mut ids.fim_sep),
    ("tokenizer.ggml.fim_pre_token_id", |ids| &mut ids.fim_pre),
    ("tokenizer.ggml.fim_suf_token_id", |ids| &mut ids.fim_suf),
    ("tokenizer.ggml.fim_mid_token_id", |ids| &mut ids.fim_mid),
    ("tokenizer.ggml.prefix_token_id", |ids| &mut ids.fim_pre),
    ("tokenizer.ggml.suffix_token_id", |ids| &mut ids.fim_suf),
    ("tokenizer.ggml.middle_token_id", |ids| &mut ids.fim_mid),
];

/// The key that a wrong padding id is tolerated under: fine-tunes of Llama 2 name a padding token
/// that they never added, and nothing reads it. It is dropped with a warning.
pub(super) const PADDING_KEY: &str = "tokenizer.ggml.padding_token_id";
