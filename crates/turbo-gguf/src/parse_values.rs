//! Reading metadata values. Type identifiers are those of the GGUF specification.

use crate::cursor::Cursor;
use crate::error::{GgufError, shown};
use crate::value::{Array, Value};

/// Deepest nesting of arrays, the limit of gguf-rs-lib. ggml itself refuses nested arrays.
const NESTING_LIMIT: usize = 64;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

macro_rules! numbers {
    ($($id:literal = $variant:ident($type:ty);)*) => {
        fn number(cursor: &mut Cursor<'_>, key: &str, id: u32) -> Result<Value, GgufError> {
            match id {
                $($id => {
                    let bytes = cursor.fixed(format_args!("the value of key {}", shown(key)))?;
                    Ok(Value::$variant(<$type>::from_le_bytes(bytes)))
                })*
                _ => Err(unknown_type(cursor, key, id)),
            }
        }

        fn numbers(cursor: &mut Cursor<'_>, key: &str, id: u32, n: u64) -> Result<Array, GgufError> {
            match id {
                $($id => {
                    const SIZE: usize = size_of::<$type>();
                    let bytes = elements(cursor, key, n, SIZE)?;
                    let (chunks, _) = bytes.as_chunks::<SIZE>();
                    Ok(Array::$variant(chunks.iter().map(|c| <$type>::from_le_bytes(*c)).collect()))
                })*
                _ => Err(unknown_type(cursor, key, id)),
            }
        }
    };
}

numbers! {
    0 = U8(u8);
    1 = I8(i8);
    2 = U16(u16);
    3 = I16(i16);
    4 = U32(u32);
    5 = I32(i32);
    6 = F32(f32);
    10 = U64(u64);
    11 = I64(i64);
    12 = F64(f64);
}

/// The type and value of `key`.
pub(crate) fn value(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, GgufError> {
    match cursor.u32(format_args!("the type of key {}", shown(key)))? {
        BOOL => {
            let [byte] = cursor.fixed(format_args!("the value of key {}", shown(key)))?;
            boolean(cursor, key, byte).map(Value::Bool)
        }
        STRING => {
            let text = cursor.string(format_args!("the value of key {}", shown(key)))?;
            Ok(Value::String(text.to_owned()))
        }
        ARRAY => array(cursor, key, 1).map(Value::Array),
        id => number(cursor, key, id),
    }
}

/// An array: element type, count, elements. `depth` is 1 for one that is not inside another.
fn array(cursor: &mut Cursor<'_>, key: &str, depth: usize) -> Result<Array, GgufError> {
    if depth > NESTING_LIMIT {
        let file = cursor.file.to_owned();
        return Err(GgufError::Nesting { file, key: key.to_owned(), limit: NESTING_LIMIT });
    }
    let id = cursor.u32(format_args!("the element type of key {}", shown(key)))?;
    let n = cursor.u64(format_args!("the array length of key {}", shown(key)))?;
    match id {
        BOOL => {
            let bytes = elements(cursor, key, n, 1)?;
            let values = bytes.iter().map(|&byte| boolean(cursor, key, byte));
            values.collect::<Result<_, _>>().map(Array::Bool)
        }
        STRING => strings(cursor, key, n),
        ARRAY => {
            let capacity = reserve::<Array>(cursor, key, n, 4 + 8)?;
            let mut values = Vec::with_capacity(capacity);
            for _ in 0..n {
                values.push(array(cursor, key, depth + 1)?);
            }
            Ok(Array::Array(values))
        }
        id => numbers(cursor, key, id, n),
    }
}

fn strings(cursor: &mut Cursor<'_>, key: &str, n: u64) -> Result<Array, GgufError> {
    let mut values = Vec::with_capacity(reserve::<String>(cursor, key, n, 8)?);
    for i in 0..n {
        let text = cursor.string(format_args!("element {i} of key {}", shown(key)))?;
        values.push(text.to_owned());
    }
    Ok(Array::String(values))
}

/// The bytes of `n` elements of `size` bytes, booked as memory.
fn elements<'a>(cursor: &mut Cursor<'a>, key: &str, n: u64, size: usize) -> Result<&'a [u8], GgufError> {
    let bytes = cursor.take(n, size, format_args!("an array of {n} in key {}", shown(key)))?;
    cursor.book(n, size, format_args!("key {}", shown(key)))?;
    Ok(bytes)
}

/// The capacity for `n` values of type `T`, each of at least `size` bytes in the file.
fn reserve<T>(cursor: &mut Cursor<'_>, key: &str, n: u64, size: usize) -> Result<usize, GgufError> {
    cursor.need(n, size, format_args!("an array of {n} in key {}", shown(key)))?;
    cursor.book(n, size_of::<T>(), format_args!("key {}", shown(key)))?;
    // Both checks have passed, so that `n` is far below the address range.
    Ok(n as usize)
}

fn boolean(cursor: &Cursor<'_>, key: &str, found: u8) -> Result<bool, GgufError> {
    match found {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(GgufError::Boolean { file: cursor.file.to_owned(), key: key.to_owned(), found }),
    }
}

fn unknown_type(cursor: &Cursor<'_>, key: &str, id: u32) -> GgufError {
    GgufError::ValueType { file: cursor.file.to_owned(), key: key.to_owned(), id }
}
