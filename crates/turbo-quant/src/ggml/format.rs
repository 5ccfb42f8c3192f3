//! Which function unpacks which type: the only list of the formats.

use turbo_gguf::GgmlType;

#[cfg(target_arch = "x86_64")]
use super::cpu::Avx2;
use super::cpu::{Cpu, Portable};
use super::{fp4, iq1, iq2, iq3, iq4, k_quants, q_legacy, ternary};

/// Something to do with the unpacking function of a type, whose block is `B` bytes, `V` values
/// and `S` scales. A function gets one block, and fills codes, scales and (where there are some)
/// minima, so that value = scale * code - minimum. The loop over blocks belongs into [`Cpu::run`].
pub(super) trait Visit: Sized {
    /// What doing it gives.
    type Out;

    /// A format without minima.
    fn symmetric<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S]),
    ) -> Self::Out;

    /// A format with minima.
    fn with_mins<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S], &mut [f32; S]),
    ) -> Self::Out;

    /// A format without minima whose codes are the bytes of the file, -128 included.
    fn whole_bytes<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S]),
    ) -> Self::Out {
        self.symmetric(cpu, unpack)
    }
}

/// Calls the visitor with the unpacking function of `ty` for the CPU at hand; `None` for types
/// without codes.
pub(super) fn visit<T: Visit>(ty: GgmlType, visitor: T) -> Option<T::Out> {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = Avx2::detect() {
        return visit_on(avx2, ty, visitor);
    }
    visit_on(Portable, ty, visitor)
}

/// An unpacking function with its CPU filled in.
macro_rules! on {
    ($cpu:ident, $unpack:path, $($plane:ident),*) => {
        #[inline(always)]
        move |block: &_, $($plane: &mut _),*| $unpack($cpu, block, $($plane),*)
    };
}

/// [`visit`] with a given set of instructions.
pub(super) fn visit_on<T: Visit>(cpu: impl Cpu, ty: GgmlType, visitor: T) -> Option<T::Out> {
    macro_rules! symmetric {
        ($unpack:path) => {
            visitor.symmetric(cpu, on!(cpu, $unpack, codes, scales))
        };
    }
    macro_rules! with_mins {
        ($unpack:path) => {
            visitor.with_mins(cpu, on!(cpu, $unpack, codes, scales, mins))
        };
    }
    macro_rules! whole_bytes {
        ($unpack:path) => {
            visitor.whole_bytes(cpu, on!(cpu, $unpack, codes, scales))
        };
    }
    Some(match ty {
        GgmlType::Q4_0 => symmetric!(q_legacy::q4_0),
        GgmlType::Q4_1 => with_mins!(q_legacy::q4_1),
        GgmlType::Q5_0 => symmetric!(q_legacy::q5_0),
        GgmlType::Q5_1 => with_mins!(q_legacy::q5_1),
        GgmlType::Q8_0 => whole_bytes!(q_legacy::q8_0),
        GgmlType::Q8_1 => whole_bytes!(q_legacy::q8_1),
        GgmlType::Q2_K => with_mins!(k_quants::q2_k),
        GgmlType::Q3_K => symmetric!(k_quants::q3_k),
        GgmlType::Q4_K => with_mins!(k_quants::q4_k),
        GgmlType::Q5_K => with_mins!(k_quants::q5_k),
        GgmlType::Q6_K => symmetric!(k_quants::q6_k),
        GgmlType::Q8_K => whole_bytes!(q_legacy::q8_k),
        GgmlType::IQ2_XXS => symmetric!(iq2::iq2_xxs),
        GgmlType::IQ2_XS => symmetric!(iq2::iq2_xs),
        GgmlType::IQ3_XXS => symmetric!(iq3::iq3_xxs),
        GgmlType::IQ1_S => symmetric!(iq1::iq1_s),
        GgmlType::IQ4_NL => symmetric!(iq4::iq4_nl),
        GgmlType::IQ3_S => symmetric!(iq3::iq3_s),
        GgmlType::IQ2_S => symmetric!(iq2::iq2_s),
        GgmlType::IQ4_XS => symmetric!(iq4::iq4_xs),
        GgmlType::IQ1_M => symmetric!(iq1::iq1_m),
        GgmlType::TQ1_0 => symmetric!(ternary::tq1_0),
        GgmlType::TQ2_0 => symmetric!(ternary::tq2_0),
        GgmlType::MXFP4 => symmetric!(fp4::mxfp4),
        GgmlType::NVFP4 => symmetric!(fp4::nvfp4),
        GgmlType::F32
        | GgmlType::F16
        | GgmlType::BF16
        | GgmlType::F64
        | GgmlType::I8
        | GgmlType::I16
        | GgmlType::I32
        | GgmlType::I64 => return None,
    })
}
