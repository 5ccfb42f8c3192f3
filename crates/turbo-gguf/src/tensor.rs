//! What the tensor table says about a tensor.

use crate::GgmlType;

/// Name, shape, type and place of a tensor. Sizes were checked against the file when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, unique in the model.
    pub name: String,
    /// Dimensions in ggml order: `shape[0]` is the row length, whose values lie side by side.
    pub shape: Vec<u64>,
    /// Type identifier as stored; [`ggml_type`](Self::ggml_type) says whether it is known.
    pub type_id: u32,
    pub(crate) part: usize,
    pub(crate) offset: u64,
}

impl TensorInfo {
    /// The type, or `None` for an identifier that this project does not know.
    pub fn ggml_type(&self) -> Option<GgmlType> {
        GgmlType::from_id(self.type_id)
    }

    /// Length of a row: `shape[0]`.
    pub fn cols(&self) -> u64 {
        self.shape[0]
    }

    /// Number of rows: the product of all other dimensions.
    pub fn rows(&self) -> u64 {
        self.shape[1..].iter().product()
    }

    /// Number of values.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Number of bytes, or `None` for an unknown type.
    pub fn bytes(&self) -> Option<u64> {
        self.ggml_type()?.row_bytes(self.cols())?.checked_mul(self.rows())
    }

    /// Which part of a split model holds the data, 0 for the first.
    pub fn part(&self) -> usize {
        self.part
    }

    /// Position of the data in its part, in bytes from the start of that file.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// What is known about an identifier that [`GgmlType`] does not have (source: the history of
/// ggml's type table, and the type tables of the TurboQuant forks of llama.cpp).
pub(crate) fn unknown_type_hint(id: u32) -> &'static str {
    match id {
        4 | 5 => "q4_2 and q4_3 were removed from ggml; convert the model again",
        31..=33 | 36..=38 => "ggml removed its repacked types; quantise the model again to q4_0 or iq4_nl",
        41 => "this is q1_0 of ggml",
        42 => "this is q2_0 of ggml, or turbo2 of a TurboQuant fork of llama.cpp",
        43..=46 => "this is a type of a TurboQuant fork of llama.cpp; quantise the model again",
        _ => "no such ggml type is known; the file is damaged or newer than this program",
    }
}
