//! Choosing a token from a row of logits.

use turbo_backend::{ChoiceWords, WHOLE};

use super::logit_key;
use crate::attention::exact::exp2::exp2q;

/// log2(e) * 65536.
const NATURAL: f32 = 94548.46;

/// The token that `choice` takes from `row`; `None` if no logit is a number.
pub fn choose(row: &[f32], choice: &ChoiceWords) -> Option<u32> {
    let mut candidates: Vec<(u32, u32)> = row.iter().map(|&logit| logit_key(logit)).zip(0..).collect();
    candidates.retain(|&(key, _)| key > 0);
    candidates.sort_unstable_by_key(|&(key, id)| (std::cmp::Reverse(key), id));
    candidates.truncate(choice.top_k as usize);
    let &(best, first) = candidates.first()?;
    let difference = |&(key, id): &(u32, u32)| if key == best { 0.0 } else { row[id as usize] - row[first as usize] };
    let weights = |scale: f32| -> Vec<u32> { candidates.iter().map(|c| weight(difference(c), scale)).collect() };
    let (plain, tempered) = (weights(NATURAL), weights(f32::from_bits(choice.scale)));
    let reaching = if choice.top_p == WHOLE { candidates.len() } else { passed_at(&plain, choice.top_p) + 1 };
    let likely = plain[1..].iter().take_while(|&&weight| weight >= choice.min_weight).count() + 1;
    let kept = reaching.min(likely);
    candidates.get(passed_at(&tempered[..kept], choice.share)).map(|&(_, id)| id)
}

/// 2^(d * scale / 65536) of a difference d <= 0, Q23.
fn weight(d: f32, scale: f32) -> u32 {
    exp2q((d * scale).max(-2_000_000.0) as i32)
}

/// Where the running sum of `weights` passes `share` (in 1 / 2^32) of the whole; the last place at most.
fn passed_at(weights: &[u32], share: u32) -> usize {
    let total: u32 = weights.iter().sum();
    let passed = ((u64::from(total) * u64::from(share)) >> 32) as u32;
    let mut reached = 0;
    let at = weights.iter().position(|weight| {
        reached += weight;
        reached > passed
    });
    at.unwrap_or(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use turbo_backend::Choice;

    use super::*;

    const GREEDY: Choice = Choice { place: 0, top_k: 1, temperature: 1.0, top_p: 1.0, min_p: 0.0, unit: 0.0 };

    #[test]
    fn the_largest_is_chosen_and_the_first_of_equals() {
        assert_eq!(choose(&[0.0, 3.0, f32::NAN, 3.0], &GREEDY.words()), Some(1));
        assert_eq!(choose(&[f32::NAN, f32::NEG_INFINITY], &GREEDY.words()), None);
        assert_eq!(choose(&[-5.0, f32::INFINITY, f32::INFINITY], &GREEDY.words()), Some(1));
    }

    #[test]
    fn draws_follow_the_shares() {
        // Shares e^2 : e : 1, of which the sums are 0.665, 0.910 and 1.
        let row = [0.0, 2.0, 1.0];
        let all = Choice { top_k: 3, ..GREEDY };
        for (unit, token) in [(0.0, 1), (0.66, 1), (0.67, 2), (0.90, 2), (0.92, 0), (1.0, 0)] {
            assert_eq!(choose(&row, &Choice { unit, ..all }.words()), Some(token), "a draw of {unit}");
        }
        let last = Choice { unit: 1.0, ..all };
        assert_eq!(choose(&row, &Choice { top_p: 0.7, ..last }.words()), Some(2), "two reach 0.7");
        assert_eq!(choose(&row, &Choice { min_p: 0.3, ..last }.words()), Some(2), "0.135 of the best is too little");
        assert_eq!(choose(&row, &Choice { top_k: 1, ..last }.words()), Some(1));
        // At temperature 10 the shares are nearly equal: 0.367 and 0.700 are the sums.
        assert_eq!(choose(&row, &Choice { unit: 0.4, temperature: 10.0, ..all }.words()), Some(2));
    }
}
