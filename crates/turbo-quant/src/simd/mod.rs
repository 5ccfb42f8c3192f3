//! Run-time choice of instructions. Every path gives the same bits; tests compare them.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::kv::{Fault, QueryCodes, decode_head_body, encode_head_body, levels_head_body, quantize_query_body};
use crate::kv_type::KvType;
use crate::turbo::rotate::{Direction, rotate_head_body};

/// The steps that compilers do not turn into good vector code by themselves.
pub(crate) trait Isa {
    /// [`crate::turbo::rotate::fwht`].
    fn fwht<const N: usize>(x: &mut [f32; N]);
    /// Codes of one rotation group of `n` values to levels; `low` and `high` start at the group's words.
    fn expand(ty: KvType, n: usize, low: &[u32], high: &[u32], out: &mut [i8]);
}

/// Plain Rust: what the others must equal.
pub(crate) struct Plain;

impl Isa for Plain {
    #[inline(always)]
    fn fwht<const N: usize>(x: &mut [f32; N]) {
        crate::turbo::rotate::fwht(x);
    }

    #[inline(always)]
    fn expand(ty: KvType, n: usize, low: &[u32], high: &[u32], out: &mut [i8]) {
        crate::kv::expand(ty, n, low, high, out);
    }
}

/// Compiles a body a second time with AVX2 and calls that copy where the processor has it.
///
/// The body is plain Rust but for the steps of [`Isa`]; no instruction of AVX2 fuses or rounds otherwise.
macro_rules! widened {
    ($name:ident = $body:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body::<x86::Avx2>($($arg),*)
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body::<Plain>($($arg),*)
        }
    };
}

widened!(rotate_head = rotate_head_body(x: &mut [f32], direction: Direction));
widened!(encode_head = encode_head_body(
    ty: KvType, head: &[f32], codes: &mut [u32], scales: &mut [u16]
) -> Result<(), Fault>);
widened!(decode_head = decode_head_body(
    ty: KvType, codes: &[u32], scales: &[u16], out: &mut [f32], rotated: bool
));
widened!(levels_head = levels_head_body(ty: KvType, codes: &[u32], out: &mut [i8]));
widened!(quantize_query = quantize_query_body(
    head: &[f32], wide: bool, q: &mut [i16], scratch: &mut [f32]
) -> Result<QueryCodes, Fault>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::turbo::exact::scale_pow2;

    const HEADS: [usize; 11] = [16, 48, 64, 80, 96, 112, 128, 192, 256, 512, 576];

    fn types() -> impl Strategy<Value = KvType> {
        prop::sample::select(&KvType::ALL[..])
    }

    /// Heads with a wide range of magnitudes, some inf, nan, zero and denormal among them.
    fn head() -> impl Strategy<Value = Vec<f32>> {
        let value = prop_oneof![
            40 => (-1.0_f32..1.0, -20..20).prop_map(|(x, k)| scale_pow2(x, k)),
            1 => any::<u32>().prop_map(f32::from_bits),
        ];
        prop::sample::select(&HEADS[..]).prop_flat_map(move |d| prop::collection::vec(value.clone(), d))
    }

    proptest! {
        #[test]
        fn levels_are_the_same_on_every_path(
            ty in types().prop_filter("f16 has no codes", |ty| ty.is_coded()),
            d in prop::sample::select(&HEADS[..]),
            words in prop::collection::vec(any::<u32>(), 576 / 4),
        ) {
            let codes = &words[..ty.code_words(d)];
            let (mut plain, mut wide) = (vec![0; d], vec![0; d]);
            levels_head_body::<Plain>(ty, codes, &mut plain);
            levels_head(ty, codes, &mut wide);
            prop_assert_eq!(plain, wide);
        }

        #[test]
        fn codecs_are_the_same_on_every_path(ty in types(), head in head(), wide_q: bool) {
            let d = head.len();
            let empty = || (vec![7_u32; ty.code_words(d)], vec![7_u16; ty.scale_blocks(d)]);
            let ((mut a, mut sa), (mut b, mut sb)) = (empty(), empty());
            let plain = encode_head_body::<Plain>(ty, &head, &mut a, &mut sa);
            prop_assert_eq!(plain, encode_head(ty, &head, &mut b, &mut sb));
            prop_assert_eq!((&a, &sa), (&b, &sb));
            if plain.is_err() {
                prop_assert_eq!((a, sa), empty(), "a fault stores nothing");
            } else {
                let (mut x, mut y) = (vec![0.0; d], vec![0.0; d]);
                decode_head_body::<Plain>(ty, &a, &sa, &mut x, wide_q);
                decode_head(ty, &a, &sa, &mut y, wide_q);
                prop_assert_eq!(bits(&x), bits(&y));
            }
            let (mut x, mut y) = (head.clone(), head.clone());
            rotate_head_body::<Plain>(&mut x, Direction::Forward);
            rotate_head(&mut y, Direction::Forward);
            prop_assert_eq!(bits(&x), bits(&y));
            let (mut q, mut r) = (vec![0; d], vec![0; d]);
            let plain = quantize_query_body::<Plain>(&head, wide_q, &mut q, &mut x);
            prop_assert_eq!(plain, quantize_query(&head, wide_q, &mut r, &mut y));
            prop_assert_eq!(q, r);
        }
    }

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|v| v.to_bits()).collect()
    }
}
