//! How large the values of a matrix can be.

use turbo_gguf::GgmlType;
use turbo_quant::turbo::exact::f32_from_f16;

use super::layout::Layout;

/// Bounds the magnitudes of the values of whole blocks; of floats and per-block factors that are not finite nothing is
/// said, they make their products so too.
///
/// Of quantised types only the factors of the blocks are looked at: the largest codes and scales are those that the
/// type can have.
pub(super) fn bound(layout: &Layout, bytes: &[u8]) -> f32 {
    let ty = layout.ty();
    let floats =
        |values: &mut dyn Iterator<Item = f32>| values.filter(|v| v.is_finite()).fold(0.0, |a, v| v.abs().max(a));
    match ty {
        GgmlType::F32 => floats(&mut bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b))),
        GgmlType::BF16 => floats(&mut bytes.as_chunks::<2>().0.iter().map(|&[a, b]| f32::from_le_bytes([0, 0, a, b]))),
        GgmlType::MXFP4 => {
            let exponents = bytes.chunks_exact(ty.block_bytes()).map(|block| block[0]).filter(|&e| e < 255);
            // 6 * 2^(e - 127), the largest being 6.
            exponents.max().map_or(0.0, |e| 6.0 * (f32::from(e) - 127.0).exp2())
        }
        _ => {
            let block = |block: &[u8]| {
                let half = |at: usize| f32_from_f16(u16::from_le_bytes([block[at], block[at + 1]])).abs();
                layout.factors().iter().zip(reach(ty)).map(|(&at, reach)| half(at) * reach).sum::<f32>()
            };
            floats(&mut bytes.chunks_exact(ty.block_bytes()).map(block))
        }
    }
}

/// How large what is multiplied with each f16 factor of a block can be.
fn reach(ty: GgmlType) -> &'static [f32] {
    match ty {
        GgmlType::Q8_0 | GgmlType::IQ4_NL => &[128.0],
        GgmlType::Q4_0 => &[8.0],
        GgmlType::Q5_0 => &[16.0],
        GgmlType::Q4_1 => &[15.0, 1.0],
        GgmlType::Q5_1 => &[31.0, 1.0],
        GgmlType::Q2_K => &[15.0 * 3.0, 15.0],
        GgmlType::Q3_K => &[32.0 * 4.0],
        GgmlType::Q4_K => &[63.0 * 15.0, 63.0],
        GgmlType::Q5_K => &[63.0 * 31.0, 63.0],
        GgmlType::Q6_K => &[128.0 * 32.0],
        GgmlType::IQ4_XS => &[32.0 * 128.0],
        _ => &[],
    }
}

/// The power of two that brings values of up to `largest` below 2^14, and the largest above 2^13 where it exists as f32.
pub(super) fn half_factor(ty: GgmlType, largest: f32) -> f32 {
    if ty == GgmlType::F16 || largest <= 0.0 {
        return 1.0;
    }
    // 2^(exponent - 127) <= largest < twice that.
    let exponent = (largest.to_bits() >> 23).clamp(14, 254);
    f32::from_bits((267 - exponent) << 23)
}

#[cfg(test)]
mod tests {
    use turbo_quant::ggml::decode_row;

    use super::*;

    #[test]
    fn no_value_is_larger_than_the_bound() {
        let mut seed = 1_u32;
        let mut byte = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for layout in Layout::all().filter(|layout| layout.ty() != GgmlType::F16) {
            let ty = layout.ty();
            for _ in 0..200 {
                let block: Vec<u8> = (0..ty.block_bytes()).map(|_| byte()).collect();
                let mut values = vec![0.0; ty.block_values()];
                decode_row(ty, &block, &mut values).unwrap();
                if values.iter().all(|v| v.is_finite()) {
                    let largest = values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
                    assert!(largest <= bound(&layout, &block), "{ty}: {largest} above {}", bound(&layout, &block));
                }
            }
        }
    }

    #[test]
    fn factors_bring_values_into_the_range_of_f16() {
        for largest in [1e-25_f32, 1e-3, 1.0, 1.5, 65504.0, 1e20, f32::MAX] {
            let factor = half_factor(GgmlType::F32, largest);
            let becomes = f64::from(largest) * f64::from(factor);
            assert!((8192.0..16384.0).contains(&becomes), "{largest} becomes {becomes}");
            assert!((1.0 / factor).is_normal());
        }
        assert_eq!(half_factor(GgmlType::F16, 3.0), 1.0);
        assert_eq!(half_factor(GgmlType::F32, 0.0), 1.0);
        assert!(half_factor(GgmlType::F32, 1e-40).is_normal());
    }
}
