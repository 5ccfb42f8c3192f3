//! Which steps of a plan are done by one kernel together.

use turbo_backend::plan::{Plan, Step, ValueId, WeightId};

use super::heads::{HeadSteps, TurnSteps};

/// What is recorded: steps by their index in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A step alone.
    Step(usize),
    /// A norm whose result only quantised products read, as their codes.
    NormCodes(usize),
    /// A gated activation whose result only quantised products read, as their codes.
    GatedCodes(usize),
    /// A norm in place, and the rotation of the same heads.
    NormRope { norm: usize, rope: usize },
    /// A product whose result the next step adds to another value, and nothing else reads.
    ProductAdd { product: usize, to: ValueId },
    /// From the norms or rotations of q and k to attention.
    Heads(HeadSteps),
    /// Attention alone, whose result only quantised products read.
    AttentionCodes(usize),
}

/// The steps of `plan` in order, fused where that gives the same results; `is_quantised` is asked about matrices.
pub(super) fn fuse(plan: &Plan, is_quantised: impl Fn(WeightId) -> bool) -> Vec<Op> {
    let mut ops = Vec::with_capacity(plan.steps.len());
    let mut index = 0;
    while let Some(step) = plan.steps.get(index) {
        if let Some(steps) = heads_at(plan, index, &is_quantised) {
            index = steps.attention() + 1;
            ops.push(Op::Heads(steps));
            continue;
        }
        let op = match (step, plan.steps.get(index + 1)) {
            (&Step::Attention { out, .. }, _) if only_codes(plan, index, out, &is_quantised) => {
                Op::AttentionCodes(index)
            }
            (&Step::RmsNorm { x, out, .. }, Some(&Step::Rope { x: rotated, head_dim, .. }))
                if x == out && rotated == x && norm_width(plan, step) == head_dim =>
            {
                Op::NormRope { norm: index, rope: index + 1 }
            }
            (&Step::RmsNorm { x, out, .. }, _)
                if x != out
                    && norm_width(plan, step) == plan.width(x)
                    && only_codes(plan, index, out, &is_quantised) =>
            {
                Op::NormCodes(index)
            }
            (&Step::GatedAct { gate, .. }, _) if only_codes(plan, index, gate, &is_quantised) => Op::GatedCodes(index),
            (&Step::MatMul { out, .. }, Some(&Step::Add { x, y }))
                if out == y && x != y && !plan.reads_before_write(index + 2, y) =>
            {
                Op::ProductAdd { product: index, to: x }
            }
            _ => Op::Step(index),
        };
        index += match op {
            Op::NormRope { .. } | Op::ProductAdd { .. } => 2,
            _ => 1,
        };
        ops.push(op);
    }
    ops
}

/// The steps from `first` to attention, if they turn q and k, store the turned k without a key bias and attend with the
/// turned q, and nothing else wants those.
fn heads_at(plan: &Plan, first: usize, is_quantised: &impl Fn(WeightId) -> bool) -> Option<HeadSteps> {
    let (q, q_value, q_dim, next) = turn_at(plan, first)?;
    let (k, k_value, k_dim, write) = turn_at(plan, next)?;
    let (&Step::KvWrite { slot, k: stored, .. }, &Step::Attention { slot: read, q: asked, out, .. }) =
        (plan.steps.get(write)?, plan.steps.get(write + 1)?)
    else {
        return None;
    };
    let same = (stored, asked, read) == (k_value, q_value, slot) && q_dim == k_dim && q_value != k_value;
    let biased = plan.key_bias.get(slot).is_some_and(Option::is_some);
    let wanted = |value| value == out || plan.reads_before_write(write + 2, value);
    if !same || biased || wanted(q_value) || wanted(k_value) {
        return None;
    }
    Some(HeadSteps { q, k, write, coded: only_codes(plan, write + 1, out, is_quantised) })
}

/// The rotation at step `first`, or behind a norm of the same heads there; which value it turns, values of a head, and
/// the step behind it.
fn turn_at(plan: &Plan, first: usize) -> Option<(TurnSteps, ValueId, usize, usize)> {
    let norm = plan.steps.get(first)?;
    let rope = first + usize::from(matches!(norm, Step::RmsNorm { .. }));
    let Step::Rope { x, head_dim, .. } = *plan.steps.get(rope)? else { return None };
    let fits = match *norm {
        Step::RmsNorm { x: normed, out, .. } => (normed, out) == (x, x) && norm_width(plan, norm) == head_dim,
        _ => true,
    };
    let steps = TurnSteps { norm: (rope != first).then_some(first), rope };
    fits.then_some((steps, x, head_dim, rope + 1))
}

impl Op {
    /// The attention step that is done, if one is, and the rotary embedding of the heads that go straight to it.
    pub(super) fn attention(&self, plan: &Plan) -> Option<(usize, Option<usize>)> {
        match *self {
            Self::Heads(ref steps) => match (&plan.steps[steps.q.rope], &plan.steps[steps.k.rope]) {
                (Step::Rope { rope: q, .. }, Step::Rope { rope: k, .. }) if q == k => {
                    Some((steps.attention(), Some(*q)))
                }
                _ => Some((steps.attention(), None)),
            },
            Self::Step(index) | Self::AttentionCodes(index) => {
                matches!(plan.steps[index], Step::Attention { .. }).then_some((index, None))
            }
            _ => None,
        }
    }
}

/// Values of a run of a norm.
fn norm_width(plan: &Plan, step: &Step) -> usize {
    match step {
        Step::RmsNorm { weight, .. } => plan.weight(*weight).cols,
        _ => 0,
    }
}

/// Whether what step `index` writes to `value` is read by quantised products only, and by all of them before any other
/// value needs the codes' place.
fn only_codes(plan: &Plan, index: usize, value: ValueId, is_quantised: &impl Fn(WeightId) -> bool) -> bool {
    let (mut read, mut taken) = (false, false);
    for step in &plan.steps[index + 1..] {
        let product = matches!(*step, Step::MatMul { weight, .. } if is_quantised(weight));
        if step.reads(value) {
            if !product || taken {
                return false;
            }
            read = true;
        } else {
            taken |= product;
        }
        if step.written() == Some(value) {
            return read;
        }
    }
    read && value != plan.logits
}

#[cfg(test)]
mod tests {
    use turbo_backend::plan::{Activation, AttentionSpec, KeyBias, RopeStyle, RopeTable, Value, Weight};

    use super::*;

    const X: ValueId = ValueId(0);
    const HIDDEN: ValueId = ValueId(1);
    const Q: ValueId = ValueId(2);
    const GATE: ValueId = ValueId(3);
    const UP: ValueId = ValueId(4);
    const LOGITS: ValueId = ValueId(5);

    /// Weight 0 is a vector as wide as a value, 1 one as wide as a head, 2 a quantised matrix, 3 a float one.
    fn plan(steps: Vec<Step>) -> Plan {
        let weight = |cols, rows| Weight { tensor: "w".into(), cols, rows };
        Plan {
            architecture: "test".into(),
            n_layers: 1,
            d_model: 256,
            n_vocab: 256,
            context_length: 256,
            values: vec![Value { name: "value".into(), width: 256 }; 6],
            weights: vec![weight(256, 1), weight(64, 1), weight(256, 256), weight(256, 256)],
            kv: Vec::new(),
            key_bias: Vec::new(),
            ropes: vec![RopeTable { style: RopeStyle::Neox, inv_freq: vec![1.0; 32], magnitude: 1.0 }],
            steps,
            layer_starts: vec![0],
            logits: LOGITS,
        }
    }

    fn product(x: ValueId, weight: u32, out: ValueId) -> Step {
        Step::MatMul { x, weight: WeightId(weight), bias: None, out }
    }

    fn norm(x: ValueId, weight: u32, out: ValueId) -> Step {
        Step::RmsNorm { x, weight: WeightId(weight), out, eps: 1e-6 }
    }

    fn fused(steps: Vec<Step>) -> Vec<Op> {
        fuse(&plan(steps), |weight| weight.0 == 2)
    }

    #[test]
    fn a_layer_is_fused() {
        let steps = vec![
            norm(X, 0, HIDDEN),
            product(HIDDEN, 2, Q),
            norm(Q, 1, Q),
            Step::Rope { x: Q, head_dim: 64, rope: 0 },
            product(Q, 2, HIDDEN),
            Step::Add { x: X, y: HIDDEN },
            norm(X, 0, HIDDEN),
            product(HIDDEN, 2, GATE),
            product(HIDDEN, 2, UP),
            Step::GatedAct { gate: GATE, up: UP, activation: Activation::Silu },
            product(GATE, 2, LOGITS),
        ];
        let want = [
            Op::NormCodes(0),
            Op::Step(1),
            Op::NormRope { norm: 2, rope: 3 },
            Op::ProductAdd { product: 4, to: X },
            Op::NormCodes(6),
            Op::Step(7),
            Op::Step(8),
            Op::GatedCodes(9),
            Op::Step(10),
        ];
        assert_eq!(fused(steps), want);
    }

    #[test]
    fn values_that_others_read_are_kept() {
        // A float product reads the norm; another value's codes come between; the sum is read again.
        let float = vec![norm(X, 0, HIDDEN), product(HIDDEN, 3, Q)];
        assert_eq!(fused(float)[0], Op::Step(0));
        let between = vec![norm(X, 0, HIDDEN), product(HIDDEN, 2, Q), product(Q, 2, UP), product(HIDDEN, 2, GATE)];
        assert_eq!(fused(between)[0], Op::Step(0));
        let again = vec![product(Q, 2, HIDDEN), Step::Add { x: X, y: HIDDEN }, product(HIDDEN, 2, GATE)];
        assert_eq!(fused(again)[0], Op::Step(0));
    }

    /// Norm and rotation of q and k, the cache, attention; k is in `UP`.
    fn heads() -> Vec<Step> {
        let rope = |x| Step::Rope { x, head_dim: 64, rope: 0 };
        let spec = AttentionSpec { n_heads: 4, scale: 1.0, window: None, soft_cap: None, sinks: None };
        let (slot, k, v) = (0, UP, GATE);
        vec![
            norm(Q, 1, Q),
            rope(Q),
            rope(UP),
            Step::KvWrite { slot, k, v },
            Step::Attention { slot, q: Q, out: HIDDEN, spec },
        ]
    }

    #[test]
    fn heads_go_straight_to_the_cache_and_to_attention() {
        let (q, k) = (TurnSteps { norm: Some(0), rope: 1 }, TurnSteps { norm: None, rope: 2 });
        let op = |coded| Op::Heads(HeadSteps { q, k, write: 3, coded });
        let with = |last| heads().into_iter().chain([last]).collect::<Vec<_>>();
        let quantised = with(product(HIDDEN, 2, X));
        assert_eq!(fused(quantised.clone()), [op(true), Op::Step(5)]);
        assert_eq!(op(true).attention(&plan(quantised)), Some((4, Some(0))));
        assert_eq!(fused(with(product(HIDDEN, 3, X))), [op(false), Op::Step(5)]);
        // Something else wants the turned keys or queries.
        for value in [Q, UP] {
            let shared = fused(with(product(value, 2, X)));
            assert!(!shared.iter().any(|op| matches!(op, Op::Heads(_))), "{shared:?}");
        }
    }

    #[test]
    fn keys_with_a_bias_are_turned_before_they_are_stored() {
        let steps: Vec<Step> = heads().into_iter().chain([product(HIDDEN, 2, X)]).collect();
        let bias = Some(KeyBias { weight: WeightId(0), rope: 0 });
        let plan = Plan { key_bias: vec![bias], ..plan(steps) };
        let ops = fuse(&plan, |weight| weight.0 == 2);
        let (norm, rope) = (0, 1);
        let want = [Op::NormRope { norm, rope }, Op::Step(2), Op::Step(3), Op::AttentionCodes(4), Op::Step(5)];
        assert_eq!(ops, want);
        assert_eq!(ops[3].attention(&plan), Some((4, None)));
    }
}
