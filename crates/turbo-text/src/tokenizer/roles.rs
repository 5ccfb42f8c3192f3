//! Roles that follow from a token's text, where the file does not name them.
//!
//! The lists are llama.cpp's (`src/llama-vocab.cpp`, read in 2026-11). Where several texts could
//! have one role, llama.cpp takes whichever its hash table yields first; here the order of the list
//! decides.

use super::spec::{SpecialIds, VocabSpec};
use super::vocab::{Attributes, Vocab};

const END_OF_TURN: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];

const END_OF_GENERATION: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

type Role = fn(&mut SpecialIds) -> &mut Option<u32>;

const BY_TEXT: &[(Role, &[&str])] = &[
    (|ids| &mut ids.eot, END_OF_TURN),
    (|ids| &mut ids.eom, &["<|eom_id|>"]),
    (
        |ids| &mut ids.fim_pre,
        &[
            "<|fim_prefix|>",
            "<fim-prefix>",
            "<fim_prefix>",
            "<｜fim▁begin｜>",
            "<PRE>",
            "▁<PRE>",
            "<|code_prefix|>",
            "<|prefix|>",
        ],
    ),
    (
        |ids| &mut ids.fim_suf,
        &[
            "<|fim_suffix|>",
            "<fim-suffix>",
            "<fim_suffix>",
            "<｜fim▁hole｜>",
            "<SUF>",
            "▁<SUF>",
            "<|code_suffix|>",
            "<|suffix|>",
        ],
    ),
    (
        |ids| &mut ids.fim_mid,
        &[
            "<|fim_middle|>",
            "<fim-middle>",
            "<fim_middle>",
            "<｜fim▁end｜>",
            "<MID>",
            "▁<MID>",
            "<|code_middle|>",
            "<|middle|>",
        ],
    ),
    (|ids| &mut ids.fim_pad, &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"]),
    (|ids| &mut ids.fim_rep, &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"]),
    (|ids| &mut ids.fim_sep, &["<|file_sep|>"]),
];

/// Tokens of the harmony format that are shown as text always.
const ALWAYS_SHOWN: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Finds missing roles by text and lists the tokens that end generation.
pub(super) fn assign(vocab: &mut Vocab) {
    for &(role, texts) in BY_TEXT {
        if role(&mut vocab.special).is_none()
            && let Some(id) = texts.iter().find_map(|text| vocab.id(text))
        {
            *role(&mut vocab.special) = Some(id);
            add(vocab, id, Attributes::CONTROL);
        }
    }
    for id in 0..vocab.len() as u32 {
        if vocab.attributes(id).any(Attributes::CONTROL) && vocab.text(id).is_some_and(|text| text.contains("unused")) {
            add(vocab, id, Attributes::UNUSED);
        }
    }
    let ids = vocab.special;
    let mut ends: Vec<u32> = [ids.fim_pad, ids.fim_rep, ids.fim_sep].into_iter().flatten().collect();
    for id in END_OF_GENERATION.iter().filter_map(|text| vocab.id(text)).collect::<Vec<_>>() {
        ends.push(id);
        add(vocab, id, Attributes::CONTROL);
    }
    for id in ALWAYS_SHOWN.iter().filter_map(|text| vocab.id(text)).collect::<Vec<_>>() {
        vocab.attributes[id as usize] = Attributes(Attributes::USER_DEFINED);
    }
    ends.extend([ids.eos, ids.eot, ids.eom].into_iter().flatten());
    ends.sort_unstable();
    ends.dedup();
    vocab.end_of_generation = ends;
    drop_exceptions(vocab);
}

/// Two families have a token that looks like an end and is none.
fn drop_exceptions(vocab: &mut Vocab) {
    let ends =
        |vocab: &Vocab, text: &str| vocab.id(text).filter(|id| vocab.end_of_generation.binary_search(id).is_ok());
    let calls = ends(vocab, "<|call|>").or_else(|| ends(vocab, "<|calls|>")).is_some();
    let harmony = calls && (ends(vocab, "<|return|>").is_some() || ends(vocab, "<|flush|>").is_some());
    if harmony && let Some(id) = ends(vocab, "<|end|>") {
        // In the harmony format `<|end|>` closes a message, after which the model goes on.
        vocab.end_of_generation.retain(|&other| other != id);
        vocab.attributes[id as usize] = Attributes(Attributes::USER_DEFINED);
    }
    if ends(vocab, "<|tool_response>").is_some()
        && let Some(id) = ends(vocab, "</s>")
    {
        // In Gemma 4 `</s>` is the HTML tag.
        vocab.end_of_generation.retain(|&other| other != id);
        vocab.attributes[id as usize] = Attributes(Attributes::NORMAL);
    }
}

fn add(vocab: &mut Vocab, id: u32, attribute: u16) {
    vocab.attributes[id as usize].0 |= attribute;
}

/// Which tokens swallow white space beside them. GGUF does not record it, so llama.cpp goes by
/// names.
pub(super) fn assign_strips(vocab: &mut Vocab, spec: &VocabSpec) {
    let pre = spec.pre.as_deref().unwrap_or_default();
    let architecture = spec.architecture.as_deref().unwrap_or_default();
    let name = spec.model_name.as_deref().unwrap_or_default().to_lowercase();
    let has = |text: &str, parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if has(pre, &["jina-v2-de", "jina-v2-es", "jina-v2-code"]) || has(architecture, &["nomic-bert-moe", "jina-bert-v3"])
    {
        if let Some(id) = vocab.id("<mask>") {
            add(vocab, id, Attributes::STRIP_LEFT);
        }
    } else if has(&name, &["phi-3", "phi3"]) {
        let special = Attributes::CONTROL | Attributes::USER_DEFINED | Attributes::UNKNOWN;
        for attributes in vocab.attributes.iter_mut().filter(|attributes| attributes.any(special)) {
            attributes.0 |= Attributes::STRIP_RIGHT;
        }
        if let Some(id) = vocab.id("</s>") {
            add(vocab, id, Attributes::STRIP_RIGHT);
        }
        for id in ["<unk>", "<s>", "<|endoftext|>"].iter().filter_map(|text| vocab.id(text)).collect::<Vec<_>>() {
            vocab.attributes[id as usize].0 &= !Attributes::STRIP_RIGHT;
        }
    } else if has(&name, &["modern-bert"])
        && let Some(id) = vocab.id("[MASK]")
    {
        add(vocab, id, Attributes::STRIP_LEFT);
    }
}
