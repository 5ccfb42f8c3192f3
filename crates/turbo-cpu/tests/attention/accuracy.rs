//! What the integer arithmetic adds to the error that the codes cause, in float64.
//!
//! Yardstick: float64 attention over the decoded K and V against float64 attention over the originals. The
//! arithmetic may add 3% of that energy.

use turbo_backend::{BLOCK_TOKENS, SideLayout};
use turbo_cpu::attention::Simd;
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;
use turbo_quant::kv::decode_head;

use crate::case::{Case, Filled, Random};

const CODED: [KvType; 5] = [KvType::Q8_0, KvType::Q4_0, KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Softmax {
    /// Logits with a standard deviation of 0.2.
    Flat,
    /// Of 1.
    Even,
    /// Of 8: a few keys have all the weight.
    Peaked,
    /// One key has half of the weight, the others share the rest evenly.
    Spike,
}

pub(crate) const SHAPES: [Softmax; 4] = [Softmax::Flat, Softmax::Even, Softmax::Peaked, Softmax::Spike];

/// Every head of one side as it is stored, decoded and rotated back: [position][value], one K/V head.
fn decoded(filled: &Filled, side: &SideLayout, pool: &[u32]) -> Vec<f32> {
    let mut out = vec![0.0; filled.case.n_keys * side.head_dim];
    for (position, out) in out.chunks_mut(side.head_dim).enumerate() {
        let (codes, scales) = side.unit(pool, filled.blocks[position / BLOCK_TOKENS] as usize, 0);
        let t = position % BLOCK_TOKENS;
        let codes = &codes[t * side.code_words..][..side.code_words];
        let half = |b: usize| (scales[b * BLOCK_TOKENS / 2 + t / 2] >> (16 * (t % 2))) as u16;
        let scales: Vec<u16> = (0..side.scale_blocks).map(half).collect();
        decode_head(side.kv_type, codes, &scales, out, false);
    }
    out
}

/// Float64 attention of every query head over one K/V head.
fn reference(filled: &Filled, k: &[f32], v: &[f32]) -> Vec<f64> {
    let case = &filled.case;
    let mut out = Vec::new();
    let key = |(position, k): (usize, &[f32])| -> Vec<f64> {
        let bias = filled.bias.as_ref().map_or_else(|| vec![0.0; case.dk], |bias| bias.key(position));
        k.iter().zip(bias).map(|(&k, b)| f64::from(k) + b).collect()
    };
    let keys: Vec<Vec<f64>> = k.chunks(case.dk).enumerate().map(key).collect();
    for q in filled.q.chunks(case.dk) {
        let dot = |k: &[f64]| k.iter().zip(q).map(|(&k, &q)| k * f64::from(q)).sum::<f64>();
        let logits: Vec<f64> = keys.iter().map(|k| dot(k) * f64::from(filled.scale)).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sums = vec![0.0; case.dv];
        let mut total = 0.0;
        for (logit, v) in logits.iter().zip(v.chunks(case.dv)) {
            let p = (logit - largest).exp();
            total += p;
            sums.iter_mut().zip(v).for_each(|(sum, &v)| *sum += p * f64::from(v));
        }
        out.extend(sums.iter().map(|sum| sum / total));
    }
    out
}

fn energy(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The key that a query head has its spike on.
fn spike_of(head: usize, n_keys: usize) -> usize {
    (n_keys / 3 + 97 * head) % n_keys
}

fn fill(case: Case, softmax: Softmax) -> Filled {
    let mut random = Random(case.seed);
    let k = random.gaussians(case.n_keys * case.dk, 1.0);
    let v = random.gaussians(case.n_keys * case.dv, 1.0);
    let peak = match softmax {
        Softmax::Flat => 0.2,
        Softmax::Even => 1.0,
        Softmax::Peaked => 8.0,
        Softmax::Spike => 0.1,
    };
    let mut q = random.gaussians(case.group * case.dk, peak * case.peak);
    if softmax == Softmax::Spike {
        for (head, q) in q.chunks_mut(case.dk).enumerate() {
            // With q along a key, its logit is |q| |k| / sqrt(d); the tail's are small when |q| is.
            let key = &k[spike_of(head, case.n_keys) * case.dk..][..case.dk];
            let power: f32 = key.iter().map(|k| k * k).sum();
            let want = (case.n_keys as f32).ln() * (case.dk as f32).sqrt() / power;
            q.iter_mut().zip(key).for_each(|(q, k)| *q += want * k);
        }
    }
    case.fill_with(k, v, q)
}

/// Error energy of the arithmetic, error energy of the codes, energy of the output.
pub(crate) type Errors = (f64, f64, f64);

pub(crate) fn errors(case: Case, softmax: Softmax) -> Errors {
    let filled = fill(case, softmax);
    let original = reference(&filled, &filled.k, &filled.v);
    errors_of(&filled, &original)
}

/// `original` is the attention over the keys and values before they were stored.
fn errors_of(filled: &Filled, original: &[f64]) -> Errors {
    let got = filled.run(&ThreadPool::new(2), Simd::best(), 0, 1).expect("finite queries");
    let got: Vec<f64> = got.into_iter().map(f64::from).collect();
    let stored = reference(
        filled,
        &decoded(filled, &filled.layer.k, &filled.k_pool),
        &decoded(filled, &filled.layer.v, &filled.v_pool),
    );
    (energy(&got, &stored), energy(&stored, original), energy(&stored, &vec![0.0; stored.len()]))
}

#[track_caller]
fn check(case: Case, softmax: Softmax) {
    assert_small(&case, softmax, errors(case, softmax));
}

#[track_caller]
fn assert_small(case: &Case, softmax: Softmax, (added, codes, power): Errors) {
    let (share, nmse) = (added / codes, added / power);
    assert!(share <= 0.03, "{case:?} {softmax:?}: {:.2}% of the codes' error added", 100.0 * share);
    assert!(softmax == Softmax::Peaked || nmse <= 1e-4, "{case:?} {softmax:?}: nmse {nmse:e}");
}

#[test]
fn the_arithmetic_adds_at_most_3_percent_of_the_codes_error() {
    for k in CODED {
        for v in CODED {
            for n_keys in [1, 100, 4096] {
                for softmax in SHAPES {
                    check(Case { k, v, n_keys, group: 16, seed: 77, ..Case::default() }, softmax);
                }
            }
        }
    }
}

#[test]
fn other_head_sizes_are_as_good() {
    for t in CODED {
        for d in [16, 32, 64, 80, 96, 192, 256, 576] {
            for softmax in SHAPES {
                check(Case { k: t, v: t, dk: d, dv: d, n_keys: 500, group: 16, seed: 5, ..Case::default() }, softmax);
                check(
                    Case { k: t, v: KvType::Q8_0, dk: d, dv: d, n_keys: 500, group: 16, seed: 5, ..Case::default() },
                    softmax,
                );
            }
        }
    }
}

#[test]
fn at_131072_keys_too() {
    let pairs = [(KvType::Turbo4, KvType::Turbo2), (KvType::Q8_0, KvType::Turbo3), (KvType::Turbo3, KvType::Q8_0)];
    let case = Case { dk: 64, dv: 64, n_keys: 131_072, group: 2, seed: 3, ..Case::default() };
    for softmax in SHAPES {
        // Keys, values and queries are the same for every type.
        let plain = fill(case, softmax);
        let original = reference(&plain, &plain.k, &plain.v);
        for (k, v) in CODED.into_iter().map(|t| (t, t)).chain(pairs) {
            let case = Case { k, v, ..case };
            let filled = case.fill_with(plain.k.clone(), plain.v.clone(), plain.q.clone());
            assert_small(&case, softmax, errors_of(&filled, &original));
        }
    }
}

/// The query has one scale for the whole head, so a rotation group in which it is small gets few bits. Where its
/// groups differ by 4 and the keys' by as much the other way round, the bar holds (2.2% at q4_0, 1.9% at turbo4); at 8
/// the added error is four times that.
#[test]
fn unequal_rotation_groups_keep_the_bar() {
    for (d, first) in [(80, 64), (192, 128), (256, 128)] {
        for t in CODED {
            for (of_q, of_k) in [(4.0, 1.0), (1.0, 4.0), (4.0, 0.25), (0.25, 4.0)] {
                let case = Case { k: t, v: t, dk: d, dv: 64, n_keys: 500, group: 16, seed: 5, ..Case::default() };
                let plain = fill(case, Softmax::Even);
                let scaled = |x: &[f32], factor: f32| -> Vec<f32> {
                    x.iter().enumerate().map(|(i, x)| if i % d < first { x * factor } else { *x }).collect()
                };
                let filled = case.fill_with(scaled(&plain.k, of_k), plain.v.clone(), scaled(&plain.q, of_q));
                let original = reference(&filled, &filled.k, &filled.v);
                let (added, codes, _) = errors_of(&filled, &original);
                let share = 100.0 * added / codes;
                assert!(share <= 3.0, "{t}, {d} values, first group x {of_q} (query) and x {of_k} (keys): {share:.2}%");
            }
        }
    }
}

#[test]
fn values_of_very_different_norms_keep_the_bar() {
    // Attention sinks of real models: a key with most of the weight whose value is tiny.
    for t in CODED {
        for v_of_spike in [1e-3, 1e3] {
            let case = Case { k: t, v: t, n_keys: 2000, group: 4, seed: 11, ..Case::default() };
            let plain = fill(case, Softmax::Spike);
            let mut v = plain.v.clone();
            for head in 0..case.group {
                v[spike_of(head, 2000) * 128..][..128].iter_mut().for_each(|v| *v *= v_of_spike);
            }
            let filled = case.fill_with(plain.k.clone(), v, plain.q.clone());
            let original = reference(&filled, &filled.k, &filled.v);
            let (added, codes, _) = errors_of(&filled, &original);
            let share = added / codes;
            assert!(share <= 0.03, "{t} with a spike of {v_of_spike}: {:.2}% added", 100.0 * share);
        }
    }
}

#[test]
fn pairs_with_f16_follow_float64() {
    for other in KvType::ALL {
        for (k, v) in [(KvType::F16, other), (other, KvType::F16)] {
            for softmax in SHAPES {
                for (dk, dv) in [(128, 128), (80, 96), (64, 48)] {
                    let case = Case { k, v, dk, dv, n_keys: 700, group: 16, seed: 21, ..Case::default() };
                    let (added, codes, power) = errors(case, softmax);
                    if other == KvType::F16 {
                        assert!(added / power <= 1e-11, "f16/f16 {softmax:?}: nmse {:e}", added / power);
                    } else {
                        assert!(added / codes <= 0.03, "{k}/{v} {softmax:?}: {:.2}% added", 100.0 * added / codes);
                    }
                }
            }
        }
    }
}

#[test]
fn f16_heads_need_no_multiple_of_16() {
    for d in [2, 6, 40, 72] {
        let case = Case {
            k: KvType::F16,
            v: KvType::F16,
            dk: d,
            dv: d,
            n_keys: 300,
            group: 2,
            soft_cap: Some(20.0),
            sinks: true,
            ..Case::default()
        };
        let filled = case.fill();
        let want = filled.twin();
        for simd in Simd::all() {
            let got = filled.run(&ThreadPool::new(2), simd, 0, 1).expect("finite queries");
            let nmse = turbo_testkit::nmse(&got, &want);
            assert!(nmse < 1e-11, "head of {d} on {}: {nmse:e}", simd.name());
        }
    }
}
