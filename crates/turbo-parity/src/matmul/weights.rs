//! Rows of weights of any type.

use turbo_gguf::GgmlType;
use turbo_gpu::weights::Layout;

use crate::Inputs;

/// `values` values of type `ty`: any codes and small scales, with factors between 2^-8 and 2^-4.
pub(crate) fn weights(ty: GgmlType, values: usize, inputs: &mut Inputs) -> Vec<u8> {
    let blocks = values / ty.block_values();
    let at = Layout::of(ty).map_or(&[][..], |layout| layout.factors());
    let mut bytes = Vec::with_capacity(blocks * ty.block_bytes());
    for _ in 0..blocks {
        let from = bytes.len();
        match ty {
            GgmlType::F32 => bytes.extend(inputs.normal().to_le_bytes()),
            GgmlType::F16 => {
                let bits = (inputs.bits() & 0x8fff) as u16 | 0x2000;
                bytes.extend(bits.to_le_bytes());
            }
            GgmlType::BF16 => bytes.extend_from_slice(&inputs.normal().to_le_bytes()[2..]),
            _ => bytes.extend((0..ty.block_bytes()).map(|_| inputs.bits() as u8)),
        }
        for &at in at {
            let factor = 0x1c00_u16 | (inputs.bits() & 0xfff) as u16;
            bytes[from + at..from + at + 2].copy_from_slice(&factor.to_le_bytes());
        }
        if ty == GgmlType::MXFP4 {
            // The exponent of the scale.
            bytes[from] = 118 + (inputs.below(8)) as u8;
        }
        if ty == GgmlType::Q8_0 {
            // -128 is no code of this type.
            bytes[from + 2..].iter_mut().filter(|b| **b == 0x80).for_each(|b| *b = 0x81);
        }
    }
    bytes
}
