//! Rows of weights of any type.

use turbo_gguf::GgmlType;

use crate::Inputs;

/// Where a block of a type has its f16 factors, or its exponent byte (`true`).
const fn factors(ty: GgmlType) -> (&'static [usize], bool) {
    match ty {
        GgmlType::Q8_0 | GgmlType::Q4_0 | GgmlType::Q5_0 | GgmlType::IQ4_NL | GgmlType::IQ4_XS => (&[0], false),
        GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4_K | GgmlType::Q5_K => (&[0, 2], false),
        GgmlType::Q2_K => (&[80, 82], false),
        GgmlType::Q3_K => (&[108], false),
        GgmlType::Q6_K => (&[208], false),
        GgmlType::MXFP4 => (&[0], true),
        _ => (&[], false),
    }
}

/// `values` values of type `ty`: any codes and small scales, with factors between 2^-8 and 2^-4.
pub(crate) fn weights(ty: GgmlType, values: usize, inputs: &mut Inputs) -> Vec<u8> {
    let blocks = values / ty.block_values();
    let (at, exponent) = factors(ty);
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
        if exponent {
            bytes[from] = 118 + (inputs.below(8)) as u8;
        }
        if ty == GgmlType::Q8_0 {
            // -128 is no code of this type.
            bytes[from + 2..].iter_mut().filter(|b| **b == 0x80).for_each(|b| *b = 0x81);
        }
    }
    bytes
}
