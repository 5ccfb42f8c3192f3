//! Any bytes decode and expand without a panic, and planes multiply out to the decoded values.

use proptest::prelude::*;
use turbo_gguf::GgmlType;
use turbo_quant::ggml::{decode_row, expand, plane_shape};

/// Equal bits; NaN equals NaN. A byte -128 of a whole-byte type is -127 in the planes.
fn agrees(ty: GgmlType, value: f32, scale: f32, code: i8, min: f32) -> bool {
    let whole_bytes = matches!(ty, GgmlType::Q8_0 | GgmlType::Q8_1 | GgmlType::Q8_K);
    let is =
        |product: f32| value.to_bits() == (product - min).to_bits() || (value.is_nan() && (product - min).is_nan());
    code >= -127 && (is(scale * f32::from(code)) || (whole_bytes && code == -127 && is(scale * -128.0)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_of_any_type(noise in prop::collection::vec(any::<u8>(), 3 * 292)) {
        for &ty in GgmlType::ALL {
            let n = 3 * ty.block_values();
            let bytes = &noise[..3 * ty.block_bytes()];
            let mut values = vec![0.0; n];
            prop_assert!(decode_row(ty, bytes, &mut values).is_ok(), "{}", ty);
            let Some(shape) = plane_shape(ty) else { continue };
            let subs = n / shape.sub;
            let (mut codes, mut scales, mut mins) = (vec![0; n], vec![0.0; subs], vec![0.0; subs]);
            expand(ty, bytes, &mut codes, &mut scales, &mut mins);
            for (i, &value) in values.iter().enumerate() {
                let (scale, min) = (scales[i / shape.sub], mins[i / shape.sub]);
                prop_assert!(
                    agrees(ty, value, scale, codes[i], min),
                    "{ty} value {i}: {value} is not {scale} * {} - {min}", codes[i]
                );
            }
        }
    }

    #[test]
    fn any_lengths_give_a_result(bytes in 0_usize..600, values in 0_usize..600) {
        for &ty in GgmlType::ALL {
            let fits = values % ty.block_values() == 0
                && values / ty.block_values() * ty.block_bytes() == bytes;
            let got = decode_row(ty, &vec![0x5a; bytes], &mut vec![0.0; values]);
            prop_assert_eq!(got.is_ok(), fits, "{} {} {}", ty, bytes, values);
        }
    }
}
