//! Broken files take no memory to speak of, and large vocabularies little time.

use std::time::Instant;

use turbo_gguf::GgufFile;
use turbo_testkit::{GgufBuilder, Kv, fixture};

const CHILD: &str = "TURBO_GGUF_MEMORY_CHILD";
/// Address space for the whole test process, program and thread stacks included.
const LIMIT_KIB: u32 = 192 << 10;

/// Runs only inside `broken_files_open_in_little_memory`.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let folder = fixture("bad/README.md");
    for entry in std::fs::read_dir(folder.parent().expect("a folder")).expect("readable") {
        let _ = GgufFile::open(&entry.expect("an entry").path());
    }
    let good = std::fs::read(fixture("bad/control_good.gguf")).expect("the control");
    // Every byte of header, metadata and tensor table: the highest bit, all bits, one more.
    for at in 0..9000 {
        for damage in [0x80, 0xff, 0x01] {
            let mut bytes = good.clone();
            bytes[at] ^= damage;
            let _ = GgufFile::from_vec("damaged.gguf", bytes);
        }
    }
    // Arrays of empty strings and of empty arrays, the densest there are, up to the limit and over.
    for (id, size) in [(8u32, 8usize), (9, 12)] {
        for n in [1u64 << 10, 1 << 20, 1 << 23] {
            let mut array = [id.to_le_bytes().as_slice(), &n.to_le_bytes()].concat();
            array.resize(12 + size * (n as usize).min(1 << 20), 0);
            let _ = GgufFile::from_vec("bomb.gguf", GgufBuilder::new(3).kv("a", Kv::Raw(9, array)).build());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn broken_files_open_in_little_memory() {
    let program = std::env::current_exe().expect("this test program");
    let script = format!("ulimit -v {LIMIT_KIB} && exec \"$0\" --exact child --test-threads=1");
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(program)
        .env(CHILD, "1")
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .expect("running this program again");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn metadata_that_would_take_too_much_memory_are_refused() {
    let n = 12u64 << 20;
    let mut array = [8u32.to_le_bytes().as_slice(), &n.to_le_bytes()].concat();
    array.resize(12 + 8 * n as usize, 0);
    let bytes = GgufBuilder::new(3).kv("tokens", Kv::Raw(9, array)).build();
    let message = GgufFile::from_vec("m.gguf", bytes).expect_err("too large").to_string();
    assert_eq!(
        message,
        "m.gguf: the metadata would take more than 256 MiB of memory at key \"tokens\"; the file is damaged"
    );
}

#[test]
fn a_large_vocabulary_opens_quickly() {
    let n = 256_000;
    let bytes = GgufBuilder::new(3)
        .kv("tokenizer.ggml.tokens", Kv::strings((0..n).map(|i| format!("token{i}"))))
        .kv("tokenizer.ggml.merges", Kv::strings((0..n).map(|i| format!("tok en{i}"))))
        .kv("tokenizer.ggml.scores", Kv::Array(6, (0..n).map(|i| Kv::F32(i as f32)).collect()))
        .kv("tokenizer.ggml.token_type", Kv::Array(5, vec![Kv::I32(1); n]))
        .build();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("vocabulary.gguf");
    std::fs::write(&path, bytes).expect("writing a test file");
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            let file = GgufFile::open(&path).expect("a vocabulary");
            let tokens = file.metadata().require_str_array("tokenizer.ggml.tokens");
            assert_eq!(tokens.expect("strings").len(), n);
            start.elapsed()
        })
        .min();
    let best = best.expect("five runs");
    eprintln!("opening {n} tokens and merges: {best:?}");
    assert!(best.as_millis() < 500, "{best:?}");
}
