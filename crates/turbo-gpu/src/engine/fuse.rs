//! Which steps of a plan are done by one kernel together.

use turbo_backend::plan::{Plan, Step, ValueId, WeightId};

use super::heads::{HeadSteps, TurnSteps};

/// What is recorded: steps by their index in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A step alone.
    Step(usize),
    /// A norm whose result only quantised products read, as their codes without the norm's factor.
    NormCodes(usize),
    /// A gated activation whose result only quantised products read, as their codes.
    GatedCodes(usize),
    /// A norm in place, and the rotation of the same heads.
    NormRope { norm: usize, rope: usize },
    /// A product whose result the next step adds to another value, and nothing else reads; if `norm` is the next to read
    /// that value, the same kernel can make its codes.
    ProductAdd { product: usize, to: ValueId, norm: Option<usize> },
    /// Products of one value with matrices of one type, next to each other.
    Joined { first: usize, count: usize },
    /// Products of one value whose results only a gated activation reads, the result of which only quantised products
    /// read: products of gate and up, and the activation.
    Gated { products: [usize; 2], act: usize },
    /// From the norms or rotations of q and k to attention.
    Heads(HeadSteps),
    /// Attention alone, whose result only quantised products read.
    AttentionCodes(usize),
}

/// What is asked about the weights of a plan.
pub(super) trait Matrices {
    /// Whether products of a weight take codes.
    fn is_quantised(&self, id: WeightId) -> bool;
    /// Whether its products had better be added to the residual stream and become codes at once.
    fn suits_residual(&self, id: WeightId) -> bool;
    /// Whether one kernel can do the products of gate and up.
    fn are_pair(&self, gate: WeightId, up: WeightId) -> bool;
    /// Whether one kernel can do the products of these.
    fn are_joinable(&self, ids: &[WeightId]) -> bool;
}

impl Op {
    /// Values of a row of the norm that it makes codes of, if it does.
    pub(super) fn normed_width(&self, plan: &Plan) -> Option<usize> {
        match *self {
            Self::NormCodes(index) => Some(norm_width(plan, &plan.steps[index])),
            _ => None,
        }
    }

    /// Steps that it stands for.
    fn steps(&self) -> usize {
        match *self {
            Self::Step(_) | Self::NormCodes(_) | Self::GatedCodes(_) | Self::AttentionCodes(_) => 1,
            Self::NormRope { .. } | Self::ProductAdd { .. } => 2,
            Self::Joined { count, .. } => count,
            Self::Gated { .. } => 3,
            Self::Heads(steps) => steps.attention() + 1 - steps.q.norm.unwrap_or(steps.q.rope),
        }
    }
}

/// The steps of `plan` in order, fused where that gives the same results.
pub(super) fn fuse(plan: &Plan, matrices: &impl Matrices) -> Vec<Op> {
    let mut ops: Vec<Op> = Vec::with_capacity(plan.steps.len());
    let mut index = 0;
    while let Some(step) = plan.steps.get(index) {
        if let Some(steps) = heads_at(plan, index, matrices) {
            index = steps.attention() + 1;
            ops.push(Op::Heads(steps));
            continue;
        }
        let op = match (step, plan.steps.get(index + 1)) {
            (&Step::Attention { out, .. }, _) if only_codes(plan, index, out, matrices) => Op::AttentionCodes(index),
            (&Step::RmsNorm { x, out, .. }, Some(&Step::Rope { x: rotated, head_dim, .. }))
                if x == out && rotated == x && norm_width(plan, step) == head_dim =>
            {
                Op::NormRope { norm: index, rope: index + 1 }
            }
            (Step::RmsNorm { .. }, _) if is_norm_codes(plan, index, matrices) => Op::NormCodes(index),
            (&Step::GatedAct { gate, .. }, _) if only_codes(plan, index, gate, matrices) => Op::GatedCodes(index),
            (&Step::MatMul { out, .. }, Some(&Step::Add { x, y }))
                if out == y && x != y && !plan.reads_before_write(index + 2, y) =>
            {
                Op::ProductAdd { product: index, to: x, norm: norm_behind(plan, index, x, matrices) }
            }
            (Step::MatMul { .. }, _) => products(plan, index, matrices),
            _ => Op::Step(index),
        };
        index += op.steps();
        ops.push(op);
    }
    ops
}

/// Whether step `index` is a norm whose result is wanted as codes only.
fn is_norm_codes(plan: &Plan, index: usize, matrices: &impl Matrices) -> bool {
    match plan.steps.get(index) {
        Some(step @ &Step::RmsNorm { x, out, .. }) => {
            x != out && norm_width(plan, step) == plan.width(x) && only_codes(plan, index, out, matrices)
        }
        _ => false,
    }
}

/// The norm that reads `x` first after the product `index` was added to it, if the product can make its codes.
fn norm_behind(plan: &Plan, index: usize, x: ValueId, matrices: &impl Matrices) -> Option<usize> {
    let Step::MatMul { weight, bias: None, .. } = plan.steps[index] else { return None };
    // What is not wanted any more does no harm.
    let selects = matches!(plan.steps.get(index + 2), Some(&Step::SelectLogits { x: kept }) if kept == x);
    let norm = index + 2 + usize::from(selects);
    let reads = plan.steps.get(norm).is_some_and(|step| step.reads(x));
    let suits = matrices.suits_residual(weight) && plan.weight(weight).rows == plan.width(x);
    (reads && suits && is_norm_codes(plan, norm, matrices)).then_some(norm)
}

/// The product `index` with those behind it that one kernel can do together with it.
fn products(plan: &Plan, index: usize, matrices: &impl Matrices) -> Op {
    let Step::MatMul { x: input, .. } = plan.steps[index] else { return Op::Step(index) };
    let plain = |step: &Step| match *step {
        Step::MatMul { x, weight, bias: None, out }
            if x == input && out != x && plan.weight(weight).rows == plan.width(out) =>
        {
            Some((weight, out))
        }
        _ => None,
    };
    let run: Vec<(WeightId, ValueId)> = plan.steps[index..].iter().map_while(plain).take(3).collect();
    if let (&[(first, a), (second, b)], Some(&Step::GatedAct { gate, up, .. })) =
        (run.as_slice(), plan.steps.get(index + 2))
        && (gate, up) == (a, b)
        && gate != up
        && matrices.are_pair(first, second)
        && only_codes(plan, index + 2, gate, matrices)
        && !plan.reads_before_write(index + 3, up)
    {
        return Op::Gated { products: [index, index + 1], act: index + 2 };
    }
    let joinable = |count: usize| {
        let (weights, outs): (Vec<_>, Vec<_>) = run[..count].iter().copied().unzip();
        let apart = outs.iter().enumerate().all(|(i, out)| !outs[..i].contains(out));
        // The last may be added to something at once.
        let free = !matches!(plan.steps.get(index + count), Some(&Step::Add { y, .. }) if outs.contains(&y));
        apart && free && matrices.are_joinable(&weights)
    };
    match [3, 2].into_iter().find(|&count| count <= run.len() && joinable(count)) {
        Some(count) => Op::Joined { first: index, count },
        None => Op::Step(index),
    }
}

/// The steps from `first` to attention, if they turn q and k, store the turned k without a key bias and attend with the
/// turned q, and nothing else wants those.
fn heads_at(plan: &Plan, first: usize, matrices: &impl Matrices) -> Option<HeadSteps> {
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
    Some(HeadSteps { q, k, write, coded: only_codes(plan, write + 1, out, matrices) })
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
fn only_codes(plan: &Plan, index: usize, value: ValueId, matrices: &impl Matrices) -> bool {
    let (mut read, mut taken) = (false, false);
    for step in &plan.steps[index + 1..] {
        let product = matches!(*step, Step::MatMul { weight, .. } if matrices.is_quantised(weight));
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

    /// Weight 0 is a vector as wide as a value, 1 one as wide as a head, 2, 4 and 5 are quantised matrices, 3 a float one.
    fn plan(steps: Vec<Step>) -> Plan {
        let weight = |cols, rows| Weight { tensor: "w".into(), cols, rows };
        Plan {
            architecture: "test".into(),
            n_layers: 1,
            d_model: 256,
            n_vocab: 256,
            context_length: 256,
            values: vec![Value { name: "value".into(), width: 256 }; 6],
            weights: [(256, 1), (64, 1), (256, 256), (256, 256), (256, 256), (256, 256)]
                .map(|(c, r)| weight(c, r))
                .into(),
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

    /// Weight 2 and those from 4 on are quantised; all but 5 are of one type.
    struct Kinds;

    impl Matrices for Kinds {
        fn is_quantised(&self, id: WeightId) -> bool {
            id.0 == 2 || id.0 >= 4
        }

        fn suits_residual(&self, id: WeightId) -> bool {
            self.is_quantised(id)
        }

        fn are_pair(&self, gate: WeightId, up: WeightId) -> bool {
            self.are_joinable(&[gate, up])
        }

        fn are_joinable(&self, ids: &[WeightId]) -> bool {
            ids.iter().all(|&id| self.is_quantised(id)) && ids.iter().all(|id| (id.0 == 5) == (ids[0].0 == 5))
        }
    }

    fn fused(steps: Vec<Step>) -> Vec<Op> {
        fuse(&plan(steps), &Kinds)
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
            Op::ProductAdd { product: 4, to: X, norm: Some(6) },
            Op::NormCodes(6),
            Op::Gated { products: [7, 8], act: 9 },
            Op::Step(10),
        ];
        assert_eq!(fused(steps), want);
    }

    #[test]
    fn products_of_one_value_are_joined_if_their_types_are_one() {
        let three = |types: [u32; 3]| {
            let outs = [Q, GATE, UP];
            let products = types.iter().zip(outs).map(|(&weight, out)| product(HIDDEN, weight, out));
            fused(std::iter::once(norm(X, 0, HIDDEN)).chain(products).collect())
        };
        assert_eq!(three([2, 4, 2])[1..], [Op::Joined { first: 1, count: 3 }]);
        assert_eq!(three([2, 4, 5])[1..], [Op::Joined { first: 1, count: 2 }, Op::Step(3)]);
        assert_eq!(three([2, 5, 4])[1..], [Op::Step(1), Op::Step(2), Op::Step(3)]);
        // Two to one place, one after the other.
        let same = vec![product(HIDDEN, 2, Q), product(HIDDEN, 2, Q)];
        assert_eq!(fused(same), [Op::Step(0), Op::Step(1)]);
        // The second is added to something.
        let added = vec![product(HIDDEN, 2, Q), product(HIDDEN, 2, UP), Step::Add { x: X, y: UP }];
        assert_eq!(fused(added), [Op::Step(0), Op::ProductAdd { product: 1, to: X, norm: None }]);
        // Gate and up of two types.
        let act = Step::GatedAct { gate: GATE, up: UP, activation: Activation::Silu };
        let mixed = vec![product(HIDDEN, 2, GATE), product(HIDDEN, 5, UP), act, product(GATE, 2, LOGITS)];
        assert_eq!(fused(mixed), [Op::Step(0), Op::Step(1), Op::GatedCodes(2), Op::Step(3)]);
    }

    #[test]
    fn a_norm_behind_a_sum_goes_with_it_even_past_a_selection() {
        let steps = |behind: Vec<Step>| {
            let mut steps = vec![product(Q, 2, HIDDEN), Step::Add { x: X, y: HIDDEN }];
            steps.extend(behind);
            fused(steps)[0]
        };
        let with = |norm| Op::ProductAdd { product: 0, to: X, norm };
        let last = |kept| vec![Step::SelectLogits { x: kept }, norm(X, 0, HIDDEN), product(HIDDEN, 2, LOGITS)];
        assert_eq!(steps(last(X)), with(Some(3)));
        assert_eq!(steps(vec![norm(X, 0, HIDDEN), product(HIDDEN, 2, LOGITS)]), with(Some(2)));
        // A float product reads the norm; the norm is of something else; another step comes between.
        assert_eq!(steps(vec![norm(X, 0, HIDDEN), product(HIDDEN, 3, LOGITS)]), with(None));
        assert_eq!(steps(vec![norm(Q, 0, UP), product(UP, 2, LOGITS)]), with(None));
        let scaled = vec![Step::Scale { x: X, factor: 2.0 }, norm(X, 0, HIDDEN), product(HIDDEN, 2, LOGITS)];
        assert_eq!(steps(scaled), with(None));
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
        let ops = fuse(&plan, &Kinds);
        let (norm, rope) = (0, 1);
        let want = [Op::NormRope { norm, rope }, Op::Step(2), Op::Step(3), Op::AttentionCodes(4), Op::Step(5)];
        assert_eq!(ops, want);
        assert_eq!(ops[3].attention(&plan), Some((4, None)));
    }
}
