//! Token ids against those of llama.cpp, on its own vocabularies and on two small ones.

use turbo_gguf::GgufFile;
use turbo_testkit::fixture;
use turbo_text::{EncodeOptions, Tokenizer};

fn open(name: &str) -> Tokenizer {
    let file = GgufFile::open(&fixture(&format!("vocab/{name}"))).unwrap();
    Tokenizer::from_gguf(&file).unwrap()
}

/// The texts and ids that llama.cpp ships with a vocabulary: texts separated by a marker line, one
/// line of ids for each.
fn check_llama_cpp_vocabulary(name: &str) {
    let tokenizer = open(name);
    let texts = std::fs::read_to_string(fixture(&format!("vocab/{name}.inp"))).unwrap();
    let ids = std::fs::read_to_string(fixture(&format!("vocab/{name}.out"))).unwrap();
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 46, "{name}");
    assert!(texts.len() >= ids.len(), "{name}: {} texts", texts.len());
    for (i, (text, line)) in texts.iter().zip(&ids).enumerate() {
        let want: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(tokenizer.encode(text, EncodeOptions::default()), want, "{name}, text {i}: {text:?}");
    }
}

#[test]
fn gpt_2_vocabulary_gives_llama_cpp_ids() {
    check_llama_cpp_vocabulary("ggml-vocab-gpt-2.gguf");
}

#[test]
fn starcoder_vocabulary_gives_llama_cpp_ids() {
    check_llama_cpp_vocabulary("ggml-vocab-starcoder.gguf");
}

#[test]
fn deepseek_coder_vocabulary_gives_llama_cpp_ids() {
    check_llama_cpp_vocabulary("ggml-vocab-deepseek-coder.gguf");
}

#[test]
fn llama_sentence_piece_vocabulary_gives_llama_cpp_ids() {
    check_llama_cpp_vocabulary("ggml-vocab-llama-spm.gguf");
}

#[derive(serde::Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

fn check_cases(name: &str) {
    let tokenizer = open(&format!("{name}.gguf"));
    let cases = std::fs::read_to_string(fixture(&format!("vocab/{name}.json"))).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    assert_eq!(cases.len(), 200);
    for case in cases {
        assert_eq!(tokenizer.encode(&case.text, EncodeOptions::default()), case.ids, "{name}: {:?}", case.text);
    }
}

#[test]
fn small_byte_pair_vocabulary_gives_llama_cpp_ids() {
    check_cases("ours-bpe");
}

#[test]
fn small_sentence_piece_vocabulary_gives_llama_cpp_ids() {
    check_cases("ours-spm");
}
