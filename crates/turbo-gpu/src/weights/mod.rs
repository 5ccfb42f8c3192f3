//! Weights in GPU memory, as kernels like to read them.
//!
//! A quantised row is repacked when it is loaded: a plane of the low bits of its codes, a plane of the high bits, then
//! its scales, each aligned ([`Layout`]). Nothing is rounded: scales stay what the file has. Float rows stay as they
//! are. Matrices larger than a binding are split by rows.

mod layout;
mod loader;
mod magnitude;
mod repack;

use std::ops::Range;

use turbo_gguf::GgmlType;

use crate::buffer::{Bind, SplitBuffer};
use crate::error::GpuError;
use crate::gpu::Gpu;

pub use layout::{Layout, RowLayout, UNIT};

/// A matrix in GPU memory.
#[derive(Debug)]
pub struct Matrix {
    ty: GgmlType,
    layout: Layout,
    rows: usize,
    cols: usize,
    row: RowLayout,
    data: SplitBuffer,
    half_factor: f32,
}

/// Rows of a matrix that one binding can see.
#[derive(Clone, Copy, Debug)]
pub struct MatrixPart<'a> {
    /// The rows.
    pub bind: Bind<'a>,
    /// Index of the first.
    pub first_row: u32,
    /// How many there are.
    pub rows: u32,
}

impl Matrix {
    /// Loads a matrix of `rows` rows of `cols` values from its bytes in a file; `progress` is told bytes of the file.
    ///
    /// # Errors
    /// A type without kernels, bytes that are not so many rows, too little memory, a failing device.
    pub fn load(
        gpu: &Gpu,
        name: &str,
        ty: GgmlType,
        (rows, cols): (usize, usize),
        bytes: &[u8],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, GpuError> {
        Self::load_in_parts(gpu, name, ty, (rows, cols), bytes, usize::MAX, progress)
    }

    /// Like [`Matrix::load`], with at most `most` rows to a binding, for tests.
    ///
    /// # Errors
    /// As [`Matrix::load`].
    pub fn load_in_parts(
        gpu: &Gpu,
        name: &str,
        ty: GgmlType,
        (rows, cols): (usize, usize),
        bytes: &[u8],
        most: usize,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, GpuError> {
        let mut matrix = Self::empty(gpu, name, ty, (rows, cols), most)?;
        Self::fill(gpu, &mut [&mut matrix], &[bytes], progress)?;
        Ok(matrix)
    }

    /// Memory for a matrix of `rows` rows of `cols` values, with at most `most` rows to a binding.
    ///
    /// # Errors
    /// A type without kernels, a shape that it cannot have, too little memory.
    pub(crate) fn empty(
        gpu: &Gpu,
        name: &str,
        ty: GgmlType,
        (rows, cols): (usize, usize),
        most: usize,
    ) -> Result<Self, GpuError> {
        let refuse = |reason: String| gpu.call("matrix", format!("{name}: {reason}"));
        let layout = Layout::of(ty).ok_or_else(|| refuse(format!("there is no kernel for {ty}")))?;
        let row = layout.row(cols);
        if !cols.is_multiple_of(ty.block_values()) || !cols.is_multiple_of(4) {
            return Err(refuse(format!("rows of {cols} values are not whole blocks of {ty}")));
        }
        let data = if most < rows {
            let buffer = |first| gpu.buffer(name, most.max(1).min(rows - first) * row.words);
            let parts = (0..rows).step_by(most.max(1)).map(buffer).collect::<Result<_, _>>()?;
            SplitBuffer { parts, units_per_part: most.max(1), units: rows, unit_bytes: 4 * row.words }
        } else {
            gpu.split_buffer(name, "row", rows, 4 * row.words)?
        };
        Ok(Self { ty, layout, rows, cols, row, data, half_factor: 1.0 })
    }

    /// Fills `matrices` with the rows of the file, `bytes` of each; `progress` is told bytes of the file.
    ///
    /// # Errors
    /// Bytes that are not all rows of a matrix; too little memory for staging; a failing device.
    pub(crate) fn fill(
        gpu: &Gpu,
        matrices: &mut [&mut Self],
        bytes: &[&[u8]],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), GpuError> {
        for (matrix, bytes) in matrices.iter().zip(bytes) {
            if bytes.len() != matrix.rows * matrix.row_bytes() {
                let (Self { rows, cols, ty, .. }, n) = (matrix, bytes.len());
                return Err(gpu.call("matrix", format!("{n} bytes are not {rows} rows of {cols} values of {ty}")));
            }
        }
        loader::fill(gpu, matrices, bytes, progress)
    }

    /// Bytes of a row in the file.
    fn row_bytes(&self) -> usize {
        self.cols / self.ty.block_values() * self.ty.block_bytes()
    }

    /// Type in the file.
    pub fn ty(&self) -> GgmlType {
        self.ty
    }

    /// Rows: outputs of a product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: inputs of a product.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Where things are in a row.
    pub fn row(&self) -> &RowLayout {
        &self.row
    }

    /// What its values are multiplied with to become f16, a power of two: with it none is too large for f16, and what is
    /// too small for it is of no weight beside the largest. 1 for f16.
    pub fn half_factor(&self) -> f32 {
        self.half_factor
    }

    /// Its bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.data.parts().map(|(_, part)| part.bytes()).sum()
    }

    /// Whether its products take integer codes of the activations.
    pub fn is_quantised(&self) -> bool {
        !matches!(self.ty, GgmlType::F32 | GgmlType::F16 | GgmlType::BF16)
    }

    /// Its rows, binding by binding.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = MatrixPart<'_>> {
        self.data.parts().map(|(rows, buffer): (Range<usize>, _)| MatrixPart {
            bind: buffer.bind(),
            first_row: rows.start as u32,
            rows: rows.len() as u32,
        })
    }
}
