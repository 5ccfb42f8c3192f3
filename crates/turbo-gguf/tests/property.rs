//! Random files: what is written is read back, and damage is never more than an error.

mod common;

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use turbo_gguf::validate::{check, validate};
use turbo_gguf::write::{NewTensor, gguf_bytes, write_gguf};
use turbo_gguf::{Array, GgmlType, GgufError, GgufFile, Value};
use turbo_testkit::{GgufBuilder, Kv, fixture};

/// Text with ASCII, wide and control characters.
fn text() -> impl Strategy<Value = String> {
    vec(prop_oneof![any::<char>(), proptest::char::range('a', 'z')], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn array() -> impl Strategy<Value = Array> {
    let flat = prop_oneof![
        vec(any::<u8>(), 0..9).prop_map(Array::U8),
        vec(any::<i8>(), 0..9).prop_map(Array::I8),
        vec(any::<u16>(), 0..9).prop_map(Array::U16),
        vec(any::<i16>(), 0..9).prop_map(Array::I16),
        vec(any::<u32>(), 0..9).prop_map(Array::U32),
        vec(any::<i32>(), 0..9).prop_map(Array::I32),
        vec(any::<u64>(), 0..9).prop_map(Array::U64),
        vec(any::<i64>(), 0..9).prop_map(Array::I64),
        vec(any::<f32>(), 0..9).prop_map(Array::F32),
        vec(any::<f64>(), 0..9).prop_map(Array::F64),
        vec(any::<bool>(), 0..9).prop_map(Array::Bool),
        vec(text(), 0..9).prop_map(Array::String),
    ];
    flat.prop_recursive(3, 12, 4, |inner| vec(inner, 0..4).prop_map(Array::Array))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<bool>().prop_map(Value::Bool),
        text().prop_map(Value::String),
        array().prop_map(Value::Array),
    ]
}

#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    shape: Vec<u64>,
    ty: GgmlType,
    bytes: Vec<u8>,
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let ty = (0..GgmlType::ALL.len()).prop_map(|i| GgmlType::ALL[i]);
    (ty, 1..4u64, vec(1..4u64, 0..4), any::<u8>()).prop_map(|(ty, blocks, dims, fill)| {
        let mut shape = vec![blocks * ty.block_values() as u64];
        shape.extend(&dims);
        let bytes = blocks * dims.iter().product::<u64>() * ty.block_bytes() as u64;
        let bytes = (0..bytes).map(|i| fill.wrapping_add(i as u8)).collect();
        Tensor { name: String::new(), shape, ty, bytes }
    })
}

/// Pairs with distinct keys made by `key`, and tensors with distinct names.
fn model(key: impl Fn(usize, &str) -> String + Clone) -> impl Strategy<Value = (Vec<(String, Value)>, Vec<Tensor>)> {
    (vec((text(), value()), 0..8), vec(tensor(), 0..5)).prop_map(move |(pairs, mut tensors)| {
        let rename = |(i, (text, value)): (usize, (String, Value))| (key(i, &text), value);
        for (i, tensor) in tensors.iter_mut().enumerate() {
            tensor.name = format!("blk.{i}.ü");
        }
        (pairs.into_iter().enumerate().map(rename).collect(), tensors)
    })
}

fn kv(value: &Value) -> Kv {
    match value {
        Value::U8(v) => Kv::U8(*v),
        Value::I8(v) => Kv::I8(*v),
        Value::U16(v) => Kv::U16(*v),
        Value::I16(v) => Kv::I16(*v),
        Value::U32(v) => Kv::U32(*v),
        Value::I32(v) => Kv::I32(*v),
        Value::U64(v) => Kv::U64(*v),
        Value::I64(v) => Kv::I64(*v),
        Value::F32(v) => Kv::F32(*v),
        Value::F64(v) => Kv::F64(*v),
        Value::Bool(v) => Kv::Bool(*v),
        Value::String(v) => Kv::Str(v.clone()),
        Value::Array(array) => Kv::Array(element_id(array), common::elements(array).iter().map(kv).collect()),
    }
}

fn element_id(array: &Array) -> u32 {
    let names = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"];
    let id = names.iter().position(|name| *name == array.element_name());
    id.expect("every element type is listed") as u32
}

/// Equal bit for bit: `NaN` is equal to itself, which `Debug` shows and `==` does not.
fn assert_equal(file: &GgufFile, pairs: &[(String, Value)], tensors: &[Tensor]) {
    for (key, value) in pairs {
        assert_eq!(format!("{:?}", file.metadata().get(key)), format!("{:?}", Some(value)), "{key}");
    }
    assert_eq!(file.tensors().len(), tensors.len());
    for (read, written) in file.tensors().iter().zip(tensors) {
        assert_eq!(read.name, written.name);
        assert_eq!(read.shape, written.shape);
        assert_eq!(read.ggml_type(), Some(written.ty));
        assert_eq!(file.data(read).expect("data"), written.bytes);
    }
}

fn new_tensors(tensors: &[Tensor]) -> Vec<NewTensor<'_>> {
    tensors.iter().map(|t| NewTensor { name: &t.name, shape: &t.shape, ty: t.ty, bytes: &t.bytes }).collect()
}

/// Both readers agree on damaged bytes, except where their rules differ on purpose.
fn agree(bytes: Vec<u8>) {
    let theirs = check(&bytes);
    match (GgufFile::from_vec("m.gguf", bytes.clone()), theirs) {
        (Err(error), theirs) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            // We refuse an alignment that ggml would refuse, and empty tensors.
            let stricter = matches!(error, GgufError::Alignment { .. } | GgufError::ZeroDimension { .. });
            assert!(theirs.is_err() || stricter, "only gguf-rs-lib accepts this: {error}");
        }
        (Ok(_), Ok(())) => {}
        (Ok(file), Err(reason)) => {
            let verdict = validate(&file);
            let turbo_gguf::validate::Verdict::Refused { known_limit, .. } = verdict else {
                panic!("the verdict must be that of the check: {verdict:?}");
            };
            // They count the bytes of q1_0 and q2_0, which are opaque to us.
            let counted = file.tensors().iter().any(|t| matches!(t.type_id, 41 | 42));
            assert!(known_limit.is_some() || counted, "only we accept this: {reason}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_writer_writes_is_read_back((pairs, tensors) in model(|i, _| format!("a_b.c{i}"))) {
        let bytes = gguf_bytes(&pairs, &new_tensors(&tensors)).expect("writable");
        let file = GgufFile::from_vec("m.gguf", bytes.clone()).expect("readable");
        assert_equal(&file, &pairs, &tensors);
        common::assert_same(&file, &bytes);
    }

    #[test]
    fn any_key_and_version_is_read((pairs, tensors) in model(|i, text| format!("{text}-{i}")), version in 2..=3u32) {
        let mut builder = GgufBuilder::new(version);
        for (key, value) in &pairs {
            builder = builder.kv(key, kv(value));
        }
        for tensor in &tensors {
            builder = builder.tensor(&tensor.name, &tensor.shape, tensor.ty.id(), &tensor.bytes);
        }
        let file = GgufFile::from_vec("m.gguf", builder.build()).expect("readable");
        prop_assert_eq!(file.metadata().len(), pairs.len());
        assert_equal(&file, &pairs, &tensors);
    }

    #[test]
    fn truncation_is_an_error_or_harmless((pairs, tensors) in model(|i, _| format!("k{i}")), cuts in vec(any::<prop::sample::Index>(), 24)) {
        let bytes = gguf_bytes(&pairs, &new_tensors(&tensors)).expect("writable");
        for cut in cuts {
            agree(bytes[..cut.index(bytes.len())].to_vec());
        }
    }

    #[test]
    fn damage_is_an_error_or_harmless(
        (pairs, tensors) in model(|i, _| format!("k{i}")),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 48),
    ) {
        let bytes = gguf_bytes(&pairs, &new_tensors(&tensors)).expect("writable");
        for (at, byte) in flips {
            let mut damaged = bytes.clone();
            damaged[at.index(bytes.len())] = byte;
            agree(damaged);
        }
    }
}

#[test]
fn every_truncation_of_a_real_table_is_refused() {
    let bytes = std::fs::read(fixture("bad/control_good.gguf")).expect("the control");
    let file = GgufFile::from_vec("m.gguf", bytes.clone()).expect("sound");
    let last = file.tensors().iter().map(|t| t.offset() + t.bytes().expect("known")).max();
    let end = last.expect("it has tensors") as usize;
    for cut in (0..9000).chain((9000..end).step_by(997)).chain([end - 1]) {
        let error = GgufFile::from_vec("m.gguf", bytes[..cut].to_vec()).expect_err("cut off");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("write");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a test folder");
    let path = folder.join("m.gguf");
    let pairs = [
        ("general.architecture".to_owned(), Value::String("llama".into())),
        ("general.alignment".to_owned(), Value::U32(64)),
    ];
    let tensor = NewTensor { name: "w", shape: &[32], ty: GgmlType::Q8_0, bytes: &[3; 34] };
    write_gguf(&path, &pairs, &[tensor]).expect("writable");
    let file = GgufFile::open(&path).expect("readable");
    assert_eq!(file.alignment(), 64);
    assert_eq!(file.data(&file.tensors()[0]).expect("data"), [3; 34]);
    assert_eq!(file.metadata().get_u64("general.quantization_version").expect("a number"), Some(2));

    let refuse = |pairs: &[(String, Value)], tensors: &[NewTensor<'_>]| {
        let message = write_gguf(&path, pairs, tensors).expect_err("not writable").to_string();
        assert!(message.starts_with(&format!("{}: cannot be written: ", path.display())), "{message}");
        message
    };
    let short = NewTensor { bytes: &[3; 33], ..tensor };
    assert!(refuse(&pairs, &[short]).contains("tensor \"w\": "));
    assert!(refuse(&[("gpt-oss.x".to_owned(), Value::U8(1))], &[]).contains("gpt-oss.x"));
    let twice = [("a".to_owned(), Value::U8(1)), ("a".to_owned(), Value::U8(2))];
    assert!(refuse(&twice, &[]).ends_with("key \"a\" is given twice"));
    let empty = NewTensor { shape: &[32, 0], bytes: &[], ..tensor };
    assert!(refuse(&pairs, &[empty]).contains("tensor \"w\" has shape [32, 0], expected no"));
    let alignment = [("general.alignment".to_owned(), Value::U32(24))];
    assert!(refuse(&alignment, &[]).contains("key \"general.alignment\" is 24, expected a power"));
    let absent = write_gguf(&folder.join("none/m.gguf"), &pairs, &[]).expect_err("no folder");
    assert!(absent.to_string().contains("none/m.gguf: cannot be written: "), "{absent}");

    let names: HashSet<_> =
        std::fs::read_dir(&folder).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(names, HashSet::from(["m.gguf".into()]));
    GgufFile::open(&path).expect("the first file is still there");
}
