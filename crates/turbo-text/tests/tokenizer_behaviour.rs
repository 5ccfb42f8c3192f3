//! Encoding, decoding, streaming, special tokens, refusals.

use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use turbo_gguf::GgufFile;
use turbo_testkit::fixture;
use turbo_text::{EncodeOptions, StreamDecoder, TextError, TokenKind, Tokenizer, VocabSpec};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const SPECIAL: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };
const WHOLE: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

fn open(name: &str) -> Tokenizer {
    Tokenizer::from_gguf(&GgufFile::open(&fixture(&format!("vocab/{name}.gguf"))).unwrap()).unwrap()
}

static GPT2: LazyLock<Tokenizer> = LazyLock::new(|| open("ggml-vocab-gpt-2"));
static DEEPSEEK: LazyLock<Tokenizer> = LazyLock::new(|| open("ggml-vocab-deepseek-coder"));
static SPM: LazyLock<Tokenizer> = LazyLock::new(|| open("ggml-vocab-llama-spm"));
static SMALL: LazyLock<Tokenizer> = LazyLock::new(|| open("ours-bpe"));

fn spec_of(name: &str) -> VocabSpec {
    VocabSpec::from_metadata(GgufFile::open(&fixture(&format!("vocab/{name}.gguf"))).unwrap().metadata()).unwrap()
}

/// A byte-level vocabulary of single characters, `ab`, and the given further tokens with their
/// types.
fn letters(pre: &str, further: &[(&str, i32)]) -> VocabSpec {
    let mut tokens: Vec<String> = ('!'..='~').map(String::from).collect();
    tokens.extend(["Ġ", "Ċ", "ab"].map(str::to_owned));
    let mut types = vec![1; tokens.len()];
    for (text, token_type) in further {
        tokens.push((*text).to_owned());
        types.push(*token_type);
    }
    VocabSpec {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        tokens,
        token_types: Some(types),
        merges: Some(vec!["a b".into()]),
        ..VocabSpec::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn byte_level_text_comes_back(text in any::<String>()) {
        for tokenizer in [&*GPT2, &*SMALL] {
            let ids = tokenizer.encode(&text, PLAIN);
            prop_assert_eq!(&tokenizer.decode(&ids, true), &text);
        }
    }

    #[test]
    fn sentence_piece_text_comes_back_behind_its_space(text in "[^\u{2581}]{1,64}") {
        let ids = SPM.encode(&text, PLAIN);
        prop_assert_eq!(SPM.decode(&ids, true), format!(" {text}"));
    }

    #[test]
    fn streams_give_the_same_text_in_whole_characters(ids in prop::collection::vec(0u32..33_000, 0..64), show in any::<bool>()) {
        for tokenizer in [&*GPT2, &*SPM, &*DEEPSEEK, &*SMALL] {
            let ids: Vec<u32> = ids.iter().map(|id| id % (tokenizer.n_tokens() as u32 + 1)).collect();
            let mut stream = StreamDecoder::new(tokenizer, show);
            let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
            text += &stream.finish();
            prop_assert_eq!(text, tokenizer.decode(&ids, show));
            prop_assert!(!stream.is_mid_character());
        }
    }

    #[test]
    fn bytes_stream_like_a_lossy_conversion(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        let ids: Vec<u32> = bytes.iter().map(|byte| SPM.token_id(&format!("<0x{byte:02X}>")).unwrap()).collect();
        let mut stream = StreamDecoder::new(&*SPM, false);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text += &stream.finish();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn long_words_merge_like_short_ones(letters in "[a-e ]{49,120}") {
        // The same text, once as one long piece (the queue) and once token by token through the
        // vocabulary's own merges.
        let ids = GPT2.encode(&letters.replace(' ', "a"), PLAIN);
        let mut parts: Vec<String> = letters.replace(' ', "a").chars().map(String::from).collect();
        let merges = &*GPT2_MERGES;
        while let Some((_, at)) = parts.windows(2).enumerate().filter_map(|(i, two)| Some((*merges.get(&two.join(" "))?, i))).min() {
            let right = parts.remove(at + 1);
            parts[at] += &right;
        }
        let want: Vec<u32> = parts.iter().map(|part| GPT2.token_id(part).unwrap()).collect();
        prop_assert_eq!(ids, want);
    }
}

static GPT2_MERGES: LazyLock<std::collections::HashMap<String, usize>> = LazyLock::new(|| {
    spec_of("ggml-vocab-gpt-2").merges.unwrap().into_iter().enumerate().map(|(rank, merge)| (merge, rank)).collect()
});

#[test]
fn a_stream_holds_back_half_a_character() {
    let emoji: Vec<u32> = GPT2.encode("😀", PLAIN);
    assert!(emoji.len() > 1);
    let shared = Arc::new(open("ggml-vocab-gpt-2"));
    let mut stream = StreamDecoder::new(Arc::clone(&shared), false);
    for &id in &emoji[..emoji.len() - 1] {
        assert_eq!(stream.push(id), "");
        assert!(stream.is_mid_character());
    }
    assert_eq!(stream.push(emoji[emoji.len() - 1]), "😀");
    assert_eq!(stream.push(emoji[0]), "");
    assert_eq!(stream.finish(), "\u{FFFD}");
    assert_eq!(stream.finish(), "");
}

#[test]
fn special_tokens_are_found_only_when_asked_for() {
    let end = GPT2.token_id("<|endoftext|>").unwrap();
    assert!(!GPT2.encode("a<|endoftext|>b", PLAIN).contains(&end));
    let ids = GPT2.encode("a<|endoftext|>b", SPECIAL);
    assert_eq!(ids, [64, end, 65]);
    assert_eq!(GPT2.decode(&ids, true), "a<|endoftext|>b");
    assert_eq!(GPT2.decode(&ids, false), "ab");
    assert_eq!(GPT2.kind(end), Some(TokenKind::Control));
    assert!(GPT2.is_special(end) && GPT2.is_end_of_generation(end));
    assert!(!GPT2.is_special(64) && !GPT2.is_end_of_generation(64));
}

#[test]
fn user_defined_tokens_are_found_always_and_the_longest_first() {
    let spec = letters("gpt-2", &[("<x>", 4), ("<x>y", 4), ("<c>", 3)]);
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    let id = |text| tokenizer.token_id(text).unwrap();
    assert_eq!(tokenizer.encode("<x>y<x>", PLAIN), [id("<x>y"), id("<x>")]);
    assert_eq!(tokenizer.encode("<c>", PLAIN), [id("<"), id("c"), id(">")]);
    assert_eq!(tokenizer.encode("ab<c>ab", SPECIAL), [id("ab"), id("<c>"), id("ab")]);
}

#[test]
fn phi_3_tokens_take_the_white_space_after_them() {
    let mut spec = letters("gpt-2", &[("<|end|>", 3), ("<|endoftext|>", 3)]);
    spec.model_name = Some("Phi3 mini".into());
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    let id = |text| tokenizer.token_id(text).unwrap();
    assert_eq!(tokenizer.encode("a<|end|>\n a", SPECIAL), [id("a"), id("<|end|>"), id("a")]);
    assert_eq!(tokenizer.encode("a<|endoftext|> a", SPECIAL), [id("a"), id("<|endoftext|>"), id("Ġ"), id("a")]);
}

#[test]
fn mask_tokens_take_the_white_space_before_them() {
    let tokenizer = Tokenizer::from_parts(letters("jina-v2-de", &[("<mask>", 3)])).unwrap();
    let id = |text| tokenizer.token_id(text).unwrap();
    assert_eq!(tokenizer.encode("a \n<mask> a", SPECIAL), [id("a"), id("<mask>"), id("Ġ"), id("a")]);
}

#[test]
fn beginning_and_end_follow_the_file_and_the_kind() {
    assert!(SPM.add_bos() && !SPM.add_eos() && SPM.add_space_prefix());
    assert_eq!(SPM.encode("", WHOLE), [1]);
    assert_eq!((SPM.bos(), SPM.eos(), SPM.unk()), (Some(1), Some(2), Some(0)));
    assert!(!GPT2.add_bos());
    let mut spec = letters("llama-bpe", &[("<s>", 3), ("</s>", 3)]);
    let n = spec.tokens.len() as u32;
    (spec.special.bos, spec.special.eos, spec.add_eos) = (Some(n - 2), Some(n - 1), Some(true));
    let tokenizer = Tokenizer::from_parts(spec.clone()).unwrap();
    assert_eq!(tokenizer.encode("ab", WHOLE), [n - 2, 96, n - 1]);
    spec.add_bos = Some(false);
    assert!(!Tokenizer::from_parts(spec.clone()).unwrap().add_bos());
    (spec.special.bos, spec.add_bos) = (None, Some(true));
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    assert!(!tokenizer.add_bos());
    assert_eq!(tokenizer.warnings(), ["BOS should be added to texts, but the file names no such token; none is added"]);
}

#[test]
fn ends_of_generation_follow_the_texts() {
    let ends = |further: &[(&str, i32)]| {
        let tokenizer = Tokenizer::from_parts(letters("gpt-2", further)).unwrap();
        tokenizer.end_of_generation().iter().map(|&id| tokenizer.token_text(id).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ends(&[("<|im_end|>", 3), ("<|endoftext|>", 1), ("<|im_start|>", 3)]), ["<|im_end|>", "<|endoftext|>"]);
    assert_eq!(ends(&[("<|return|>", 3), ("<|call|>", 3), ("<|end|>", 3)]), ["<|return|>", "<|call|>"]);
    assert_eq!(ends(&[("<turn|>", 3), ("<|tool_response>", 3), ("</s>", 1)]), ["<turn|>", "<|tool_response>"]);
    assert_eq!(ends(&[("<|file_sep|>", 3), ("<|fim_pad|>", 3)]), ["<|file_sep|>", "<|fim_pad|>"]);
    let tokenizer = Tokenizer::from_parts(letters("gpt-2", &[("<|endoftext|>", 3), ("<|im_end|>", 1)])).unwrap();
    assert_eq!(tokenizer.eot(), tokenizer.token_id("<|im_end|>"));
    assert!(tokenizer.is_special(tokenizer.eot().unwrap()), "an end of turn is control whatever its type says");
}

#[test]
fn a_whole_token_needs_no_merges_where_the_model_says_so() {
    let with = |pre| Tokenizer::from_parts(letters(pre, &[("cd", 1)])).unwrap().encode("cd", PLAIN).len();
    assert_eq!((with("llama-bpe"), with("tekken"), with("gpt-2")), (1, 1, 2));
}

#[test]
fn gemma_4_spells_plainly_and_falls_back_to_bytes() {
    let mut tokens: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut types = vec![6; 256];
    for text in ["a", "b", "▁", "\n", "\n\n", "▁a", "<bos>", "b▁"] {
        tokens.push(text.into());
        types.push(if text == "<bos>" { 3 } else { 1 });
    }
    let mut spec = VocabSpec { model: "gemma4".into(), tokens, token_types: Some(types), ..VocabSpec::default() };
    spec.merges = Some(vec!["▁ a".into(), "b ▁".into()]);
    (spec.special.bos, spec.add_bos) = (Some(262), Some(false));
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    assert_eq!(tokenizer.encode("b a\n\né", WHOLE), [262, 257, 261, 260, 0xC3, 0xA9]);
    assert_eq!(tokenizer.decode(&tokenizer.encode("b a\n\né a", PLAIN), false), "b a\n\né a");
    assert_eq!(tokenizer.warnings().len(), 1, "{:?}", tokenizer.warnings());
}

#[test]
fn pieces_are_raw_bytes() {
    let id = GPT2.token_id("Ġthe").unwrap();
    assert_eq!(GPT2.token_bytes(id), Some(&b" the"[..]));
    assert_eq!(GPT2.token_bytes(GPT2.n_tokens() as u32), None);
    assert_eq!((GPT2.token_text(id), GPT2.token_text(u32::MAX)), ("Ġthe", ""));
    assert_eq!(SPM.token_bytes(SPM.token_id("<0xE2>").unwrap()), Some(&[0xE2][..]));
    assert_eq!(SPM.token_bytes(SPM.token_id("▁the").unwrap()), Some(&b" the"[..]));
    assert_eq!(SPM.kind(SPM.token_id("<0xE2>").unwrap()), Some(TokenKind::Byte));
}

#[test]
fn a_missing_pre_tokenizer_is_the_default_with_a_warning() {
    let mut spec = letters("gpt-2", &[]);
    spec.pre = None;
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    assert_eq!(tokenizer.pre(), Some("default"));
    assert_eq!(
        tokenizer.warnings(),
        [
            "metadata key `tokenizer.ggml.pre` is missing: text is split by the rules named `default`, which may not be the model's; \
          convert the model again for full quality"
        ]
    );
}

#[test]
fn a_wrong_padding_id_is_dropped_with_a_warning() {
    let mut spec = letters("gpt-2", &[("", 1)]);
    spec.special.pad = Some(98);
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    assert_eq!((tokenizer.pad(), tokenizer.token_text(97)), (None, "[EMPTY_97]"));
    assert_eq!(tokenizer.warnings().len(), 2, "{:?}", tokenizer.warnings());
}

fn refusal(change: impl FnOnce(&mut VocabSpec)) -> String {
    let mut spec = letters("gpt-2", &[]);
    change(&mut spec);
    Tokenizer::from_parts(spec).expect_err("must be refused").to_string()
}

#[test]
fn refusals_name_what_is_wrong() {
    let n = 97;
    assert_eq!(
        refusal(|spec| spec.model = "bert".into()),
        "tokenizer model `bert` (`tokenizer.ggml.model`) is not supported; supported are gpt2, llama and gemma4"
    );
    let unknown = refusal(|spec| spec.pre = Some("qwen9".into()));
    assert!(unknown.starts_with("pre-tokenizer `qwen9` (`tokenizer.ggml.pre`) is not known"), "{unknown}");
    assert!(unknown.contains(", qwen2, qwen35, "), "{unknown}");
    assert_eq!(
        refusal(|spec| spec.token_types = Some(vec![1; 3])),
        format!(
            "metadata key `tokenizer.ggml.token_type` has 3 entries, but `tokenizer.ggml.tokens` has {n}; they must be equal"
        )
    );
    assert_eq!(
        refusal(|spec| spec.scores = Some(vec![0.0; 200])),
        format!(
            "metadata key `tokenizer.ggml.scores` has 200 entries, but `tokenizer.ggml.tokens` has {n}; they must be equal"
        )
    );
    assert_eq!(
        refusal(|spec| spec.tokens.clear()),
        "metadata key `tokenizer.ggml.tokens` has 0 entries; expected between 1 and 2147483647"
    );
    assert_eq!(
        refusal(|spec| spec.tokens[5] = "ab".into()),
        "metadata key `tokenizer.ggml.tokens`: tokens 5 and 96 are both \"ab\"; each token needs its own text"
    );
    assert_eq!(
        refusal(|spec| spec.merges = Some(vec!["a b".into(), "ab".into()])),
        "metadata key `tokenizer.ggml.merges`: entry 1 is \"ab\"; expected two token texts with a space between them"
    );
    assert_eq!(
        refusal(|spec| spec.merges = None),
        "metadata key `tokenizer.ggml.merges` is missing: without it text cannot be tokenized; convert the model again with its tokenizer"
    );
    assert_eq!(
        refusal(|spec| spec.special.eos = Some(97)),
        format!(
            "metadata key `tokenizer.ggml.eos_token_id` is 97, but the vocabulary has {n} tokens; the id must be below that"
        )
    );
    let no_scores = refusal(|spec| spec.model = "llama".into());
    assert!(no_scores.starts_with("metadata key `tokenizer.ggml.scores` is missing"), "{no_scores}");
}

#[test]
fn tokens_of_the_wrong_type_are_refused_by_key() {
    let Some(path) = turbo_testkit::shared("fixtures/bad/tokens_wrong_type.gguf") else {
        return;
    };
    let file = GgufFile::open(&path).unwrap();
    let error = Tokenizer::from_gguf(&file).unwrap_err();
    assert!(matches!(error, TextError::Metadata { key: "tokenizer.ggml.tokens", .. }), "{error:?}");
    assert!(error.to_string().starts_with("cannot read the metadata key `tokenizer.ggml.tokens`: "), "{error}");
}

#[test]
fn every_known_pre_tokenizer_works() {
    for name in Tokenizer::known_pretokenizers() {
        let plain = matches!(name, "gemma4" | "granite-embed-multi-311m" | "sarvam-moe");
        let tokenizer = Tokenizer::from_parts(letters(name, &[("▁", 1)])).unwrap();
        let text = "Hello, world's 12345 ab!\n\n  x=1;\n";
        let ids = tokenizer.encode(text, PLAIN);
        if !plain {
            assert_eq!(tokenizer.decode(&ids, true), text, "{name}");
        }
    }
}

/// A megabyte of mixed text.
fn megabyte() -> String {
    let unit = "The quick brown fox's 12345 jumps; över den \"lazy\" hund — 你好，世界! Ещё раз. let x = a[i] + 0x1f;\n\n    return x;\n😀 ";
    let mut text = String::new();
    let mut n = 0u32;
    while text.len() < 1_000_000 {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += unit;
        text += &format!("{n:x} ");
    }
    text
}

#[test]
fn a_megabyte_takes_well_under_a_second() {
    let text = megabyte();
    for (name, tokenizer) in
        [("gpt-2", &*GPT2), ("deepseek-coder", &*DEEPSEEK), ("llama-spm", &*SPM), ("ours-bpe", &*SMALL)]
    {
        let start = Instant::now();
        let ids = tokenizer.encode(&text, SPECIAL);
        let took = start.elapsed();
        eprintln!("{name}: {} tokens in {took:?}", ids.len());
        // Generous: tests share the machine.
        assert!(took < Duration::from_secs(3), "{name}: {took:?}");
    }
}

#[test]
fn one_endless_word_does_not_explode() {
    for text in
        ["a".repeat(300_000), " ".repeat(300_000), "中".repeat(100_000), "\n".repeat(300_000), "'".repeat(300_000)]
    {
        for tokenizer in [&*GPT2, &*DEEPSEEK, &*SPM, &*SMALL] {
            let start = Instant::now();
            assert!(!tokenizer.encode(&text, SPECIAL).is_empty());
            assert!(start.elapsed() < Duration::from_secs(3), "{:?} {:?}", tokenizer.pre(), start.elapsed());
        }
    }
}

#[test]
fn tokenizers_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
}

/// 150 000 tokens, each merged from two others.
#[test]
fn a_large_vocabulary_loads_quickly() {
    let mut spec = letters("llama-bpe", &[]);
    let mut merges = Vec::new();
    let mut from = 0;
    while spec.tokens.len() < 150_000 {
        for letter in 'a'..='y' {
            let left = spec.tokens[from].clone();
            let merged = format!("{left}{letter}");
            if merged != "ab" {
                spec.tokens.push(merged);
                merges.push(format!("{left} {letter}"));
            }
        }
        from += 1;
    }
    spec.token_types = None;
    spec.merges = Some(merges);
    let start = Instant::now();
    let tokenizer = Tokenizer::from_parts(spec).unwrap();
    let took = start.elapsed();
    eprintln!("{} tokens loaded in {took:?}", tokenizer.n_tokens());
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn every_architecture_fixture_has_a_tokenizer() {
    let Some(folder) = turbo_testkit::shared("fixtures/arch") else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gguf") {
            let tokenizer = Tokenizer::from_gguf(&GgufFile::open(&path).unwrap()).unwrap();
            assert_eq!(tokenizer.warnings(), [] as [&str; 0], "{}", path.display());
            let text = "Grüße, 世界! 123 <|im_end|>\n";
            let prefix = if tokenizer.add_space_prefix() { " " } else { "" };
            let ids = tokenizer.encode(text, PLAIN);
            assert_eq!(tokenizer.decode(&ids, true), format!("{prefix}{text}"), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0);
}
