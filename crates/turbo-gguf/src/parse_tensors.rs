//! Reading and checking the tensor table.

use std::collections::HashSet;

use crate::cursor::Cursor;
use crate::error::{GgufError, Section};
use crate::tensor::TensorInfo;

/// Longest tensor name that the specification allows, in bytes.
const NAME_LIMIT: u64 = 64;
/// Most dimensions of a ggml tensor.
const DIMENSION_LIMIT: u32 = 4;
/// Fewest bytes of an entry: length of the name, dimension count, type, offset. An empty name or
/// shape is refused later, with a message of its own.
const SMALLEST_ENTRY: usize = 8 + 4 + 4 + 8;

/// Reads `n` entries; the data section starts at the next multiple of `alignment` behind them.
pub(crate) fn tensor_table(
    cursor: &mut Cursor<'_>,
    n: u64,
    alignment: u64,
    file_bytes: u64,
    part: usize,
) -> Result<Vec<TensorInfo>, GgufError> {
    cursor.section = Section::TensorTable;
    cursor.need(n, SMALLEST_ENTRY, format_args!("a count of {n} tensors"))?;
    let mut tensors = Vec::new();
    for index in 0..n {
        let tensor = entry(cursor, index, part)?;
        check_size(cursor.file, &tensor)?;
        if !tensor.offset.is_multiple_of(alignment) {
            let (file, tensor, offset) = (cursor.file.to_owned(), tensor.name, tensor.offset);
            return Err(GgufError::Misaligned { file, tensor, offset, alignment });
        }
        tensors.push(tensor);
    }
    check_names(cursor.file, &tensors)?;
    place(cursor.file, &mut tensors, cursor.position().next_multiple_of(alignment), file_bytes)?;
    check_overlap(cursor.file, &tensors)?;
    Ok(tensors)
}

/// One entry; its `offset` still counts from the start of the data section.
fn entry(cursor: &mut Cursor<'_>, index: u64, part: usize) -> Result<TensorInfo, GgufError> {
    let length = cursor.u64(format_args!("the name length of tensor {index}"))?;
    if length == 0 || length > NAME_LIMIT {
        let file = cursor.file.to_owned();
        return Err(GgufError::TensorName { file, index, length, limit: NAME_LIMIT });
    }
    let name = cursor.text(length, format_args!("the name of tensor {index}"))?;
    let n_dims = cursor.u32(format_args!("the dimension count of tensor {name:?}"))?;
    if n_dims == 0 || n_dims > DIMENSION_LIMIT {
        let (file, tensor) = (cursor.file.to_owned(), name.to_owned());
        return Err(GgufError::Dimensions { file, tensor, found: n_dims });
    }
    let size = size_of::<TensorInfo>() + 32 + name.len() + 64;
    cursor.book(1, size, format_args!("tensor {name:?}"))?;
    let mut shape = Vec::with_capacity(n_dims as usize);
    for _ in 0..n_dims {
        shape.push(cursor.u64(format_args!("the shape of tensor {name:?}"))?);
    }
    let type_id = cursor.u32(format_args!("the type of tensor {name:?}"))?;
    let offset = cursor.u64(format_args!("the offset of tensor {name:?}"))?;
    Ok(TensorInfo { name: name.to_owned(), shape, type_id, part, offset })
}

/// After this, none of the methods of [`TensorInfo`] overflows.
fn check_size(file: &str, tensor: &TensorInfo) -> Result<(), GgufError> {
    let (file, name, shape) = (|| file.to_owned(), || tensor.name.clone(), &tensor.shape);
    if shape.contains(&0) {
        let shape = shape.clone();
        return Err(GgufError::ZeroDimension { file: file(), tensor: name(), shape });
    }
    let size = || GgufError::Size { file: file(), tensor: name(), shape: shape.clone() };
    let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
    if elements.is_none() {
        return Err(size());
    }
    let Some(ty) = tensor.ggml_type() else {
        return Ok(());
    };
    let (cols, block) = (tensor.cols(), ty.block_values() as u64);
    if !cols.is_multiple_of(block) {
        let ty = ty.name();
        return Err(GgufError::Blocks { file: file(), tensor: name(), cols, ty, block });
    }
    tensor.bytes().map(|_| ()).ok_or_else(size)
}

fn check_names(file: &str, tensors: &[TensorInfo]) -> Result<(), GgufError> {
    let mut names = HashSet::with_capacity(tensors.len());
    match tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        None => Ok(()),
        Some(tensor) => Err(GgufError::DuplicateTensor { file: file.to_owned(), tensor: tensor.name.clone() }),
    }
}

/// Makes the offsets count from the start of the file and checks that the data are inside it.
fn place(file: &str, tensors: &mut [TensorInfo], data_start: u64, file_bytes: u64) -> Result<(), GgufError> {
    for tensor in tensors {
        let (bytes, offset) = (least_bytes(tensor), tensor.offset);
        let start = data_start.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(bytes));
        match (start, end) {
            (Some(start), Some(end)) if end <= file_bytes => tensor.offset = start,
            _ => {
                let (file, tensor) = (file.to_owned(), tensor.name.clone());
                return Err(GgufError::OutOfBounds { file, tensor, bytes, offset, data_start, file_bytes });
            }
        }
    }
    Ok(())
}

fn check_overlap(file: &str, tensors: &[TensorInfo]) -> Result<(), GgufError> {
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_unstable_by_key(|tensor| tensor.offset);
    let pair = order.windows(2).find(|pair| pair[0].offset + least_bytes(pair[0]) > pair[1].offset);
    match pair {
        None => Ok(()),
        Some(pair) => {
            Err(GgufError::Overlap { file: file.to_owned(), tensor: pair[0].name.clone(), other: pair[1].name.clone() })
        }
    }
}

/// The bytes of a tensor; for an unknown type the one byte that it has at least.
fn least_bytes(tensor: &TensorInfo) -> u64 {
    tensor.bytes().unwrap_or(1)
}
