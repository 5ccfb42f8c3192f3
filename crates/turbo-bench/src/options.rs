//! What is measured.

use crate::error::BenchError;

/// Most keys of a sequence.
const MOST_KEYS: usize = 1 << 20;

/// Keys of a sequence where little is to be measured.
const QUICK_KEYS: usize = 1024;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Keys of the sequence that is attended to.
    pub keys: usize,
    /// Query heads.
    pub heads: usize,
    /// K/V heads; they divide the query heads.
    pub kv_heads: usize,
    /// Small shapes and few samples: under a minute on a software adapter.
    pub quick: bool,
    /// Every variant that the device can run, not only the one it would use.
    pub all_variants: bool,
    /// Only variants with this text in their label, `kernel[variant]`. The bandwidth is always measured.
    pub filter: Option<String>,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self { keys: 32_768, heads: 40, kv_heads: 8, quick: false, all_variants: false, filter: None }
    }
}

impl BenchOptions {
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        let Self { keys, heads, kv_heads, .. } = *self;
        if !(1..=1024).contains(&heads) || !(1..=1024).contains(&kv_heads) || !heads.is_multiple_of(kv_heads) {
            return Err(BenchError::Heads { heads, kv_heads });
        }
        if !(1..=MOST_KEYS).contains(&keys) {
            return Err(BenchError::Keys { keys, most: MOST_KEYS });
        }
        Ok(())
    }

    /// Keys that are measured.
    pub(crate) fn effective_keys(&self) -> usize {
        if self.quick { self.keys.min(QUICK_KEYS) } else { self.keys }
    }

    /// Tokens of a batch.
    pub(crate) const fn batch_tokens(&self) -> usize {
        if self.quick { 32 } else { 512 }
    }

    /// Whether a variant of this label is measured.
    pub(crate) fn wants(&self, label: &str) -> bool {
        self.filter.as_ref().is_none_or(|f| label.contains(f.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(options: BenchOptions) -> String {
        options.check().unwrap_err().to_string()
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let options = BenchOptions::default();
        options.check().unwrap();
        assert_eq!(
            refusal(BenchOptions { heads: 41, ..options.clone() }),
            "41 query heads on 8 K/V heads: expected 1 to 1024 of each, the first a multiple of the second"
        );
        assert!(refusal(BenchOptions { kv_heads: 0, ..options.clone() }).starts_with("40 query heads on 0 K/V heads"));
        assert_eq!(refusal(BenchOptions { keys: 0, ..options.clone() }), "0 keys: expected 1 to 1048576");
        assert_eq!(refusal(BenchOptions { keys: 2 << 20, ..options }), "2097152 keys: expected 1 to 1048576");
    }

    #[test]
    fn quick_is_small() {
        let quick = BenchOptions { quick: true, ..BenchOptions::default() };
        assert_eq!(quick.effective_keys(), 1024);
        assert_eq!(BenchOptions { keys: 7, ..quick }.effective_keys(), 7);
        assert_eq!(BenchOptions::default().effective_keys(), 32_768);
    }
}
