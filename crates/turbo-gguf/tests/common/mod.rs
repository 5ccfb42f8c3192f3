//! Comparison of our reader with gguf-rs-lib.

use std::io::Cursor;

use gguf_rs_lib::format::MetadataValue;
use gguf_rs_lib::reader::GGUFFileReader;
use turbo_gguf::{Array, GgufFile, Value};

/// Asserts that both readers see the same in a file that both accept.
pub(crate) fn assert_same(ours: &GgufFile, bytes: &[u8]) {
    let mut theirs = GGUFFileReader::new(Cursor::new(bytes)).expect("gguf-rs-lib accepts the file");
    assert_eq!(ours.version(), theirs.header().version);
    assert_eq!(ours.alignment(), theirs.tensor_alignment());
    assert_eq!(ours.metadata().len(), theirs.metadata().len());
    for (key, value) in ours.metadata().iter() {
        let other = theirs.metadata().get(key).expect("the same keys");
        assert!(same(value, other), "{key}: {}", value.describe());
    }
    assert_eq!(ours.tensors().len(), theirs.tensor_count());
    let start = theirs.tensor_data_offset();
    for (tensor, other) in ours.tensors().iter().zip(theirs.tensor_infos()) {
        assert_eq!(tensor.name, other.name());
        assert_eq!(tensor.shape, other.shape().dims());
        assert_eq!(tensor.type_id, other.tensor_type() as u32);
        assert_eq!(tensor.elements(), other.element_count());
        assert_eq!(tensor.offset(), start + other.data_offset());
        assert_eq!(tensor.bytes(), Some(other.expected_data_size()), "{}", tensor.name);
    }
    for tensor in ours.tensors() {
        let data = theirs.load_tensor_data(&tensor.name).expect("readable").expect("present");
        assert!(ours.data(tensor).expect("readable") == data.as_slice(), "{}", tensor.name);
    }
}

/// Whether a value is bit for bit the same, NaN included.
pub(crate) fn same(ours: &Value, theirs: &MetadataValue) -> bool {
    use MetadataValue as M;
    match (ours, theirs) {
        (Value::U8(a), M::U8(b)) => a == b,
        (Value::I8(a), M::I8(b)) => a == b,
        (Value::U16(a), M::U16(b)) => a == b,
        (Value::I16(a), M::I16(b)) => a == b,
        (Value::U32(a), M::U32(b)) => a == b,
        (Value::I32(a), M::I32(b)) => a == b,
        (Value::U64(a), M::U64(b)) => a == b,
        (Value::I64(a), M::I64(b)) => a == b,
        (Value::F32(a), M::F32(b)) => a.to_bits() == b.to_bits(),
        (Value::F64(a), M::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Bool(a), M::Bool(b)) => a == b,
        (Value::String(a), M::String(b)) => a == b,
        (Value::Array(a), M::Array(b)) => {
            let elements = elements(a);
            a.element_name() == b.element_type.name()
                && elements.len() == b.len()
                && elements.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}

/// The elements of an array as values.
pub(crate) fn elements(array: &Array) -> Vec<Value> {
    match array {
        Array::U8(v) => v.iter().map(|&v| Value::U8(v)).collect(),
        Array::I8(v) => v.iter().map(|&v| Value::I8(v)).collect(),
        Array::U16(v) => v.iter().map(|&v| Value::U16(v)).collect(),
        Array::I16(v) => v.iter().map(|&v| Value::I16(v)).collect(),
        Array::U32(v) => v.iter().map(|&v| Value::U32(v)).collect(),
        Array::I32(v) => v.iter().map(|&v| Value::I32(v)).collect(),
        Array::U64(v) => v.iter().map(|&v| Value::U64(v)).collect(),
        Array::I64(v) => v.iter().map(|&v| Value::I64(v)).collect(),
        Array::F32(v) => v.iter().map(|&v| Value::F32(v)).collect(),
        Array::F64(v) => v.iter().map(|&v| Value::F64(v)).collect(),
        Array::Bool(v) => v.iter().map(|&v| Value::Bool(v)).collect(),
        Array::String(v) => v.iter().map(|v| Value::String(v.clone())).collect(),
        Array::Array(v) => v.iter().map(|v| Value::Array(v.clone())).collect(),
    }
}
