//! Integer planes: codes that fit a signed byte, and a scale (and minimum) per 16 or 32 of them.

use turbo_gguf::GgmlType;

use super::cpu::Cpu;
use super::format::{Visit, visit};

/// How the values of a quantised type split into planes:
/// `value[i] = scales[i / sub] * codes[i] - mins[i / sub]`.
///
/// Multiplied and then subtracted in f32, that is bit for bit what [`decode_row`] gives, with one
/// exception: a byte -128 of q8_0, q8_1 or q8_K, which ggml never writes, is taken as -127.
///
/// [`decode_row`]: super::decode_row
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaneShape {
    /// Values of one ggml block.
    pub block: usize,
    /// Values that share a scale: 16 or 32.
    pub sub: usize,
    /// Whether minima can differ from zero.
    pub has_mins: bool,
}

/// The planes of a type; `None` for types without codes (f32, f16, bf16, f64 and integers).
pub fn plane_shape(ty: GgmlType) -> Option<PlaneShape> {
    visit(ty, Shape)
}

/// Expands whole blocks of a row of `n = codes.len()` values: codes within -127..=127,
/// `n / sub` scales and minima ([`PlaneShape::sub`]). `mins` may be empty for a type without
/// minima; otherwise it is filled, with zeros for such a type.
///
/// Any bytes are valid. Scales may come out infinite or NaN if the file says so.
///
/// # Panics
/// When `ty` has no planes, or the lengths of the slices do not belong together: both are mistakes
/// of the caller, not properties of a file.
pub fn expand(ty: GgmlType, bytes: &[u8], codes: &mut [i8], scales: &mut [f32], mins: &mut [f32]) {
    let shape = plane_shape(ty).unwrap_or_else(|| panic!("type {ty} has no integer planes"));
    super::check_row(ty, codes.len(), bytes.len()).unwrap_or_else(|error| panic!("{error}"));
    let subs = codes.len() / shape.sub;
    let mins_fit = mins.len() == subs || (mins.is_empty() && !shape.has_mins);
    assert!(scales.len() == subs && mins_fit, "type {ty}: {subs} scales and minima expected");
    visit(ty, Expand { bytes, codes, scales, mins });
}

struct Shape;

impl Visit for Shape {
    type Out = PlaneShape;

    fn symmetric<const B: usize, const V: usize, const S: usize>(
        self,
        _: impl Cpu,
        _: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S]),
    ) -> PlaneShape {
        PlaneShape { block: V, sub: V / S, has_mins: false }
    }

    fn with_mins<const B: usize, const V: usize, const S: usize>(
        self,
        _: impl Cpu,
        _: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S], &mut [f32; S]),
    ) -> PlaneShape {
        PlaneShape { block: V, sub: V / S, has_mins: true }
    }
}

struct Expand<'a> {
    bytes: &'a [u8],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    mins: &'a mut [f32],
}

impl Visit for Expand<'_> {
    type Out = ();

    fn symmetric<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S]),
    ) {
        self.mins.fill(0.0);
        let (blocks, _) = self.bytes.as_chunks::<B>();
        let (codes, _) = self.codes.as_chunks_mut::<V>();
        let (scales, _) = self.scales.as_chunks_mut::<S>();
        cpu.run(
            #[inline(always)]
            || {
                for ((block, codes), scales) in blocks.iter().zip(codes).zip(scales) {
                    unpack(block, codes, scales);
                }
            },
        );
    }

    fn with_mins<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S], &mut [f32; S]),
    ) {
        let (blocks, _) = self.bytes.as_chunks::<B>();
        let (codes, _) = self.codes.as_chunks_mut::<V>();
        let (scales, _) = self.scales.as_chunks_mut::<S>();
        let (mins, _) = self.mins.as_chunks_mut::<S>();
        cpu.run(
            #[inline(always)]
            || {
                for (((block, codes), scales), mins) in blocks.iter().zip(codes).zip(scales).zip(mins) {
                    unpack(block, codes, scales, mins);
                }
            },
        );
    }

    fn whole_bytes<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S]),
    ) {
        self.symmetric(
            cpu,
            #[inline(always)]
            |block: &[u8; B], codes: &mut [i8; V], scales: &mut [f32; S]| {
                unpack(block, codes, scales);
                // Products that split a code into sign and magnitude have no +128.
                for code in codes {
                    *code = (*code).max(-127);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpu::Portable;
    use super::super::format::visit_on;
    use super::*;

    #[test]
    fn shapes_agree_with_the_type_table() {
        for &ty in GgmlType::ALL {
            let Some(shape) = plane_shape(ty) else {
                assert_eq!(ty.block_values(), 1, "{ty} has blocks, so it must have planes");
                continue;
            };
            assert_eq!(shape.block, ty.block_values(), "{ty}");
            assert!(shape.sub == 16 || shape.sub == 32, "{ty}");
        }
    }

    #[test]
    fn every_set_of_instructions_gives_the_same_planes() {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(64 * 292)
        .collect();
        for &ty in GgmlType::ALL {
            let Some(shape) = plane_shape(ty) else { continue };
            let (n, subs) = (64 * shape.block, 64 * shape.block / shape.sub);
            let bytes = &noise[..64 * ty.block_bytes()];
            let (mut codes, mut scales, mut mins) = (vec![0; n], vec![0.0; subs], vec![0.0; subs]);
            expand(ty, bytes, &mut codes, &mut scales, &mut mins);
            let (mut codes2, mut scales2, mut mins2) = (vec![0; n], vec![0.0; subs], vec![0.0; subs]);
            let plain = Expand { bytes, codes: &mut codes2, scales: &mut scales2, mins: &mut mins2 };
            visit_on(Portable, ty, plain);
            assert_eq!(codes, codes2, "{ty}");
            for (fast, plain) in scales.iter().chain(&mins).zip(scales2.iter().chain(&mins2)) {
                let same = fast.to_bits() == plain.to_bits() || (fast.is_nan() && plain.is_nan());
                assert!(same, "{ty}: {fast} and {plain}");
            }
        }
    }

    #[test]
    fn minus_128_is_taken_as_minus_127() {
        let mut bytes = [0x80; 34];
        bytes[..2].copy_from_slice(&half::f16::ONE.to_le_bytes());
        let (mut codes, mut scales) = ([0; 32], [0.0]);
        expand(GgmlType::Q8_0, &bytes, &mut codes, &mut scales, &mut []);
        assert_eq!((codes, scales), ([-127; 32], [1.0]));
    }

    #[test]
    #[should_panic(expected = "type f16 has no integer planes")]
    fn expand_refuses_types_without_codes() {
        expand(GgmlType::F16, &[], &mut [], &mut [], &mut []);
    }

    #[test]
    #[should_panic(expected = "256 values of type q4_K given with 143 bytes: expected 144 bytes")]
    fn expand_refuses_slices_of_other_lengths() {
        expand(GgmlType::Q4_K, &[0; 143], &mut [0; 256], &mut [0.0; 8], &mut [0.0; 8]);
    }

    #[test]
    #[should_panic(expected = "type q4_K: 8 scales and minima expected")]
    fn expand_needs_minima_where_the_type_has_them() {
        expand(GgmlType::Q4_K, &[0; 144], &mut [0; 256], &mut [0.0; 8], &mut []);
    }
}
