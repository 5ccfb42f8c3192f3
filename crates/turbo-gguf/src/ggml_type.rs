//! The ggml tensor types: identifier, name, and block geometry. No arithmetic on values.

use std::fmt;

macro_rules! ggml_types {
    ($($variant:ident = $id:literal, $name:literal, $values:literal, $bytes:literal;)*) => {
        /// A ggml tensor type that this project knows.
        ///
        /// Values are stored in blocks of [`block_values`](Self::block_values) consecutive values
        /// of a row, [`block_bytes`](Self::block_bytes) bytes each (source: the `block_*` structs
        /// of ggml and the type table of the GGUF specification).
        #[allow(non_camel_case_types, reason = "the names users know: Q4_K, IQ4_XS, TQ1_0")]
        #[allow(missing_docs, reason = "each variant is the ggml type of that name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum GgmlType { $($variant = $id,)* }

        impl GgmlType {
            /// Every known type, by rising identifier.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The type with this identifier in a GGUF file, if it is known.
            pub const fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The name as ggml prints it, in lower case where ggml does (`q4_K`, `iq4_xs`, `f16`).
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Number of consecutive values in one block.
            pub const fn block_values(self) -> usize {
                match self { $(Self::$variant => $values,)* }
            }

            /// Number of bytes of one block.
            pub const fn block_bytes(self) -> usize {
                match self { $(Self::$variant => $bytes,)* }
            }
        }
    };
}

ggml_types! {
    F32 = 0, "f32", 1, 4;
    F16 = 1, "f16", 1, 2;
    Q4_0 = 2, "q4_0", 32, 18;
    Q4_1 = 3, "q4_1", 32, 20;
    Q5_0 = 6, "q5_0", 32, 22;
    Q5_1 = 7, "q5_1", 32, 24;
    Q8_0 = 8, "q8_0", 32, 34;
    Q8_1 = 9, "q8_1", 32, 36;
    Q2_K = 10, "q2_K", 256, 84;
    Q3_K = 11, "q3_K", 256, 110;
    Q4_K = 12, "q4_K", 256, 144;
    Q5_K = 13, "q5_K", 256, 176;
    Q6_K = 14, "q6_K", 256, 210;
    Q8_K = 15, "q8_K", 256, 292;
    IQ2_XXS = 16, "iq2_xxs", 256, 66;
    IQ2_XS = 17, "iq2_xs", 256, 74;
    IQ3_XXS = 18, "iq3_xxs", 256, 98;
    IQ1_S = 19, "iq1_s", 256, 50;
    IQ4_NL = 20, "iq4_nl", 32, 18;
    IQ3_S = 21, "iq3_s", 256, 110;
    IQ2_S = 22, "iq2_s", 256, 82;
    IQ4_XS = 23, "iq4_xs", 256, 136;
    I8 = 24, "i8", 1, 1;
    I16 = 25, "i16", 1, 2;
    I32 = 26, "i32", 1, 4;
    I64 = 27, "i64", 1, 8;
    F64 = 28, "f64", 1, 8;
    IQ1_M = 29, "iq1_m", 256, 56;
    BF16 = 30, "bf16", 1, 2;
    TQ1_0 = 34, "tq1_0", 256, 54;
    TQ2_0 = 35, "tq2_0", 256, 66;
    MXFP4 = 39, "mxfp4", 32, 17;
    NVFP4 = 40, "nvfp4", 64, 36;
}

impl GgmlType {
    /// The identifier in a GGUF file.
    pub const fn id(self) -> u32 {
        self as u32
    }

    /// Bytes of a row of `values` values, or `None` if that is not a whole number of blocks or
    /// does not fit in a `u64`.
    pub const fn row_bytes(self, values: u64) -> Option<u64> {
        let block = self.block_values() as u64;
        if !values.is_multiple_of(block) {
            return None;
        }
        (values / block).checked_mul(self.block_bytes() as u64)
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
