//! Text out of tokens as they are generated.

use super::Tokenizer;
use std::ops::Deref;

/// Turns tokens into text one by one, holding back characters that are not complete yet.
///
/// The texts of all [`StreamDecoder::push`] calls and of [`StreamDecoder::finish`], one after the
/// other, equal [`Tokenizer::decode`] of all tokens. Holds the tokenizer by reference, `Arc` or
/// anything else that dereferences to it.
#[derive(Debug, Clone)]
pub struct StreamDecoder<T> {
    tokenizer: T,
    show_special: bool,
    /// Bytes of a character that is not complete: at most 3.
    pending: Vec<u8>,
}

impl<T: Deref<Target = Tokenizer>> StreamDecoder<T> {
    /// A decoder at the start of a text. `show_special`: whether control tokens appear as their
    /// text.
    pub fn new(tokenizer: T, show_special: bool) -> Self {
        Self { tokenizer, show_special, pending: Vec::new() }
    }

    /// Adds a token and returns the text that is complete now, which may be empty. Bytes that
    /// cannot become a character come out as U+FFFD.
    pub fn push(&mut self, id: u32) -> String {
        let piece = self.tokenizer.shown_bytes(id, self.show_special);
        if self.pending.is_empty()
            && let Ok(text) = std::str::from_utf8(piece)
        {
            return text.to_owned();
        }
        self.pending.extend_from_slice(piece);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    let Some(bad) = error.error_len() else {
                        self.pending.drain(..valid);
                        return text;
                    };
                    text.push('\u{FFFD}');
                    self.pending.drain(..valid + bad);
                }
            }
        }
    }

    /// Ends the text: U+FFFD when a character stayed incomplete, else nothing. The decoder is at
    /// the start of a text again.
    pub fn finish(&mut self) -> String {
        if std::mem::take(&mut self.pending).is_empty() { String::new() } else { String::from('\u{FFFD}') }
    }

    /// Whether bytes of an incomplete character are held back.
    pub fn is_mid_character(&self) -> bool {
        !self.pending.is_empty()
    }
}
