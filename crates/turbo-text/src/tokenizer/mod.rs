//! Text to tokens and back.
//!
//! The rules are llama.cpp's, so that every file gives the ids that its publisher saw: byte-level
//! BPE behind one of the named pre-tokenizers, and SentencePiece BPE. What cannot be reproduced is
//! refused by name.

mod bpe;
mod bytes;
mod categories;
mod error;
mod from_gguf;
mod hash;
mod partition;
mod pattern;
mod pretokenizers;
mod roles;
mod spec;
mod spm;
mod stream;
mod vocab;

pub use error::TextError;
pub use spec::{SpecialIds, VocabSpec};
pub use stream::StreamDecoder;
pub use vocab::TokenKind;

use bpe::Bpe;
use partition::{Fragment, Partition};
use pretokenizers::PreTokenizer;
use spm::Spm;
use vocab::{Attributes, Spelling, Vocab};

/// How to encode a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether BOS and EOS are added where the file asks for them.
    pub add_special: bool,
    /// Whether the texts of control tokens stand for the tokens. Off, they are ordinary text;
    /// user-defined tokens are found always.
    pub parse_special: bool,
}

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Tokenizer {
    vocab: Vocab,
    partition: Partition,
    model: Model,
    model_name: String,
    pre_name: Option<String>,
    add_bos: bool,
    add_eos: bool,
    add_space_prefix: bool,
}

#[derive(Debug)]
enum Model {
    Bpe(Box<Bpe>),
    Spm(Spm),
}

impl Tokenizer {
    /// Builds a tokenizer from plain data.
    ///
    /// # Errors
    /// See [`TextError`]: unknown kinds and pre-tokenizers, arrays of different lengths, tokens
    /// that occur twice, merges that are not two texts, ids outside the vocabulary, missing scores
    /// or merges.
    pub fn from_parts(mut spec: VocabSpec) -> Result<Self, TextError> {
        match spec.model.as_str() {
            "llama" => Self::sentence_piece(spec),
            "gpt2" => {
                let missing = spec.pre.as_ref().is_none_or(String::is_empty);
                let name = if missing { "default".to_owned() } else { spec.pre.clone().unwrap_or_default() };
                Self::byte_pair(spec, &name, missing)
            }
            "gemma4" => {
                spec.pre = Some("gemma4".to_owned());
                Self::byte_pair(spec, "gemma4", false)
            }
            _ => Err(TextError::UnknownModel { model: spec.model }),
        }
    }

    fn sentence_piece(mut spec: VocabSpec) -> Result<Self, TextError> {
        // llama.cpp's defaults; a small vocabulary may not have them.
        let n_tokens = spec.tokens.len();
        let default = |id: u32| Some(id).filter(|&id| (id as usize) < n_tokens);
        spec.special.bos = spec.special.bos.or(default(1));
        spec.special.eos = spec.special.eos.or(default(2));
        spec.special.unk = spec.special.unk.or(default(0));
        let vocab = Vocab::new(&mut spec, Spelling::Plain)?;
        let scores = spec.scores.as_deref().ok_or(TextError::MissingKey { key: "tokenizer.ggml.scores" })?;
        let model = Model::Spm(Spm::new(&vocab, scores));
        Ok(Self::assemble(spec, vocab, model, None, true, true))
    }

    fn byte_pair(mut spec: VocabSpec, name: &str, guessed: bool) -> Result<Self, TextError> {
        let pre = PreTokenizer::named(name)?;
        let flags = pre.flags;
        let spelling = if flags.plain { Spelling::Plain } else { Spelling::ByteLevel };
        let mut vocab = Vocab::new(&mut spec, spelling)?;
        if guessed {
            vocab.warnings.push(
                "metadata key `tokenizer.ggml.pre` is missing: text is split by the rules named `default`, which may not be the \
                 model's; convert the model again for full quality"
                    .to_owned(),
            );
        }
        let merges = spec.merges.take().ok_or(TextError::MissingKey { key: "tokenizer.ggml.merges" })?;
        let model = Model::Bpe(Box::new(Bpe::new(&vocab, pre, spelling, &merges)?));
        if flags.gemma && spec.add_bos == Some(false) {
            // Files of Gemma 4 say false, but the model needs it; llama.cpp overrides it too.
            vocab
                .warnings
                .push("`tokenizer.ggml.add_bos_token` is false; it is taken as true, which Gemma 4 needs".to_owned());
            spec.add_bos = None;
        }
        Ok(Self::assemble(spec, vocab, model, Some(name.to_owned()), flags.add_bos || flags.gemma, false))
    }

    fn assemble(
        spec: VocabSpec,
        mut vocab: Vocab,
        model: Model,
        pre_name: Option<String>,
        default_bos: bool,
        default_prefix: bool,
    ) -> Self {
        let mut wanted = |asked: Option<bool>, default: bool, id: Option<u32>, name: &str| {
            let wanted = asked.unwrap_or(default);
            if wanted && id.is_none() {
                vocab
                    .warnings
                    .push(format!("{name} should be added to texts, but the file names no such token; none is added"));
            }
            wanted && id.is_some()
        };
        let (bos, eos) = (vocab.special.bos, vocab.special.eos);
        let add_bos = wanted(spec.add_bos, default_bos, bos, "BOS");
        let add_eos = wanted(spec.add_eos, false, eos, "EOS");
        let add_space_prefix = matches!(model, Model::Spm(_)) && spec.add_space_prefix.unwrap_or(default_prefix);
        let partition = Partition::new(&vocab);
        Self { vocab, partition, model, model_name: spec.model, pre_name, add_bos, add_eos, add_space_prefix }
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        if options.add_special && self.add_bos {
            ids.extend(self.vocab.special.bos);
        }
        let mut after_special = true;
        for fragment in self.partition.split(&self.vocab, text, options.parse_special) {
            match fragment {
                Fragment::Token(id) => ids.push(id),
                Fragment::Text(text) => match &self.model {
                    Model::Bpe(bpe) => bpe.encode(&self.vocab, text, &mut ids),
                    Model::Spm(spm) => {
                        let prefix = if self.add_space_prefix && after_special { "\u{2581}" } else { "" };
                        let escaped = format!("{prefix}{}", text.replace(' ', "\u{2581}"));
                        spm.encode(&self.vocab, &escaped, &mut ids);
                    }
                },
            }
            after_special = matches!(fragment, Fragment::Token(_));
        }
        if options.add_special && self.add_eos {
            ids.extend(self.vocab.special.eos);
        }
        ids
    }

    /// The text of tokens; bytes that are not UTF-8 become U+FFFD. `show_special`: whether control
    /// and unknown tokens appear as their text. Ids outside the vocabulary have no text.
    ///
    /// Nothing is tidied: a SentencePiece text keeps the space that encoding put in front.
    pub fn decode(&self, ids: &[u32], show_special: bool) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.shown_bytes(id, show_special)).copied().collect();
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// The bytes that a token adds to a text.
    fn shown_bytes(&self, id: u32, show_special: bool) -> &[u8] {
        let hidden = !show_special && self.vocab.attributes(id).any(Attributes::CONTROL | Attributes::UNKNOWN);
        if hidden { &[] } else { self.vocab.piece(id).unwrap_or_default() }
    }

    /// The raw bytes of a token, byte-level spelling undone; for control tokens the bytes of their
    /// text. `None` for an id outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.vocab.piece(id)
    }

    /// The text of a token as the vocabulary spells it; empty for an id outside it.
    pub fn token_text(&self, id: u32) -> &str {
        self.vocab.text(id).unwrap_or_default()
    }

    /// The token with exactly this spelling.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.vocab.id(text)
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.vocab.len()
    }

    /// What a token is; `None` for an id outside the vocabulary.
    pub fn kind(&self, id: u32) -> Option<TokenKind> {
        self.vocab.kind(id)
    }

    /// Whether a token is not text: control or unknown.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocab.attributes(id).any(Attributes::CONTROL | Attributes::UNKNOWN)
    }

    /// Whether generation ends when the model picks this token.
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.vocab.end_of_generation.binary_search(&id).is_ok()
    }

    /// All tokens that end generation, ascending.
    pub fn end_of_generation(&self) -> &[u32] {
        &self.vocab.end_of_generation
    }

    /// All tokens with a role, as the file names them or as their texts tell.
    pub fn special_ids(&self) -> &SpecialIds {
        &self.vocab.special
    }

    /// Beginning of a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.vocab.special.bos
    }

    /// End of a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.vocab.special.eos
    }

    /// End of a turn.
    pub fn eot(&self) -> Option<u32> {
        self.vocab.special.eot
    }

    /// Padding.
    pub fn pad(&self) -> Option<u32> {
        self.vocab.special.pad
    }

    /// The token for text that no other covers.
    pub fn unk(&self) -> Option<u32> {
        self.vocab.special.unk
    }

    /// Whether encoding with `add_special` puts BOS in front.
    pub fn add_bos(&self) -> bool {
        self.add_bos
    }

    /// Whether encoding with `add_special` puts EOS at the end.
    pub fn add_eos(&self) -> bool {
        self.add_eos
    }

    /// Whether encoding puts a space before text (SentencePiece).
    pub fn add_space_prefix(&self) -> bool {
        self.add_space_prefix
    }

    /// The kind of vocabulary: `gpt2`, `llama` or `gemma4`.
    pub fn model(&self) -> &str {
        &self.model_name
    }

    /// The pre-tokenizer in use; `None` for SentencePiece.
    pub fn pre(&self) -> Option<&str> {
        self.pre_name.as_deref()
    }

    /// The pre-tokenizers that are known, sorted.
    pub fn known_pretokenizers() -> Vec<&'static str> {
        pretokenizers::known_names()
    }

    /// What about the file is questionable, though it can be used; to be shown to the user once.
    pub fn warnings(&self) -> &[String] {
        &self.vocab.warnings
    }
}
