//! Heads that could not be stored, as the kernels report them.

use turbo_backend::KvSide;
use turbo_quant::kv::Fault;

/// The first head of a dispatch that cannot be stored, by token, then side, then head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{side} head {head} of token {token}: {fault}")]
pub struct KvFault {
    /// Token of the batch, from 0.
    pub token: u32,
    /// K or V.
    pub side: KvSide,
    /// The head, from 0.
    pub head: u32,
    /// What is wrong.
    pub fault: Fault,
}

impl KvFault {
    /// What a word of the buffer of faults says; 0 is none.
    pub const fn from_word(word: u32) -> Option<Self> {
        if word == 0 {
            return None;
        }
        let key = !word;
        let side = if key >> 11 & 1 == 0 { KvSide::K } else { KvSide::V };
        let fault = if key & 1 == 0 { Fault::NonFinite } else { Fault::Overflow };
        Some(Self { token: key >> 12, side, head: key >> 1 & 0x3ff, fault })
    }

    /// The word that says this.
    pub const fn to_word(self) -> u32 {
        let side = matches!(self.side, KvSide::V) as u32;
        !(self.token << 12 | side << 11 | self.head << 1 | matches!(self.fault, Fault::Overflow) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_its_word_and_the_first_has_the_largest() {
        let fault = |token, side, head, fault| KvFault { token, side, head, fault };
        let ordered = [
            fault(0, KvSide::K, 0, Fault::NonFinite),
            fault(0, KvSide::K, 1023, Fault::Overflow),
            fault(0, KvSide::V, 0, Fault::Overflow),
            fault(7, KvSide::K, 3, Fault::NonFinite),
            fault((1 << 20) - 1, KvSide::V, 1022, Fault::Overflow),
        ];
        for f in ordered {
            assert_eq!(KvFault::from_word(f.to_word()), Some(f));
        }
        assert!(ordered.map(KvFault::to_word).is_sorted_by(|a, b| a > b));
        assert_eq!(KvFault::from_word(0), None);
    }
}
