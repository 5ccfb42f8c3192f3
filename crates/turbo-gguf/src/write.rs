//! Writing GGUF files of version 3, by gguf-rs-lib.
//!
//! What it writes, [`GgufFile`](crate::GgufFile) reads. Its limits hold here: keys in dot-separated `lower_snake_case` only, tensor names of at most 64
//! bytes. Keys are written in alphabetical order. Where a tensor is quantised and
//! `general.quantization_version` is not given, it is added with the value 2.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use gguf_rs_lib::builder::GGUFBuilder;
use gguf_rs_lib::format::{GGUFTensorType, GGUFValueType, MetadataArray, MetadataValue};

use crate::GgmlType;
use crate::error::GgufError;
use crate::value::{Array, Value};

/// A tensor to write.
#[derive(Clone, Copy, Debug)]
pub struct NewTensor<'a> {
    /// Name, 1 to 64 bytes.
    pub name: &'a str,
    /// 1 to 4 dimensions in ggml order: `shape[0]` is the row length.
    pub shape: &'a [u64],
    /// Type of the blocks.
    pub ty: GgmlType,
    /// The blocks, exactly as many as the shape asks for.
    pub bytes: &'a [u8],
}

/// Writes a model to `path`. The file appears complete or not at all: it is written beside the
/// path and renamed. Takes as much memory as the tensors, which gguf-rs-lib copies.
///
/// # Errors
/// [`GgufError::Write`] with the reason of gguf-rs-lib or of the operating system.
pub fn write_gguf(path: &Path, metadata: &[(String, Value)], tensors: &[NewTensor<'_>]) -> Result<(), GgufError> {
    let file = path.display().to_string();
    let builder = builder(metadata, tensors).map_err(|reason| fail(&file, reason))?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&temporary);
    let result =
        write_to(temporary, builder).and_then(|()| std::fs::rename(temporary, path).map_err(|error| error.to_string()));
    result.map_err(|reason| {
        // Best effort: the reason for the failure matters more than a left-over file.
        let _ = std::fs::remove_file(temporary);
        fail(&file, reason)
    })
}

/// The bytes of a model, as [`write_gguf`] writes them.
///
/// # Errors
/// [`GgufError::Write`] with the reason of gguf-rs-lib.
pub fn gguf_bytes(metadata: &[(String, Value)], tensors: &[NewTensor<'_>]) -> Result<Vec<u8>, GgufError> {
    let bytes =
        builder(metadata, tensors).and_then(|builder| builder.build_to_bytes().map_err(|error| error.to_string()));
    bytes.map(|(bytes, _)| bytes).map_err(|reason| fail("gguf in memory", reason))
}

fn fail(file: &str, reason: String) -> GgufError {
    GgufError::Write { file: file.to_owned(), reason }
}

fn write_to(path: &Path, builder: GGUFBuilder) -> Result<(), String> {
    let file = File::create(path).map_err(|error| error.to_string())?;
    let mut writer = BufWriter::new(file);
    builder.build_to_writer(&mut writer).map_err(|error| error.to_string())?;
    writer.flush().map_err(|error| error.to_string())
}

fn builder(metadata: &[(String, Value)], tensors: &[NewTensor<'_>]) -> Result<GGUFBuilder, String> {
    let mut builder = GGUFBuilder::new();
    for (i, (key, value)) in metadata.iter().enumerate() {
        if metadata[..i].iter().any(|(earlier, _)| earlier == key) {
            return Err(format!("key {key:?} is given twice"));
        }
        if let ("general.alignment", Value::U32(alignment)) = (key.as_str(), value) {
            // gguf-rs-lib would also write other multiples of 8, which ggml refuses.
            if !alignment.is_power_of_two() || *alignment < 8 {
                return Err(format!("key {key:?} is {alignment}, expected a power of two from 8 on"));
            }
            builder = builder.with_tensor_alignment(*alignment as usize);
        }
        let value = convert(value).map_err(|error| format!("key {key:?}: {error}"))?;
        builder = builder.add_metadata(key.as_str(), value);
    }
    for tensor in tensors {
        let (name, shape) = (tensor.name, tensor.shape);
        if shape.contains(&0) {
            return Err(format!("tensor {name:?} has shape {shape:?}, expected no dimension of 0"));
        }
        let ty = GGUFTensorType::from_u32(tensor.ty.id()).map_err(|error| error.to_string())?;
        builder = builder
            .add_tensor(name, shape.to_vec(), ty, tensor.bytes.to_vec())
            .map_err(|error| format!("tensor {name:?}: {error}"))?;
    }
    Ok(builder)
}

fn convert(value: &Value) -> Result<MetadataValue, String> {
    Ok(match value {
        Value::U8(v) => MetadataValue::U8(*v),
        Value::I8(v) => MetadataValue::I8(*v),
        Value::U16(v) => MetadataValue::U16(*v),
        Value::I16(v) => MetadataValue::I16(*v),
        Value::U32(v) => MetadataValue::U32(*v),
        Value::I32(v) => MetadataValue::I32(*v),
        Value::U64(v) => MetadataValue::U64(*v),
        Value::I64(v) => MetadataValue::I64(*v),
        Value::F32(v) => MetadataValue::F32(*v),
        Value::F64(v) => MetadataValue::F64(*v),
        Value::Bool(v) => MetadataValue::Bool(*v),
        Value::String(v) => MetadataValue::String(v.clone()),
        Value::Array(v) => convert_array(v)?,
    })
}

fn convert_array(array: &Array) -> Result<MetadataValue, String> {
    use MetadataValue as M;
    let (element, values): (GGUFValueType, Vec<M>) = match array {
        Array::U8(v) => (GGUFValueType::U8, v.iter().map(|&v| M::U8(v)).collect()),
        Array::I8(v) => (GGUFValueType::I8, v.iter().map(|&v| M::I8(v)).collect()),
        Array::U16(v) => (GGUFValueType::U16, v.iter().map(|&v| M::U16(v)).collect()),
        Array::I16(v) => (GGUFValueType::I16, v.iter().map(|&v| M::I16(v)).collect()),
        Array::U32(v) => (GGUFValueType::U32, v.iter().map(|&v| M::U32(v)).collect()),
        Array::I32(v) => (GGUFValueType::I32, v.iter().map(|&v| M::I32(v)).collect()),
        Array::U64(v) => (GGUFValueType::U64, v.iter().map(|&v| M::U64(v)).collect()),
        Array::I64(v) => (GGUFValueType::I64, v.iter().map(|&v| M::I64(v)).collect()),
        Array::F32(v) => (GGUFValueType::F32, v.iter().map(|&v| M::F32(v)).collect()),
        Array::F64(v) => (GGUFValueType::F64, v.iter().map(|&v| M::F64(v)).collect()),
        Array::Bool(v) => (GGUFValueType::Bool, v.iter().map(|&v| M::Bool(v)).collect()),
        Array::String(v) => (GGUFValueType::String, v.iter().map(|v| M::String(v.clone())).collect()),
        Array::Array(v) => (GGUFValueType::Array, v.iter().map(convert_array).collect::<Result<_, _>>()?),
    };
    let array = MetadataArray::new(element, values).map_err(|error| error.to_string())?;
    Ok(MetadataValue::Array(Box::new(array)))
}
