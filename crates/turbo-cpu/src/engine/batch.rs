//! The rows of a batch: one per token, later one per token whose logits are wanted.

use turbo_backend::{BatchItem, LogitsFor};

/// The tokens that steps work on.
pub(super) struct Rows {
    /// Position of every token of the batch.
    pub(super) positions: Vec<u32>,
    /// Indices of the tokens whose logits are wanted.
    wanted: Vec<usize>,
    selected: bool,
}

impl Rows {
    pub(super) fn new(items: &[BatchItem<'_>]) -> Self {
        let mut positions = Vec::new();
        let mut wanted = Vec::new();
        for item in items {
            let n = item.tokens.len();
            let first = positions.len();
            positions.extend((item.start..item.start + n).map(|p| p as u32));
            match item.logits {
                LogitsFor::None | LogitsFor::Choice(_) => {}
                LogitsFor::Last => wanted.push(first + n - 1),
                LogitsFor::All => wanted.extend(first..first + n),
            }
        }
        Self { positions, wanted, selected: false }
    }

    /// Number of rows that steps work on now.
    pub(super) fn len(&self) -> usize {
        if self.selected { self.wanted.len() } else { self.positions.len() }
    }

    /// Whether no row is left to work on.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reduces to the wanted rows and moves those of `value` to the front.
    pub(super) fn select(&mut self, value: &mut [f32], width: usize) {
        for (to, &from) in self.wanted.iter().enumerate() {
            value.copy_within(from * width..(from + 1) * width, to * width);
        }
        self.selected = true;
    }
}
