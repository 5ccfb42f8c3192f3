//! The filters of the sampler chain, on candidates sorted by falling logit.

/// A token that may still be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Token id.
    pub(super) id: u32,
    /// Its logit after bias and penalties.
    pub(super) logit: f32,
}

/// The first largest number, ignoring NaN and minus infinity.
pub fn argmax(logits: &[f32]) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best.0 {
            best = (logit, Some(id as u32));
        }
    }
    best.1
}

/// Collects the `k` best candidates (all for 0), largest logit first, equal ones by id.
pub(super) fn collect(logits: &[f32], k: usize, out: &mut Vec<Candidate>) {
    out.clear();
    let usable = |logit: f32| logit > f32::NEG_INFINITY;
    out.extend((0u32..).zip(logits).filter(|&(_, &logit)| usable(logit)).map(|(id, &logit)| Candidate { id, logit }));
    let order = |a: &Candidate, b: &Candidate| b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id));
    if k > 0 && k < out.len() {
        out.select_nth_unstable_by(k - 1, order);
        out.truncate(k);
    }
    out.sort_unstable_by(order);
}

/// Unnormalised probabilities, 1 for the best.
fn weights(candidates: &[Candidate], temperature: f32) -> impl Iterator<Item = f64> + Clone {
    let best = candidates.first().map_or(0.0, |c| f64::from(c.logit));
    let scale = 1.0 / f64::from(temperature);
    candidates.iter().map(move |c| ((f64::from(c.logit) - best) * scale).exp())
}

/// Keeps the fewest candidates that reach probability `p`, at least one.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let total: f64 = weights(candidates, 1.0).sum();
    let mut reached = 0.0;
    let keep = weights(candidates, 1.0)
        .position(|w| {
            reached += w;
            reached >= f64::from(p) * total
        })
        .map_or(candidates.len(), |at| at + 1);
    candidates.truncate(keep);
}

/// Drops candidates less likely than `p` times the best.
pub(super) fn min_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p <= 0.0 {
        return;
    }
    let keep = weights(candidates, 1.0).take_while(|&w| w >= f64::from(p)).count().max(1);
    candidates.truncate(keep);
}

/// The candidate at which the running sum of probabilities passes `unit` (0 to 1) of the whole.
pub(super) fn pick(candidates: &[Candidate], temperature: f32, unit: f64) -> Option<u32> {
    let total: f64 = weights(candidates, temperature).sum();
    let mut left = unit * total;
    let at = weights(candidates, temperature).position(|w| {
        left -= w;
        left < 0.0
    });
    candidates.get(at.unwrap_or(candidates.len().saturating_sub(1))).map(|c| c.id)
}
