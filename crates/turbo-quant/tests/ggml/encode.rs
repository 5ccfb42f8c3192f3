//! Encoders against bytes written by the gguf Python package.

use proptest::prelude::*;
use turbo_gguf::GgmlType;
use turbo_quant::ggml::{QuantError, decode_row, encode_row};
use turbo_testkit::fixture;

fn encoded(ty: GgmlType, values: &[f32]) -> Result<Vec<u8>, QuantError> {
    let len = ty.row_bytes(values.len() as u64).expect("whole blocks") as usize;
    let mut bytes = vec![0xa5; len];
    encode_row(ty, values, &mut bytes).map(|()| bytes)
}

fn decoded(ty: GgmlType, bytes: &[u8], values: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; values];
    decode_row(ty, bytes, &mut out).expect("just encoded");
    out
}

#[test]
fn encoded_bytes_match_the_goldens() {
    let source = std::fs::read(fixture("quant-encode/values.f32")).expect("golden values");
    let values: Vec<f32> = source.as_chunks().0.iter().map(|&w| f32::from_le_bytes(w)).collect();
    assert_eq!(encoded(GgmlType::F32, &values).expect("f32"), source);
    for ty in [GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0] {
        let want = std::fs::read(fixture(&format!("quant-encode/{ty}.bin"))).expect("golden");
        let got = encoded(ty, &values).expect("finite values");
        let first = got.iter().zip(&want).position(|(got, want)| got != want);
        assert!(got.len() == want.len() && first.is_none(), "{ty}: first difference {first:?}");
    }
}

#[test]
fn sixteen_bit_floats_keep_infinities_and_nan() {
    let values = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, 1e30];
    for ty in [GgmlType::F16, GgmlType::BF16] {
        let got = decoded(ty, &encoded(ty, &values).expect("any value"), 5);
        assert_eq!((got[0], got[1]), (f32::INFINITY, f32::NEG_INFINITY), "{ty}");
        assert!(got[2].is_nan() && got[3].is_nan(), "{ty}");
    }
}

#[test]
fn tiny_scales_do_not_store_garbage() {
    for ty in [GgmlType::Q8_0, GgmlType::Q4_0] {
        for tiny in [f32::from_bits(1), 1e-40, 1e-30] {
            let values: Vec<f32> = (0..32).map(|i| if i % 3 == 0 { tiny } else { 0.0 }).collect();
            let got = decoded(ty, &encoded(ty, &values).expect("finite values"), 32);
            assert!(got.iter().all(|&value| value == 0.0), "{ty} {tiny:e}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Half a step of the scale, and the rounding of that scale to f16.
    #[test]
    fn errors_stay_within_half_a_step(
        row in prop::collection::vec(-1.0_f32..1.0, 64), exponent in -12_i32..12,
    ) {
        let values: Vec<f32> = row.iter().map(|value| value * 2.0_f32.powi(exponent)).collect();
        // q4_0 has no +8: values near the end opposite to the largest may be a whole step off.
        for (ty, levels, steps) in [(GgmlType::Q8_0, 127.0, 0.5), (GgmlType::Q4_0, 8.0, 1.0)] {
            let got = decoded(ty, &encoded(ty, &values).expect("finite values"), 64);
            for (got, want) in got.chunks(32).zip(values.chunks(32)) {
                let largest = want.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
                // The scale as f16: relative 2^-11, or 2^-25 absolute where it is subnormal.
                let rounding = (largest / 2048.0).max(levels / 33_554_432.0);
                let bound = 1.0001 * (largest * steps / levels + rounding);
                for (got, want) in got.iter().zip(want) {
                    prop_assert!((got - want).abs() <= bound, "{ty}: {got} for {want}");
                }
            }
        }
    }

    /// No float makes an encoder panic; what q8_0 and q4_0 cannot hold, they refuse.
    #[test]
    fn any_bits_encode_or_are_refused(bits in prop::collection::vec(any::<u32>(), 32)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for ty in [GgmlType::F32, GgmlType::F16, GgmlType::BF16] {
            prop_assert!(encoded(ty, &values).is_ok());
        }
        for (ty, limit) in [(GgmlType::Q8_0, 127.0 * 65504.0), (GgmlType::Q4_0, 8.0 * 65504.0)] {
            let fits = values.iter().all(|value| value.abs() <= limit);
            let result = encoded(ty, &values);
            prop_assert_eq!(result.is_ok(), fits);
            if let Ok(bytes) = result {
                prop_assert!(decoded(ty, &bytes, 32).iter().all(|value| value.is_finite()));
            }
        }
    }
}
