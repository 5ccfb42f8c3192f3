//! Stored codes, scales and queries: the format must not change unless FORMAT_VERSION does.
//!
//! `TURBO_UPDATE_GOLDEN=1 cargo test -p turbo-quant --test kv_golden` writes the file again.

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{Random, encode};
use turbo_quant::KvType;
use turbo_quant::kv::quantize_query;
use turbo_quant::turbo::FORMAT_VERSION;
use turbo_quant::turbo::rotate::{Direction, rotate_head};

const UPDATE: &str = "TURBO_UPDATE_GOLDEN";

/// Inputs made with integer arithmetic alone, so that no libm can change them.
fn inputs(d: usize) -> Vec<Vec<f32>> {
    let mut random = Random(d as u64);
    let mut bell = |spread: u32| -> Vec<f32> {
        (0..d)
            .map(|_| {
                let sum: i64 = (0..8).map(|_| (random.next() >> 44) as i64 - (1 << 19)).sum();
                let exponent = random.next() % (u64::from(spread) + 1);
                sum as f32 / (1_u64 << (20 + exponent)) as f32
            })
            .collect()
    };
    let (plain, spread, wide) = (bell(0), bell(6), bell(40));
    let mut one_hot = vec![-0.0; d];
    one_hot[d / 3] = 1.75;
    let small = plain.iter().map(|v| v / 65536.0).collect();
    vec![plain, spread, wide, one_hot, small]
}

fn hex(out: &mut String, name: &str, words: impl IntoIterator<Item = u32>) {
    out.push_str(name);
    for word in words {
        write!(out, " {word:x}").unwrap();
    }
    out.push('\n');
}

fn describe() -> String {
    let mut out = format!("format_version {FORMAT_VERSION}\n");
    for d in [16, 32, 64, 128, 80] {
        for head in inputs(d) {
            let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            hex(&mut out, &format!("head {d}"), bits(&head));
            let mut rotated = head.clone();
            rotate_head(&mut rotated, Direction::Forward);
            hex(&mut out, "rotated", bits(&rotated));
            for ty in KvType::ALL {
                let coded = encode(ty, &head).unwrap();
                hex(&mut out, &format!("{ty} codes"), coded.codes);
                hex(&mut out, &format!("{ty} scales"), coded.scales.into_iter().map(u32::from));
            }
            for (name, wide) in [("narrow", false), ("wide", true)] {
                let (mut q, mut scratch) = (vec![0; d], vec![0.0; d]);
                let codes = quantize_query(&head, wide, &mut q, &mut scratch).unwrap();
                hex(&mut out, &format!("{name} query"), q.into_iter().map(|v| v as u16 as u32));
                let mult = codes.score_mult(0.1275, KvType::Turbo4, 16);
                hex(&mut out, &format!("{name} scale"), [codes.recip.to_bits(), codes.exponent as u32, mult.to_bits()]);
            }
        }
    }
    out
}

#[test]
fn the_stored_format_has_not_changed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kv.txt");
    let got = describe();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &got).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap();
    for (at, (got, want)) in got.lines().zip(want.lines()).enumerate() {
        assert_eq!(
            got,
            want,
            "line {} of {} differs: a change of the format needs a new FORMAT_VERSION; then set {UPDATE}",
            at + 1,
            path.display()
        );
    }
    assert_eq!(got.lines().count(), want.lines().count());
}
