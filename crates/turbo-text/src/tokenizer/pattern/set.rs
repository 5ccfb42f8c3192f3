//! Sets of symbols, the leaves of a pattern.

/// A set of symbols (code points, or the collapsed alphabet of [`super::Alphabet`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SymbolSet {
    /// Membership of symbols below 256.
    low: [u64; 4],
    /// Inclusive ranges of symbols from 256 on.
    high: Vec<(u32, u32)>,
    /// Whether `high` lists what is absent.
    high_negated: bool,
}

impl SymbolSet {
    /// The set of one symbol.
    pub(super) fn single(symbol: u32) -> Self {
        let mut set = Self::default();
        set.add_range(symbol, symbol);
        set
    }

    /// Adds an inclusive range. Only for sets that were not negated.
    pub(super) fn add_range(&mut self, first: u32, last: u32) {
        for symbol in first..=last.min(255) {
            self.low[symbol as usize / 64] |= 1 << (symbol % 64);
        }
        if last > 255 {
            self.high.push((first.max(256), last));
        }
    }

    /// Adds all symbols of another set that was not negated.
    pub(super) fn add_set(&mut self, other: &Self) {
        for (own, new) in self.low.iter_mut().zip(other.low) {
            *own |= new;
        }
        self.high.extend_from_slice(&other.high);
    }

    /// The complement.
    pub(super) fn negated(mut self) -> Self {
        self.low = self.low.map(|word| !word);
        self.high_negated = !self.high_negated;
        self
    }

    /// The intersection of two sets below 256; `None` when one reaches beyond.
    pub(super) fn intersection(&self, other: &Self) -> Option<Self> {
        if !self.high.is_empty() || !other.high.is_empty() {
            return None;
        }
        let mut low = self.low;
        for (own, new) in low.iter_mut().zip(other.low) {
            *own &= new;
        }
        // Two empty lists: negated means "all of them", so both must be negated for anything to
        // remain.
        Some(Self { low, high: Vec::new(), high_negated: self.high_negated && other.high_negated })
    }

    /// Whether a symbol belongs to the set.
    #[inline]
    pub(super) fn contains(&self, symbol: u32) -> bool {
        if symbol < 256 {
            return self.low[symbol as usize / 64] >> (symbol % 64) & 1 == 1;
        }
        self.high.iter().any(|&(first, last)| first <= symbol && symbol <= last) != self.high_negated
    }
}
