//! The matcher against a general regular-expression engine.

use super::*;
use crate::tokenizer::pretokenizers::all_expressions;
use proptest::prelude::*;
use std::sync::LazyLock;

/// The expression as the general engine must read it to mean the same: white space and digits are
/// ASCII (the text was collapsed), and categories are the collapsed symbols.
fn translate(expression: &str) -> String {
    let categories = [
        ("L", r"\x{D2}A-Za-z"),
        ("Lu", r"\x{D2}A-Za-z"),
        ("Ll", r"\x{D2}A-Za-z"),
        ("Lt", r"\x{D2}A-Za-z"),
        ("Lm", r"\x{D2}A-Za-z"),
        ("Lo", r"\x{D2}A-Za-z"),
        ("N", r"\x{D1}0-9"),
        ("P", r"\x{D3}!-#%-*,-/:-;?-@\[-\]_{}"),
        ("M", r"\x{D4}"),
        ("S", r"\x{D5}$+<->\^`|"),
        ("Han", r"\x{D6}"),
    ];
    let mut out = String::new();
    let mut inside = false;
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if let Some(after) = rest.strip_prefix(r"\p{") {
            let (name, _) = after.split_once('}').unwrap();
            let set = categories.iter().find(|(known, _)| *known == name).unwrap().1;
            out += &if inside { set.to_owned() } else { format!("[{set}]") };
            taken = name.len() + 4;
        } else if rest.starts_with(r"\s") {
            out += if inside { r"\t-\r " } else { r"[\t-\r ]" };
            taken = 2;
        } else if rest.starts_with(r"\S") {
            out += r"[^\t-\r ]";
            taken = 2;
        } else if rest.starts_with(r"\d") {
            out += "[0-9]";
            taken = 2;
        } else if rest.starts_with(r"\b") {
            out += "(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))";
            taken = 2;
        } else if c == '\\' {
            taken = 2;
            out += &rest[..2];
        } else if inside && (c == '[' || c == '&' || c == '~') {
            // Plain in ECMAScript's classes, special in the other engine's.
            out.push('\\');
            out.push(c);
        } else {
            inside = if c == '[' { true } else { inside && c != ']' };
            out.push(c);
        }
        rest = &rest[taken..];
    }
    out.replace("$(?", r"\z(?").trim_end_matches('$').to_owned() + if expression.ends_with('$') { r"\z" } else { "" }
}

/// Splitting with the general engine, in characters.
fn reference_split(regex: &fancy_regex::Regex, symbols: &[char]) -> Vec<usize> {
    let text: String = symbols.iter().collect();
    let mut cuts = vec![text.len()];
    for found in regex.find_iter(&text) {
        let found = found.unwrap();
        cuts.extend([found.start(), found.end()]);
    }
    cuts.retain(|&cut| cut > 0);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.iter().map(|&cut| text[..cut].chars().count()).collect()
}

/// Every expression, for this matcher and for the general engine.
static COMPILED: LazyLock<Vec<(&str, Pattern, fancy_regex::Regex)>> = LazyLock::new(|| {
    let compile = |expression| {
        (expression, Pattern::new(expression).unwrap(), fancy_regex::Regex::new(&translate(expression)).unwrap())
    };
    all_expressions().into_iter().map(compile).collect()
});

fn check(text: &str) {
    for (expression, pattern, regex) in COMPILED.iter().filter(|_| !text.is_empty()) {
        let symbols = Symbols::new(text, std::slice::from_ref(pattern));
        let chars: Vec<char> = match pattern.alphabet {
            Alphabet::Collapsed => symbols.collapsed.iter().map(|&symbol| char::from(symbol)).collect(),
            Alphabet::CodePoints => symbols.points.iter().map(|&symbol| char::from_u32(symbol).unwrap()).collect(),
        };
        let got = pattern.split(&symbols, &[chars.len()]);
        assert_eq!(got, reference_split(regex, &chars), "{expression:?} on {text:?}");
    }
}

/// Text that hits the patterns' special cases often.
fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "a",
        "B",
        "hello",
        "World",
        "é",
        "ß",
        "Я",
        "中",
        "文",
        "かな",
        "한글",
        "1",
        "23",
        "4567",
        "٣",
        "Ⅷ",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\u{A0}",
        "\u{3000}",
        "\u{85}",
        "'s",
        "'S",
        "'ll",
        "'Re",
        "'",
        ".",
        ",",
        "!?",
        "~",
        "$",
        "+",
        "<|",
        "|>",
        "。",
        "！",
        "…",
        "_",
        "/",
        "😀",
        "\u{301}",
        "\u{200D}",
        "\u{0}",
        "\u{7F}",
        "\u{378}",
        "IMGIMGABZ",
        "<sentinel:12>",
        "[",
        "]",
        "\\",
        "(",
        "`",
        "ǅ",
        "-",
    ]);
    prop_oneof![prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_expression_splits_as_a_general_engine_does(text in texts()) {
        check(&text);
    }
}

#[test]
fn no_expression_repeats_a_group_that_may_be_empty() {
    fn may_be_empty(node: &parse::Node) -> bool {
        match node {
            parse::Node::Set(_) => false,
            parse::Node::Sequence(nodes) => nodes.iter().all(may_be_empty),
            parse::Node::Alternatives(nodes) => nodes.iter().any(may_be_empty),
            parse::Node::Repeat { node, min, .. } => {
                assert!(!may_be_empty(node), "repetition of {node:?} would not end");
                *min == 0
            }
            parse::Node::Look { .. } | parse::Node::End | parse::Node::Boundary => true,
        }
    }
    for expression in all_expressions() {
        may_be_empty(
            &parse::parse(
                expression,
                if expression.contains("\\p{") { Alphabet::Collapsed } else { Alphabet::CodePoints },
            )
            .unwrap(),
        );
    }
}

#[test]
fn mistakes_are_described() {
    let cases = [
        ("(a", "missing `)` at character 2"),
        ("a)", "unmatched `)` at character 1"),
        ("+", "nothing to repeat before `+` at character 0"),
        ("a{2,1}", "bad repetition count at character 5"),
        ("[z-a]", "descending range at character 4"),
        ("[a", "unexpected end of the expression"),
        (r"\q", r"unknown escape `\q`"),
        (r"\p{Greek}", r"unknown property `\p{Greek}`"),
    ];
    for (expression, message) in cases {
        assert_eq!(Pattern::new(expression).unwrap_err(), message, "{expression}");
    }
}

#[test]
fn long_texts_exhaust_neither_the_stack_nor_patience() {
    const N: usize = 60_000;
    let texts = ["a ", " ", "A", "é", "中", "'", "\n", ".", "a\u{301}", "~", "1"];
    for text in texts.map(|unit| unit.repeat(N)) {
        for text in [format!("{text}中"), format!("{text}a"), text] {
            for (expression, pattern, _) in COMPILED.iter() {
                let symbols = Symbols::new(&text, std::slice::from_ref(pattern));
                let n = text.chars().count();
                let start = std::time::Instant::now();
                assert_eq!(pattern.split(&symbols, &[n]).last(), Some(&n), "{expression}");
                let took = start.elapsed().as_secs_f32();
                assert!(took < 2.0, "{expression:?} takes {took} s on {:?} repeated", text.chars().next());
            }
        }
    }
}
