//! The pre-tokenizers that `tokenizer.ggml.pre` can name.
//!
//! Names, expressions and flags are those of llama.cpp (`src/llama-vocab.cpp`, read in 2026-11),
//! which took the expressions from the models' `tokenizer.json` files. Several expressions run one
//! after the other, each on the pieces that the one before left.

use super::TextError;
use super::pattern::{BEFORE_GROUPS, GROUPS, Pattern, Symbols};

/// English contractions in any case.
macro_rules! contraction {
    () => {
        "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    };
}

/// The end of most expressions since GPT-4: punctuation with its line ends, line ends, white space.
macro_rules! tail {
    () => {
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}

const DIGIT: &str = r"\p{N}";
const DIGITS_BY_THREE: &str = r"\p{N}{1,3}";
const LINE_ENDS: &str = r"[\r\n]";
const LINES: &str = r"[^\n]+|[\n]+";
const CJK_AND_KANA: &str = "[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+";
const CJK_AND_HANGUL: &str = "[\u{4E00}-\u{9FA5}\u{0800}-\u{4E00}\u{AC00}-\u{D7FF}]+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const LLAMA3: &str = concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}", tail!());
const QWEN2: &str = concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}", tail!());
const QWEN35: &str = concat!(
    contraction!(),
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const UFAKZEKA: &str = concat!(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}", tail!());
const MINICPM5: &str = concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+", tail!());
const JAIS2: &str = concat!(
    contraction!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)",
    r"|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
);
const SEED_CODER: &str =
    concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+");
const BAILINGMOE: &str = concat!(
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
);
const EXAONE_MOE: &str = concat!(
    contraction!(),
    r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
);
const KIMI_K2: &str = concat!(
    r"\p{Han}+|[^\r\n\p{L}\p{N}\p{Han}]?\p{L}+",
    contraction!(),
    r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}\p{Han}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// Letters that are not lower-case ASCII, then letters that are not upper-case ASCII.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+",
    r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+",
    contraction!(),
    r"?|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*",
    contraction!(),
    r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GRANITE_EMBED: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))*((?=[\p{L}\p{M}])([^A-Z]))+",
    contraction!(),
    r"?|[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))+((?=[\p{L}\p{M}])([^A-Z]))*",
    contraction!(),
    r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const CASED_START: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    contraction!(),
    r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    contraction!(),
    r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const YOUTU: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    contraction!(),
    r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    contraction!(),
    r"?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const YOUTU_SCRIPTS: &str = concat!(
    "[\u{AC00}-\u{D7A3}\u{3131}-\u{318E}]+",
    "|[\u{FF01}\u{2026}\u{201C}\u{201D}\u{2018}\u{2019}\u{2014}\u{FF1A}\u{FF1B}\u{FF0C}\u{3001}-\u{303F}\u{FE30}-\u{FE4F}]+",
    "|[\u{3105}-\u{312F}]+|[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+"
);
const DEEPSEEK3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const SPARK: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
    r"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
);
/// Letters that have case, as DeepSeek's tokenizer lists them.
const DEEPSEEK_LETTERS: &str = concat!(
    "\\s?[A-Za-z\u{B5}\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{1BA}\u{1BC}-\u{1BF}\u{1C4}-\u{293}\u{295}-\u{2AF}\u{370}-\u{373}",
    "\u{376}\u{377}\u{37B}-\u{37D}\u{37F}\u{386}\u{388}-\u{38A}\u{38C}\u{38E}-\u{3A1}\u{3A3}-\u{3F5}\u{3F7}-\u{481}",
    "\u{48A}-\u{52F}\u{531}-\u{556}\u{10A0}-\u{10C5}\u{13A0}-\u{13F5}\u{13F8}-\u{13FD}\u{1C90}-\u{1CBA}\u{1CBD}-\u{1CBF}",
    "\u{1D00}-\u{1D2B}\u{1D6B}-\u{1D77}\u{1D79}-\u{1D9A}\u{1E00}-\u{1F15}\u{1F18}-\u{1F1D}\u{1F20}-\u{1F45}\u{1F48}-\u{1F4D}",
    "\u{1F50}-\u{1F57}\u{1F59}\u{1F5B}\u{1F5D}\u{1F5F}-\u{1F7D}\u{1F80}-\u{1FB4}\u{1FB6}-\u{1FBC}\u{1FBE}\u{1FC2}-\u{1FC4}",
    "\u{1FC6}-\u{1FCC}\u{1FD0}-\u{1FD3}\u{1FD6}-\u{1FDB}\u{1FE0}-\u{1FEC}\u{1FF2}-\u{1FF4}\u{1FF6}-\u{1FFC}\u{2102}\u{2107}",
    "\u{210A}-\u{2113}\u{2115}\u{2119}-\u{211D}\u{2124}\u{2126}\u{2128}\u{212A}-\u{212D}\u{212F}-\u{2134}\u{2139}",
    "\u{213C}-\u{213F}\u{2145}-\u{2149}\u{214E}\u{2183}\u{2184}\u{2C00}-\u{2C7B}\u{2C7E}-\u{2CE4}\u{2CEB}-\u{2CEE}\u{2CF2}",
    "\u{2CF3}\u{A640}-\u{A66D}\u{A680}-\u{A69B}\u{A722}-\u{A76F}\u{A771}-\u{A787}\u{A78B}-\u{A78E}\u{AB70}-\u{ABBF}",
    "\u{FB00}-\u{FB06}\u{FB13}-\u{FB17}\u{FF21}-\u{FF3A}\u{FF41}-\u{FF5A}\u{10400}-\u{1044F}\u{104B0}-\u{104D3}",
    "\u{104D8}-\u{104FB}\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}]+"
);
const DEEPSEEK_PUNCTUATION: &str = "\\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+";
const BLOOM: &str = " ?[^(\\s|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{964}\u{6D4}\u{60C})]+";

/// Special treatment that goes with a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// A piece that is itself a token needs no merges.
    pub(super) ignore_merges: bool,
    /// BOS is added unless the file says otherwise.
    pub(super) add_bos: bool,
    /// Token texts are plain UTF-8 with U+2581 for spaces and `<0xXX>` for bytes, not byte-level
    /// text.
    pub(super) plain: bool,
    /// A piece of line ends only that is a token needs no merges; BOS is added whatever the file
    /// says.
    pub(super) gemma: bool,
}

const NONE: Flags = Flags { ignore_merges: false, add_bos: false, plain: false, gemma: false };
const WHOLE: Flags = Flags { ignore_merges: true, ..NONE };
const WHOLE_BOS: Flags = Flags { add_bos: true, ..WHOLE };
const BOS: Flags = Flags { add_bos: true, ..NONE };
const PLAIN: Flags = Flags { plain: true, ..NONE };
const GEMMA: Flags = Flags { gemma: true, ..PLAIN };

/// Names, expressions, flags.
type Entry = (&'static [&'static str], &'static [&'static str], Flags);

const TABLE: &[Entry] = &[
    (&["default"], &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], NONE),
    (
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "jina-v2-es",
            "jina-v2-de",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
        ],
        &[GPT2],
        NONE,
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
        &[LLAMA3],
        WHOLE_BOS,
    ),
    (&["dbrx", "smaug-bpe"], &[LLAMA3], NONE),
    (&["chatglm-bpe", "glm4"], &[LLAMA3], NONE),
    (
        &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"],
        &[QWEN2],
        NONE,
    ),
    (&["qwen35"], &[QWEN35], NONE),
    (&["ufakzeka"], &[UFAKZEKA], NONE),
    (&["laguna"], &[LINES, QWEN2], NONE),
    (&["minicpm5"], &[DIGITS_BY_THREE, MINICPM5], WHOLE),
    (&["jais-2"], &[JAIS2], NONE),
    (&["seed-coder"], &[SEED_CODER], NONE),
    (&["bailingmoe", "bailingmoe2", "llada-moe"], &[BAILINGMOE], NONE),
    (&["exaone-moe"], &[EXAONE_MOE], NONE),
    (&["kimi-k2"], &[KIMI_K2], NONE),
    (&["tekken"], &[TEKKEN], WHOLE_BOS),
    (&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], &[GPT4O], NONE),
    (&["granite-embed-multi-97m"], &[GRANITE_EMBED], WHOLE),
    (&["tiny_aya", "cohere2moe"], &[GROUPS, CASED_START], NONE),
    (&["youtu"], &[YOUTU_SCRIPTS, YOUTU], WHOLE),
    (&["deepseek-llm"], &[LINE_ENDS, DEEPSEEK_LETTERS, DEEPSEEK_PUNCTUATION, r"\s+$", CJK_AND_HANGUL, r"\p{N}+"], NONE),
    (&["deepseek-coder"], &[LINE_ENDS, r"\s?\p{L}+", r"\s?\p{P}+", CJK_AND_HANGUL, DIGIT], NONE),
    (&["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], &[DIGITS_BY_THREE, CJK_AND_KANA, DEEPSEEK3], NONE),
    (&["spark2_5"], &[DIGITS_BY_THREE, CJK_AND_KANA, SPARK, DIGIT], NONE),
    (&["falcon"], &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], NONE),
    (
        &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
        &[DIGIT, GPT2],
        NONE,
    ),
    (&["bloom", "poro-chat", "gpt3-finnish"], &[BLOOM], NONE),
    (&["viking"], &[BLOOM, DIGIT], NONE),
    (
        &["chameleon"],
        &[
            "<sentinel:[0-9]+>",
            "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
            r"([\t\n]|    |  )",
            DIGIT,
            r"[\p{P}!-/:-@\[-`{-~]",
            GPT2,
        ],
        BOS,
    ),
    (&["superbpe"], &[r"\p{N}+", BEFORE_GROUPS], NONE),
    (&["gemma4", "granite-embed-multi-311m"], &[LINES], GEMMA),
    (&["sarvam-moe"], &[LINES], PLAIN),
];

/// A pre-tokenizer: cuts text into the pieces within which tokens are merged.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    patterns: Vec<Pattern>,
    pub(super) flags: Flags,
}

impl PreTokenizer {
    /// The pre-tokenizer of a name.
    pub(super) fn named(name: &str) -> Result<Self, TextError> {
        let found = TABLE.iter().find(|(names, ..)| names.contains(&name));
        let &(_, expressions, flags) = found
            .ok_or_else(|| TextError::UnknownPreTokenizer { name: name.to_owned(), known: known_names().join(", ") })?;
        let patterns = expressions.iter().map(|expression| Pattern::new(expression)).collect::<Result<_, _>>();
        let patterns = patterns.map_err(|detail| TextError::Expression { name: name.to_owned(), detail })?;
        Ok(Self { patterns, flags })
    }

    /// Calls `piece` with each piece of the text, in order.
    pub(super) fn for_each<'t>(&self, text: &'t str, mut piece: impl FnMut(&'t str)) {
        let symbols = Symbols::new(text, &self.patterns);
        let mut ends = vec![text.chars().count()];
        for pattern in &self.patterns {
            ends = pattern.split(&symbols, &ends);
        }
        let mut rest = text.char_indices();
        let (mut from, mut done) = (0, 0);
        for end in ends {
            // The character after the piece starts where the piece ends.
            let upto = if end == done {
                from
            } else {
                rest.nth(end - done - 1).map_or(text.len(), |(at, c)| at + c.len_utf8())
            };
            done = end;
            if upto > from {
                piece(&text[from..upto]);
            }
            from = upto;
        }
    }
}

/// All names, sorted.
pub(super) fn known_names() -> Vec<&'static str> {
    let mut names: Vec<_> = TABLE.iter().flat_map(|(names, ..)| names.iter().copied()).collect();
    names.sort_unstable();
    names
}

/// All expressions, for tests of the matcher.
#[cfg(test)]
pub(super) fn all_expressions() -> Vec<&'static str> {
    let mut expressions: Vec<_> = TABLE.iter().flat_map(|(_, expressions, _)| expressions.iter().copied()).collect();
    expressions.sort_unstable();
    expressions.dedup();
    expressions
}
