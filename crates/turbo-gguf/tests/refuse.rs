//! Every kind of broken file is refused with one line that names what is wrong.

use std::path::Path;

use turbo_gguf::{GgufError, GgufFile};
use turbo_testkit::{GgufBuilder, Kv, fixture};

fn refusal(bytes: Vec<u8>) -> String {
    one_line(&GgufFile::from_vec("m.gguf", bytes).expect_err("a broken file must be refused"))
}

fn one_line(error: &GgufError) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 600, "{message}");
    message
}

fn opened(path: &Path) -> String {
    let error = GgufFile::open(path).expect_err("a broken file must be refused");
    let message = one_line(&error);
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    message
}

fn v3() -> GgufBuilder {
    GgufBuilder::new(3).kv("general.architecture", Kv::str("llama"))
}

fn with_tensor(shape: &[u64], type_id: u32, bytes: usize) -> String {
    refusal(v3().tensor("w", shape, type_id, &vec![0; bytes]).build())
}

#[test]
fn fixtures_are_refused_by_name() {
    let cases = [
        ("truncated_in_metadata", "unexpected end of file in the metadata: "),
        ("truncated_in_tensor_infos", "unexpected end of file in the tensor table: "),
        ("kv_count_2e60", "a count of 1152921504606846976 key/value pairs takes at least"),
        (
            "string_length_overflow",
            "the name of key 0 has a string length of 18446744073709551600 bytes, expected 1 to 65535",
        ),
        ("tensor_offset_past_eof", "tensor \"blk.1.ffn_up.weight\" has 6144 bytes at data offset"),
        ("tensor_offset_wraps", "tensor \"blk.0.attn_q.weight\" has 8192 bytes at data offset 18446744073709551584"),
        ("unaligned_offset", "tensor \"blk.0.ffn_gate.weight\" has data offset"),
        ("unaligned_offset", "expected a multiple of the alignment 32"),
        (
            "dims_product_overflow",
            "tensor \"blk.0.attn_k.weight\" has shape [8589934592, 8589934592], whose size does not fit in 64 bits",
        ),
        ("wrong_magic", "not a GGUF file: it starts with \"GGML\", expected it to start with \"GGUF\""),
        ("version_1", "GGUF version 1 is not supported, expected 2 or 3"),
    ];
    for (name, expected) in cases {
        let message = opened(&fixture(&format!("bad/{name}.gguf")));
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn fixtures_that_are_sound_containers_open() {
    let names =
        ["control_good", "missing_tensor", "shape_mismatch", "head_count_zero", "tokens_wrong_type", "unknown_type_id"];
    for name in names {
        GgufFile::open(&fixture(&format!("bad/{name}.gguf"))).expect(name);
    }
}

#[test]
fn tokens_of_the_wrong_type_name_the_key() {
    let file = GgufFile::open(&fixture("bad/tokens_wrong_type.gguf")).expect("a sound container");
    let error = file.metadata().get_str_array("tokenizer.ggml.tokens").expect_err("wrong type");
    let message = one_line(&error);
    assert!(message.contains("key \"tokenizer.ggml.tokens\" is array of "), "{message}");
    assert!(message.ends_with(" i32, expected an array of string"), "{message}");
}

#[test]
fn an_unknown_type_is_refused_when_used() {
    let file = GgufFile::open(&fixture("bad/unknown_type_id.gguf")).expect("a sound container");
    let tensor = file.tensor("blk.0.attn_v.weight").expect("it is in the table");
    assert_eq!((tensor.type_id, tensor.ggml_type(), tensor.bytes()), (999, None, None));
    let message = one_line(&file.data(tensor).expect_err("unknown type"));
    assert!(
        message.contains("tensor \"blk.0.attn_v.weight\" has the unsupported type id 999: no such ggml type"),
        "{message}"
    );
}

#[test]
fn unknown_types_of_known_origin_are_explained() {
    for (id, hint) in
        [(4, "removed from ggml"), (33, "repacked"), (42, "q2_0 of ggml, or turbo2"), (45, "TurboQuant fork")]
    {
        let file = GgufFile::from_vec("m.gguf", v3().tensor("w", &[4], id, &[0; 16]).build());
        let file = file.expect("opaque until used");
        let message = one_line(&file.data(&file.tensors()[0]).expect_err("unknown type"));
        assert!(message.contains(&format!("type id {id}")) && message.contains(hint), "{message}");
    }
}

#[test]
fn things_that_are_not_gguf_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(opened(&folder.join("no-such-file.gguf")).contains("cannot be opened: "));
    assert!(opened(folder).ends_with("is a directory, expected a GGUF file"));
    for (name, bytes, expected) in [
        ("empty.gguf", &b""[..], "not a GGUF file: it is empty"),
        ("short.gguf", b"GGU", "not a GGUF file: it has only 3 bytes"),
        (
            "magic.gguf",
            b"GGUF",
            "unexpected end of file in the header: the version takes 4 bytes, but only 0 bytes are left",
        ),
        ("binary.gguf", b"\x00\xff\n\"...", "it starts with \"\\x00\\xff\\n\\\"\", expected"),
        ("pointer.gguf", b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("writing a test file");
        let message = opened(&path);
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn a_device_is_refused_without_reading_it() {
    assert!(opened(Path::new("/dev/zero")).ends_with("is a device or pipe, expected a GGUF file"));
}

#[test]
fn versions_and_byte_order() {
    for version in [0, 1, 4, 0x7fff_ffff] {
        let message = refusal(GgufBuilder::new(version).build());
        assert!(message.contains(&format!("GGUF version {version} is not supported, expected 2 or 3")), "{message}");
    }
    let big = refusal(GgufBuilder::new(3u32.swap_bytes()).build());
    assert!(big.starts_with("m.gguf: is a big-endian GGUF file, expected little-endian"), "{big}");
}

#[test]
fn counts_that_cannot_be_true() {
    let pairs = refusal(v3().claim_pairs(u64::MAX).build());
    assert!(pairs.contains("a count of 18446744073709551615 key/value pairs takes at least"), "{pairs}");
    let tensors = refusal(v3().claim_tensors(1 << 40).build());
    assert!(tensors.contains("in the tensor table: a count of 1099511627776 tensors takes at least"), "{tensors}");
    let array = Kv::Raw(9, [&4u32.to_le_bytes()[..], &(1u64 << 62).to_le_bytes()].concat());
    let array = refusal(v3().kv("a", array).build());
    assert!(
        array.contains("an array of 4611686018427387904 in key \"a\" takes at least 18446744073709551616 bytes"),
        "{array}"
    );
    let strings = Kv::Raw(9, [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat());
    let strings = refusal(v3().kv("a", strings).build());
    assert!(strings.contains("an array of 18446744073709551615 in key \"a\""), "{strings}");
}

#[test]
fn string_lengths_that_cannot_be_true() {
    for length in [100, u64::MAX, u64::MAX - 15] {
        let message = refusal(v3().kv("a", Kv::Raw(8, length.to_le_bytes().to_vec())).build());
        let expected = format!("the value of key \"a\" has a string length of {length} bytes, but only");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn keys() {
    let twice = refusal(v3().kv("general.architecture", Kv::U8(0)).build());
    assert_eq!(twice, "m.gguf: key \"general.architecture\" occurs twice");
    let empty = refusal(v3().kv("", Kv::U8(0)).build());
    assert_eq!(empty, "m.gguf: the name of key 1 has a string length of 0 bytes, expected 1 to 65535");
    let long = refusal(v3().kv(&"k".repeat(65_536), Kv::U8(0)).build());
    assert!(long.contains("has a string length of 65536 bytes, expected 1 to 65535"), "{long}");
    let utf8 = refusal(v3().kv_bytes(b"a\xff", Kv::U8(0)).build());
    assert_eq!(utf8, "m.gguf: the name of key 1 is not valid UTF-8 (byte 1 of it)");
    let lines = refusal(v3().kv("a\nb", Kv::U8(0)).kv("a\nb", Kv::U8(0)).build());
    assert_eq!(lines, "m.gguf: key \"a\\nb\" occurs twice");
}

#[test]
fn values() {
    let refuse = |value| refusal(v3().kv("k", value).build());
    let text = |bytes: &[u8]| [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat();
    assert_eq!(refuse(Kv::Raw(13, vec![0])), "m.gguf: key \"k\" has value type 13, expected a type id of 0 to 12");
    assert_eq!(refuse(Kv::Array(99, vec![])), "m.gguf: key \"k\" has value type 99, expected a type id of 0 to 12");
    assert_eq!(refuse(Kv::Raw(7, vec![2])), "m.gguf: key \"k\" holds the boolean byte 2, expected 0 or 1");
    assert_eq!(
        refuse(Kv::Array(7, vec![Kv::U8(1), Kv::U8(255)])),
        "m.gguf: key \"k\" holds the boolean byte 255, expected 0 or 1"
    );
    assert_eq!(refuse(Kv::Raw(8, text(b"ab\xc3"))), "m.gguf: the value of key \"k\" is not valid UTF-8 (byte 2 of it)");
    let tokens = Kv::Array(8, vec![Kv::str("a"), Kv::Raw(8, text(b"\x80"))]);
    assert_eq!(refuse(tokens), "m.gguf: element 1 of key \"k\" is not valid UTF-8 (byte 0 of it)");
    let mut nested = Kv::Array(4, vec![]);
    for _ in 0..64 {
        nested = Kv::Array(9, vec![nested]);
    }
    assert_eq!(refuse(nested), "m.gguf: key \"k\" nests arrays deeper than 64 levels");
}

#[test]
fn alignments() {
    for value in [Kv::U32(0), Kv::U32(4), Kv::U32(24), Kv::U32(u32::MAX)] {
        let message = refusal(v3().kv("general.alignment", value).build());
        assert!(
            message.contains("key \"general.alignment\" is u32 ")
                && message.ends_with("expected a u32 power of two of at least 8"),
            "{message}"
        );
    }
    let message = refusal(v3().kv("general.alignment", Kv::str("32")).build());
    assert!(message.contains("is string \"32\", expected a u32"), "{message}");
}

#[test]
fn shapes() {
    assert_eq!(with_tensor(&[], 0, 4), "m.gguf: tensor \"w\" has 0 dimensions, expected 1 to 4");
    assert_eq!(with_tensor(&[1; 5], 0, 4), "m.gguf: tensor \"w\" has 5 dimensions, expected 1 to 4");
    assert_eq!(with_tensor(&[32, 0], 0, 4), "m.gguf: tensor \"w\" has shape [32, 0], expected no dimension of 0");
    assert_eq!(
        with_tensor(&[1 << 62, 1 << 1], 0, 4),
        "m.gguf: tensor \"w\" has shape [4611686018427387904, 2], whose size does not fit in 64 bits"
    );
    assert_eq!(
        with_tensor(&[33, 2], 8, 68),
        "m.gguf: tensor \"w\" has rows of 33 values, expected a multiple of the 32 values of a q8_0 block"
    );
    let opaque = with_tensor(&[1 << 40, 1 << 40], 999, 4);
    assert!(opaque.ends_with("whose size does not fit in 64 bits"), "{opaque}");
}

#[test]
fn tensor_names() {
    let bytes = [0; 4];
    let twice = v3().tensor("w", &[1], 0, &bytes).tensor("w", &[1], 0, &bytes);
    assert_eq!(refusal(twice.build()), "m.gguf: tensor \"w\" occurs twice");
    let empty = refusal(v3().tensor("", &[1], 0, &bytes).build());
    assert_eq!(empty, "m.gguf: the name of tensor 0 has a string length of 0 bytes, expected 1 to 64");
    let long = refusal(v3().tensor(&"w".repeat(65), &[1], 0, &bytes).build());
    assert_eq!(long, "m.gguf: the name of tensor 0 has a string length of 65 bytes, expected 1 to 64");
    let utf8 = refusal(v3().tensor_bytes(b"\xff", &[1], 0, &bytes).build());
    assert_eq!(utf8, "m.gguf: the name of tensor 0 is not valid UTF-8 (byte 0 of it)");
}

#[test]
fn tensor_data_that_is_not_there() {
    let whole = v3().tensor("a", &[8], 0, &[0; 32]).tensor("b", &[3], 0, &[0; 12]).build();
    GgufFile::from_vec("m.gguf", whole.clone()).expect("the whole file");
    let cut = refusal(whole[..whole.len() - 1].to_vec());
    assert!(cut.contains("tensor \"b\" has 12 bytes at data offset 32 (data starts at byte "), "{cut}");
    assert!(
        cut.ends_with(&format!("beyond the end of the file of {} bytes; it is truncated or damaged", whole.len() - 1)),
        "{cut}"
    );
    let opaque = refusal(v3().tensor_at("a", &[8], 999, 1 << 20).build());
    assert!(opaque.contains("tensor \"a\" has 1 bytes at data offset 1048576"), "{opaque}");
}

#[test]
fn overlapping_tensors() {
    let data = [0; 64];
    let file = |shape: &[u64], id, offset| v3().tensor("a", &[16], 0, &data).tensor_at("b", shape, id, offset).build();
    assert_eq!(refusal(file(&[8], 0, 32)), "m.gguf: the data of tensors \"a\" and \"b\" overlap");
    assert!(refusal(file(&[8], 0, 0)).ends_with(" overlap"));
    assert!(refusal(file(&[8], 999, 32)).ends_with(" overlap"), "an opaque tensor inside another");
}

#[test]
fn a_tensor_of_another_model_is_refused() {
    let large = GgufFile::from_vec("l.gguf", v3().tensor("w", &[64], 0, &[0; 256]).build());
    let small = GgufFile::from_vec("s.gguf", v3().tensor("w", &[1], 0, &[0; 4]).build());
    let (large, small) = (large.expect("valid"), small.expect("valid"));
    let message = one_line(&small.data(&large.tensors()[0]).expect_err("too large"));
    assert!(message.starts_with("s.gguf: tensor \"w\" has 256 bytes at data offset"), "{message}");
}
