//! What a sound file gives.

use turbo_gguf::validate::{Verdict, validate};
use turbo_gguf::{Array, GgmlType, GgufFile, PerLayer, Value};
use turbo_testkit::{GgufBuilder, Kv, fixture};

fn read(builder: &GgufBuilder) -> GgufFile {
    GgufFile::from_vec("m.gguf", builder.build()).expect("a sound file")
}

#[test]
fn both_versions_and_any_key() {
    for version in [2, 3] {
        let file = read(
            &GgufBuilder::new(version)
                .kv("gpt-oss.block_count", Kv::U32(24))
                .kv("Größe / 大小", Kv::str("ja"))
                .tensor("a", &[2, 3], 0, &[7; 24])
                .tensor("b", &[32], 8, &[9; 34]),
        );
        assert_eq!((file.version(), file.alignment(), file.path()), (version, 32, "m.gguf"));
        let keys: Vec<_> = file.metadata().iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["gpt-oss.block_count", "Größe / 大小"]);
        assert_eq!(file.metadata().require_u64("gpt-oss.block_count").expect("a number"), 24);
        let (a, b) = (file.tensor("a").expect("a"), file.tensor("b").expect("b"));
        assert_eq!((a.cols(), a.rows(), a.elements(), a.bytes()), (2, 3, 6, Some(24)));
        assert_eq!((b.cols(), b.rows(), b.ggml_type()), (32, 1, Some(GgmlType::Q8_0)));
        assert_eq!(file.data(a).expect("a"), [7; 24]);
        assert_eq!(file.data(b).expect("b"), [9; 34]);
        assert!(file.tensor("c").is_none());
    }
}

#[test]
fn tensors_of_unknown_type_leave_the_others_usable() {
    let file =
        read(&GgufBuilder::new(3).tensor("new", &[8], 12_345, &[1; 40]).tensor("old", &[1], 0, &1.5f32.to_le_bytes()));
    assert_eq!(file.data(file.tensor("old").expect("old")).expect("data"), 1.5f32.to_le_bytes());
    assert!(file.data(file.tensor("new").expect("new")).is_err());
    let Verdict::Refused { known_limit: Some(limit), .. } = validate(&file) else {
        panic!("gguf-rs-lib refuses unknown types");
    };
    assert!(limit.contains("type id 12345 of tensor \"new\""), "{limit}");
}

#[test]
fn the_verdict_names_what_gguf_rs_lib_cannot_read() {
    let good = GgufFile::open(&fixture("bad/control_good.gguf")).expect("the control");
    assert_eq!(validate(&good), Verdict::Valid);
    for (builder, expected) in [
        (GgufBuilder::new(2), "reads version 3 only, this is version 2"),
        (GgufBuilder::new(3).kv("command-r.x", Kv::U8(0)), "this has \"command-r.x\""),
    ] {
        let Verdict::Refused { file, known_limit: Some(limit), .. } = validate(&read(&builder)) else {
            panic!("gguf-rs-lib refuses this: {expected}");
        };
        assert_eq!(file, "m.gguf");
        assert!(limit.contains(expected), "{limit}");
    }
    let aligned = GgufBuilder::new(3).kv("general.alignment", Kv::U32(64)).align(64);
    assert_eq!(validate(&read(&aligned.tensor("a", &[1], 0, &[0; 4]))), Verdict::Valid);
}

#[test]
fn alignment_moves_the_data() {
    let bytes = GgufBuilder::new(3).kv("general.alignment", Kv::U32(4096)).align(4096);
    let file = read(&bytes.tensor("a", &[1], 0, &[1; 4]).tensor("b", &[1], 0, &[2; 4]));
    assert_eq!(file.alignment(), 4096);
    assert_eq!(file.tensors().iter().map(|t| t.offset()).collect::<Vec<_>>(), [4096, 8192]);
    assert_eq!(file.data(&file.tensors()[1]).expect("b"), [2; 4]);
}

#[test]
fn a_file_without_tensors_may_end_behind_the_metadata() {
    let bytes = GgufBuilder::new(3).kv("a", Kv::U8(1)).align(1).build();
    let file = GgufFile::from_static("vocabulary", bytes.leak()).expect("a vocabulary file");
    assert!(file.tensors().is_empty());
    assert_eq!(file.metadata().len(), 1);
}

#[test]
fn every_value_type() {
    let nested = Kv::Array(9, vec![Kv::Array(4, vec![Kv::U32(1)]), Kv::strings(["x"]), Kv::Array(7, vec![])]);
    let cases = [
        (Kv::U8(255), Value::U8(255)),
        (Kv::I8(-1), Value::I8(-1)),
        (Kv::U16(65_535), Value::U16(65_535)),
        (Kv::I16(-2), Value::I16(-2)),
        (Kv::U32(u32::MAX), Value::U32(u32::MAX)),
        (Kv::I32(i32::MIN), Value::I32(i32::MIN)),
        (Kv::U64(u64::MAX), Value::U64(u64::MAX)),
        (Kv::I64(i64::MIN), Value::I64(i64::MIN)),
        (Kv::F32(-0.5), Value::F32(-0.5)),
        (Kv::F64(1e300), Value::F64(1e300)),
        (Kv::Bool(true), Value::Bool(true)),
        (Kv::str("\u{0}ü"), Value::String("\u{0}ü".into())),
        (Kv::Array(3, vec![Kv::I16(-3), Kv::I16(4)]), Value::Array(Array::I16(vec![-3, 4]))),
        (Kv::Array(7, vec![Kv::Bool(true), Kv::Bool(false)]), Value::Array(Array::Bool(vec![true, false]))),
        (Kv::Array(12, vec![Kv::F64(0.25)]), Value::Array(Array::F64(vec![0.25]))),
        (Kv::strings(["", "a"]), Value::Array(Array::String(vec!["".into(), "a".into()]))),
        (
            nested,
            Value::Array(Array::Array(vec![Array::U32(vec![1]), Array::String(vec!["x".into()]), Array::Bool(vec![])])),
        ),
    ];
    for (written, expected) in cases {
        let file = read(&GgufBuilder::new(3).kv("k", written));
        assert_eq!(file.metadata().get("k"), Some(&expected));
    }
}

#[test]
fn typed_getters_convert_what_fits() {
    let file = read(
        &GgufBuilder::new(3)
            .kv("u8", Kv::U8(7))
            .kv("i64", Kv::I64(9))
            .kv("f64", Kv::F64(0.5))
            .kv("bool", Kv::Bool(true))
            .kv("str", Kv::str("s"))
            .kv("strs", Kv::strings(["a", "b"]))
            .kv("ints", Kv::Array(5, vec![Kv::I32(3), Kv::I32(4)]))
            .kv("floats", Kv::Array(6, vec![Kv::F32(1.5)]))
            .kv("bools", Kv::Array(7, vec![Kv::Bool(false), Kv::Bool(true)])),
    );
    let meta = file.metadata();
    assert_eq!(meta.require_u64("u8").expect("u8"), 7);
    assert_eq!(meta.require_u64("i64").expect("i64"), 9);
    assert_eq!(meta.require_f32("f64").expect("f64"), 0.5);
    assert_eq!(meta.require_f32("u8").expect("an integer as a number"), 7.0);
    assert!(meta.require_bool("bool").expect("bool"));
    assert_eq!(meta.require_str("str").expect("str"), "s");
    assert_eq!(meta.require_str_array("strs").expect("strings"), ["a", "b"]);
    assert_eq!(meta.require_i32_array("ints").expect("ints"), [3, 4]);
    assert_eq!(meta.require_u64_array("ints").expect("ints"), [3, 4]);
    assert_eq!(meta.require_f32_array("floats").expect("floats"), [1.5]);
    assert_eq!(meta.require_f32_array("ints").expect("ints as numbers"), [3.0, 4.0]);
    let layers = meta.require_u64_or_array("ints").expect("per layer");
    assert_eq!((layers.at(0), layers.at(1), layers.at(2)), (Some(3), Some(4), None));
    assert_eq!(meta.require_u64_or_array("u8").expect("for all layers"), PerLayer::One(7));
    assert_eq!(meta.require_bool_or_array("bools").expect("per layer").at(1), Some(true));
    assert_eq!(meta.require_f32_or_array("f64").expect("for all layers").at(99), Some(0.5));
    assert_eq!(meta.get_str("absent").expect("absence is no error"), None);
}

#[test]
fn typed_getters_say_what_is_wrong() {
    let file = read(
        &GgufBuilder::new(3)
            .kv("neg", Kv::I32(-1))
            .kv("str", Kv::str("s"))
            .kv("ints", Kv::Array(5, vec![Kv::I32(3), Kv::I32(-4)]))
            .kv("big", Kv::Array(10, vec![Kv::U64(1 << 31)])),
    );
    let meta = file.metadata();
    let neg = meta.get_u64("neg").expect_err("negative").to_string();
    assert_eq!(neg, "m.gguf: key \"neg\" is i32 -1, expected a non-negative integer");
    let text = meta.get_f32("str").expect_err("text").to_string();
    assert_eq!(text, "m.gguf: key \"str\" is string \"s\", expected a number");
    let scalar = meta.get_str_array("str").expect_err("scalar").to_string();
    assert_eq!(scalar, "m.gguf: key \"str\" is string \"s\", expected an array of string");
    let element = meta.get_u64_or_array("ints").expect_err("negative").to_string();
    assert_eq!(
        element,
        "m.gguf: key \"ints\" is array of 2 i32 with -4 at index 1, expected a non-negative integer or an array of them"
    );
    let big = meta.get_i32_array("big").expect_err("too large").to_string();
    assert_eq!(
        big,
        "m.gguf: key \"big\" is array of 1 u64 with 2147483648 at index 0, expected an array of 32-bit integers"
    );
    let absent = meta.require_u64("llama.block_count").expect_err("absent").to_string();
    assert_eq!(absent, "m.gguf: key \"llama.block_count\" is missing, expected a non-negative integer");
}

#[test]
fn a_model_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + 'static>(_: &T) {}
    shareable(&read(&GgufBuilder::new(3)));
}
