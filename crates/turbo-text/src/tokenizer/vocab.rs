//! The tokens of a vocabulary: texts, bytes, kinds, roles.

use super::hash::FastMap;
use super::spec::{PADDING_KEY, ROLES, SpecialIds, VocabSpec};
use super::{TextError, bytes, roles};
use std::sync::Arc;

/// What a token is, as a set of flags: a token may be of several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attributes(pub(super) u16);

impl Attributes {
    pub(super) const NORMAL: u16 = 1;
    pub(super) const UNKNOWN: u16 = 2;
    pub(super) const CONTROL: u16 = 4;
    pub(super) const USER_DEFINED: u16 = 8;
    pub(super) const UNUSED: u16 = 16;
    pub(super) const BYTE: u16 = 32;
    /// White space before the token's text belongs to it.
    pub(super) const STRIP_LEFT: u16 = 64;
    /// White space after the token's text belongs to it.
    pub(super) const STRIP_RIGHT: u16 = 128;

    pub(super) fn any(self, mask: u16) -> bool {
        self.0 & mask != 0
    }

    fn from_type(token_type: i32) -> Self {
        Self(match token_type {
            1 => Self::NORMAL,
            2 => Self::UNKNOWN,
            3 => Self::CONTROL,
            4 => Self::USER_DEFINED,
            5 => Self::UNUSED,
            6 => Self::BYTE,
            _ => 0,
        })
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// Ordinary text.
    Normal,
    /// Stands for text that no token covers.
    Unknown,
    /// Steers the model; no text of its own.
    Control,
    /// Text that was added to the vocabulary whole, and is always found whole.
    UserDefined,
    /// Never used.
    Unused,
    /// A single byte.
    Byte,
    /// The file does not say.
    Undefined,
}

/// How token texts spell bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// GPT-2's byte-level characters.
    ByteLevel,
    /// UTF-8 with U+2581 for spaces and `<0xXX>` for bytes.
    Plain,
}

/// The tokens of a file.
#[derive(Debug)]
pub(super) struct Vocab {
    texts: Vec<Arc<str>>,
    ids: FastMap<Arc<str>, u32>,
    pub(super) attributes: Vec<Attributes>,
    /// The bytes of all tokens, one after the other.
    pieces: Vec<u8>,
    /// Where each token's bytes end in `pieces`.
    piece_ends: Vec<usize>,
    pub(super) special: SpecialIds,
    /// Tokens that end generation, ascending.
    pub(super) end_of_generation: Vec<u32>,
    pub(super) warnings: Vec<String>,
}

impl Vocab {
    /// Takes the tokens of `spec`, finds roles by text where the file names none, and works out
    /// each token's bytes.
    pub(super) fn new(spec: &mut VocabSpec, spelling: Spelling) -> Result<Self, TextError> {
        let mut warnings = Vec::new();
        let (texts, ids) = index(std::mem::take(&mut spec.tokens), &mut warnings)?;
        let expect = |key, found: Option<usize>| match found {
            Some(found) if found != texts.len() => Err(TextError::LengthMismatch { key, found, expected: texts.len() }),
            _ => Ok(()),
        };
        expect("tokenizer.ggml.scores", spec.scores.as_ref().map(Vec::len))?;
        expect("tokenizer.ggml.token_type", spec.token_types.as_ref().map(Vec::len))?;
        let attributes = match &spec.token_types {
            Some(types) => types.iter().map(|&token_type| Attributes::from_type(token_type)).collect(),
            None => vec![Attributes(Attributes::NORMAL); texts.len()],
        };
        let special = check_ids(spec.special, texts.len(), &mut warnings)?;
        let mut vocab = Self {
            texts,
            ids,
            attributes,
            pieces: Vec::new(),
            piece_ends: Vec::new(),
            special,
            end_of_generation: Vec::new(),
            warnings,
        };
        roles::assign(&mut vocab);
        // Before the strip flags, as these do not change what a token says.
        vocab.build_pieces(spelling);
        roles::assign_strips(&mut vocab, spec);
        Ok(vocab)
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id as usize).map(AsRef::as_ref)
    }

    pub(super) fn attributes(&self, id: u32) -> Attributes {
        self.attributes.get(id as usize).copied().unwrap_or_default()
    }

    /// The bytes that a token adds to the text when special tokens are shown.
    pub(super) fn piece(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.piece_ends.get(id)?;
        let start = id.checked_sub(1).map_or(0, |before| self.piece_ends[before]);
        self.pieces.get(start..end)
    }

    pub(super) fn kind(&self, id: u32) -> Option<TokenKind> {
        let attributes = *self.attributes.get(id as usize)?;
        let kinds = [
            (Attributes::CONTROL, TokenKind::Control),
            (Attributes::UNKNOWN, TokenKind::Unknown),
            (Attributes::USER_DEFINED, TokenKind::UserDefined),
            (Attributes::BYTE, TokenKind::Byte),
            (Attributes::NORMAL, TokenKind::Normal),
            (Attributes::UNUSED, TokenKind::Unused),
        ];
        let found = kinds.iter().find(|(mask, _)| attributes.any(*mask));
        Some(found.map_or(TokenKind::Undefined, |&(_, kind)| kind))
    }

    fn build_pieces(&mut self, spelling: Spelling) {
        for (text, attributes) in self.texts.iter().zip(&self.attributes) {
            let verbatim = Attributes::UNKNOWN | Attributes::CONTROL | Attributes::USER_DEFINED;
            if attributes.any(verbatim) {
                self.pieces.extend_from_slice(text.as_bytes());
            } else if attributes.any(Attributes::NORMAL) {
                match spelling {
                    Spelling::ByteLevel => self.pieces.extend(bytes::decode(text)),
                    Spelling::Plain => self.pieces.extend(text.replace('\u{2581}', " ").bytes()),
                }
            } else if attributes.any(Attributes::BYTE) {
                match bytes::parse_hex(text) {
                    Some(byte) => self.pieces.push(byte),
                    None => self.pieces.extend_from_slice(text.as_bytes()),
                }
            }
            self.piece_ends.push(self.pieces.len());
        }
    }
}

type Index = (Vec<Arc<str>>, FastMap<Arc<str>, u32>);

fn index(tokens: Vec<String>, warnings: &mut Vec<String>) -> Result<Index, TextError> {
    let most = i32::MAX as usize;
    if tokens.is_empty() || tokens.len() > most {
        return Err(TextError::TokenCount { found: tokens.len(), most });
    }
    let mut texts = Vec::with_capacity(tokens.len());
    let mut ids = FastMap::with_capacity_and_hasher(tokens.len(), Default::default());
    for (id, text) in (0u32..).zip(tokens) {
        let text: Arc<str> = if text.is_empty() {
            warnings.push(format!("token {id} has no text; it is called [EMPTY_{id}]"));
            format!("[EMPTY_{id}]").into()
        } else {
            text.into()
        };
        if let Some(first) = ids.insert(Arc::clone(&text), id) {
            return Err(TextError::DuplicateToken { text: text.to_string(), first, second: id });
        }
        texts.push(text);
    }
    Ok((texts, ids))
}

fn check_ids(mut special: SpecialIds, n_tokens: usize, warnings: &mut Vec<String>) -> Result<SpecialIds, TextError> {
    for &(key, role) in ROLES {
        let id = role(&mut special);
        match *id {
            Some(bad) if bad as usize >= n_tokens => {
                if key != PADDING_KEY {
                    return Err(TextError::IdOutOfRange { key, id: u64::from(bad), n_tokens });
                }
                warnings.push(format!(
                    "{key} is {bad}, but the vocabulary has {n_tokens} tokens; there is no padding token"
                ));
                *id = None;
            }
            _ => {}
        }
    }
    Ok(special)
}
