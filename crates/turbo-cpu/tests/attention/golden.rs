//! Stored heads and attention over every pair of coded types, bit by bit as committed in `tests/golden/attention.txt`.
//!
//! No bit of this changes by accident. If one is to change, that is a new version of the format: raise
//! `turbo_quant::turbo::FORMAT_VERSION`, say in `docs/exact-attention.md` and CHANGELOG.md what changed, write the file
//! again with `TURBO_UPDATE_GOLDEN=1 cargo test -p turbo-cpu --test attention golden`, and read its difference.
//!
//! Inputs come from integer arithmetic alone, so that no libm can change them. Lines of large data hold the number of
//! words, their FNV-1a hash and the first four; the smallest case is written out whole.

use std::fmt::Write as _;
use std::path::Path;

use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_cpu::attention::Simd;
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;
use turbo_quant::kv::{decode_head, encode_head};
use turbo_quant::turbo::FORMAT_VERSION;

use crate::case::{Case, Filled, Random, ReadyBias, assert_same_bits};

const UPDATE: &str = "TURBO_UPDATE_GOLDEN";

const CODED: [KvType; 5] = [KvType::Q8_0, KvType::Q4_0, KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

/// Bell-shaped values of a standard deviation of about `2^exponent`.
fn bell(random: &mut Random, n: usize, exponent: i32) -> Vec<f32> {
    let unit = f32::from_bits(((127 + exponent - 19) as u32) << 23);
    let mut value = || {
        let sum: i64 = (0..8).map(|_| (random.bits() >> 44) as i64 - (1 << 19)).sum();
        (sum / 2) as f32 * unit
    };
    (0..n).map(|_| value()).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A line of `words` written out.
fn whole(out: &mut String, name: &str, words: &[u32]) {
    out.push_str(name);
    words.iter().for_each(|word| write!(out, " {word:08x}").unwrap());
    out.push('\n');
}

/// A line that stands for many words.
fn digest(out: &mut String, name: &str, words: &[u32]) {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    whole(out, &format!("{name}: {} words, hash {hash:016x}, first", words.len()), &words[..words.len().min(4)]);
}

/// Heads of every size, stored and decoded.
fn storage(out: &mut String) {
    for d in [16, 64, 80, 96, 128, 192, 256, 512, 576] {
        let mut random = Random(d as u64);
        let x: Vec<f32> = (0..20).flat_map(|i| bell(&mut random, d, i - 10)).collect();
        writeln!(out, "\n20 heads of {d} values, standard deviations from 2^-10 to 2^9").unwrap();
        digest(out, "values", &bits(&x));
        for ty in KvType::ALL {
            let (mut stored, mut decoded) = (Vec::new(), Vec::new());
            for head in x.chunks(d) {
                let (mut codes, mut scales) = (vec![0; ty.code_words(d)], vec![0; ty.scale_blocks(d)]);
                encode_head(ty, head, &mut codes, &mut scales).expect("finite heads");
                let mut values = vec![0.0; d];
                decode_head(ty, &codes, &scales, &mut values, false);
                stored.extend(codes);
                stored.extend(scales.into_iter().map(u32::from));
                decoded.extend(bits(&values));
            }
            digest(out, &format!("{ty} stored"), &stored);
            digest(out, &format!("{ty} decoded"), &decoded);
        }
    }
}

/// Keys, values, queries, sinks and a key bias for `case`.
fn fill(case: Case, bias: Option<RopeTable>) -> Filled {
    let mut random = Random(case.seed);
    let heads = case.n_kv_heads * case.group;
    let k = bell(&mut random, case.n_keys * case.n_kv_heads * case.dk, 0);
    let v = bell(&mut random, case.n_keys * case.n_kv_heads * case.dv, 1);
    let q = bell(&mut random, case.n_tokens * heads * case.dk, 1);
    let sinks = bell(&mut random, heads, 1);
    let values = bell(&mut random, case.n_kv_heads * case.dk, 4);
    let mut filled = case.fill_with(k, v, q);
    filled.sinks = sinks;
    filled.bias = bias.map(|table| ReadyBias::of(table, values, &case));
    filled
}

/// The output, the same from the twin and from every fast path.
fn output(filled: &Filled, name: &str) -> Vec<u32> {
    let want = filled.twin();
    for simd in Simd::all() {
        let got = filled.run(&ThreadPool::new(2), simd, 0, filled.case.n_tokens).expect("finite queries");
        assert_same_bits(&got, &want, &format!("{name} on {}", simd.name()));
    }
    bits(&want)
}

fn pairs() -> impl Iterator<Item = (KvType, KvType)> {
    CODED.into_iter().flat_map(|k| CODED.into_iter().map(move |v| (k, v)))
}

/// Frequencies that are powers of two, halved from one pair to the next: fast ones and slow ones.
fn rope(style: RopeStyle, pairs: usize) -> RopeTable {
    RopeTable { style, inv_freq: (0..pairs).map(|i| 0.5_f32.powi(i as i32 / 2)).collect(), magnitude: 1.0 }
}

fn attention(out: &mut String) {
    let small = Case { dk: 16, dv: 16, n_keys: 3, seed: 1, ..Case::default() };
    let filled = fill(small, None);
    out.push_str("\nattention of one query over 3 keys, heads of 16 values, whole\n");
    whole(out, "q", &bits(&filled.q));
    whole(out, "k", &bits(&filled.k));
    whole(out, "v", &bits(&filled.v));
    for (k, v) in pairs() {
        let filled = fill(Case { k, v, ..small }, None);
        whole(out, &format!("{k}/{v}"), &output(&filled, "small"));
    }
    let case = Case { dk: 64, dv: 64, n_kv_heads: 2, group: 2, ..Case::default() };
    let window = Case { window: Some(300), sinks: true, n_tokens: 2, ..case };
    let capped = Case { soft_cap: Some(30.0), n_keys: 257, n_tokens: 8, group: 3, n_kv_heads: 1, ..case };
    let cases = [
        ("1 key", Case { n_keys: 1, seed: 2, ..case }, None),
        ("64 keys", Case { n_keys: 64, seed: 3, ..case }, None),
        ("700 keys, heads of 80 and 96, a window of 300, sinks", Case { dk: 80, dv: 96, n_keys: 700, ..window }, None),
        ("257 keys, heads of 128, a soft cap of 30", Case { dk: 128, dv: 128, seed: 5, ..capped }, None),
        ("200 keys with a key bias", Case { n_keys: 200, seed: 6, ..case }, Some(rope(RopeStyle::Neox, 32))),
        (
            "400 keys, heads of 192 and 128, a key bias of 64 values, a window of 300, sinks",
            Case { dk: 192, dv: 128, n_keys: 400, seed: 7, ..window },
            Some(rope(RopeStyle::Interleaved, 32)),
        ),
        ("5000 keys, heads of 32", Case { dk: 32, dv: 32, n_keys: 5000, seed: 8, ..case }, None),
    ];
    for (name, case, bias) in cases {
        writeln!(
            out,
            "\n{name}: {} tokens, {} K/V heads of {} query heads",
            case.n_tokens, case.n_kv_heads, case.group
        )
        .unwrap();
        let inputs = fill(case, bias.clone());
        digest(out, "q", &bits(&inputs.q));
        digest(out, "k", &bits(&inputs.k));
        digest(out, "v", &bits(&inputs.v));
        for (k, v) in pairs() {
            digest(out, &format!("{k}/{v}"), &output(&fill(Case { k, v, ..case }, bias.clone()), name));
        }
    }
}

#[test]
fn nothing_stored_or_attended_has_changed_since_the_format_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/attention.txt");
    let mut got = format!("format_version {FORMAT_VERSION}\n");
    storage(&mut got);
    attention(&mut got);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &got).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap();
    for (at, (got, want)) in got.lines().zip(want.lines()).enumerate() {
        assert!(
            got == want,
            "line {} of {} was\n  {want}\nand is now\n  {got}\nIf this is no accident, raise FORMAT_VERSION of turbo-quant \
             (now {FORMAT_VERSION}), say in docs/exact-attention.md what changed, and write the file again with {UPDATE}=1",
            at + 1,
            path.display(),
        );
    }
    assert_eq!(got.lines().count(), want.lines().count(), "lines of {}", path.display());
}
