//! From the text of a regular expression to its tree.
//!
//! The notation is the part of ECMAScript's that pre-tokenizers use: alternatives, groups, classes,
//! greedy repetition, look-ahead, `$`, `\b`, `\s`, `\S`, `\d` and `\p{..}`.

use super::Alphabet;
use super::set::SymbolSet;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// One symbol.
    Set(SymbolSet),
    /// One after the other.
    Sequence(Vec<Node>),
    /// The first that fits.
    Alternatives(Vec<Node>),
    /// Greedy repetition.
    Repeat { node: Box<Node>, min: u32, max: u32 },
    /// Look-ahead; `negative` for `(?!..)`.
    Look { node: Box<Node>, negative: bool },
    /// `$`: the end of the chunk.
    End,
    /// `\b`: between a word character and something else.
    Boundary,
}

/// Parses a whole expression. The message of an error says what was expected and where.
pub(super) fn parse(expression: &str, alphabet: Alphabet) -> Result<Node, String> {
    let mut parser = Parser { input: expression.chars().collect(), at: 0, alphabet };
    let node = parser.alternatives()?;
    if parser.at != parser.input.len() {
        return Err(format!("unmatched `)` at character {}", parser.at));
    }
    Ok(node)
}

struct Parser {
    input: Vec<char>,
    at: usize,
    alphabet: Alphabet,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.input.get(self.at).copied()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = wanted.chars().enumerate().all(|(i, c)| self.input.get(self.at + i) == Some(&c));
        if found {
            self.at += wanted.chars().count();
        }
        found
    }

    fn next(&mut self) -> Result<char, String> {
        let c = self.peek().ok_or("unexpected end of the expression")?;
        self.at += 1;
        Ok(c)
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        let mut found = vec![self.sequence()?];
        while self.take("|") {
            found.push(self.sequence()?);
        }
        Ok(if found.len() == 1 { found.remove(0) } else { Node::Alternatives(found) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut found: Vec<Node> = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            let atom = self.atom()?;
            let node = self.repetition(atom)?;
            push_simplified(&mut found, node);
        }
        Ok(if found.len() == 1 { found.remove(0) } else { Node::Sequence(found) })
    }

    fn atom(&mut self) -> Result<Node, String> {
        if self.take("(?:") || self.take("(?=") || self.take("(?!") || self.take("(") {
            let opener = self.input[self.at - 1];
            let node = self.alternatives()?;
            if !self.take(")") {
                return Err(format!("missing `)` at character {}", self.at));
            }
            return Ok(match opener {
                '=' => Node::Look { node: Box::new(node), negative: false },
                '!' => Node::Look { node: Box::new(node), negative: true },
                _ => node,
            });
        }
        match self.next()? {
            '[' => self.class(),
            '$' => Ok(Node::End),
            '\\' if self.take("b") => Ok(Node::Boundary),
            '\\' => Ok(Node::Set(self.escape()?)),
            c @ ('*' | '+' | '?' | '{') => Err(format!("nothing to repeat before `{c}` at character {}", self.at - 1)),
            c => Ok(Node::Set(SymbolSet::single(u32::from(c)))),
        }
    }

    fn repetition(&mut self, node: Node) -> Result<Node, String> {
        let (min, max) = match self.peek() {
            Some('*') => (0, u32::MAX),
            Some('+') => (1, u32::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                self.at += 1;
                let min = self.number()?;
                let max = if self.take(",") { self.number()? } else { min };
                if self.peek() != Some('}') || min > max {
                    return Err(format!("bad repetition count at character {}", self.at));
                }
                (min, max)
            }
            _ => return Ok(node),
        };
        self.at += 1;
        Ok(Node::Repeat { node: Box::new(node), min, max })
    }

    fn number(&mut self) -> Result<u32, String> {
        let digits: String = self.input[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        self.at += digits.len();
        digits.parse().map_err(|_| format!("expected a number at character {}", self.at))
    }

    /// A class, after its `[`.
    fn class(&mut self) -> Result<Node, String> {
        let negated = self.take("^");
        let mut set = SymbolSet::default();
        while !self.take("]") {
            let first = match self.next()? {
                '\\' => {
                    let escaped = self.peek().ok_or("unexpected end of the expression")?;
                    if escaped.is_ascii_alphanumeric() {
                        set.add_set(&self.escape()?);
                        continue;
                    }
                    self.at += 1;
                    escaped
                }
                c => c,
            };
            let is_range = self.peek() == Some('-') && self.input.get(self.at + 1).is_some_and(|&c| c != ']');
            let mut last = first;
            if is_range {
                self.at += 1;
                last = self.next()?;
                if last == '\\' {
                    last = self.next()?;
                }
            }
            if last < first {
                return Err(format!("descending range at character {}", self.at));
            }
            set.add_range(u32::from(first), u32::from(last));
        }
        Ok(Node::Set(if negated { set.negated() } else { set }))
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<SymbolSet, String> {
        let mut set = SymbolSet::default();
        match self.next()? {
            'r' => set.add_range(13, 13),
            'n' => set.add_range(10, 10),
            't' => set.add_range(9, 9),
            'd' => set.add_range(u32::from('0'), u32::from('9')),
            c @ ('s' | 'S') => {
                set.add_range(9, 13);
                set.add_range(32, 32);
                if c == 'S' {
                    set = set.negated();
                }
            }
            'p' => {
                let end = self.input[self.at..].iter().position(|&c| c == '}').ok_or("`\\p` without its braces")?;
                let name: String = self.input[self.at..=self.at + end].iter().collect();
                self.at += end + 1;
                set = self.alphabet.property(&name).ok_or_else(|| format!("unknown property `\\p{name}`"))?;
            }
            c if c.is_ascii_alphanumeric() => return Err(format!("unknown escape `\\{c}`")),
            c => set = SymbolSet::single(u32::from(c)),
        }
        Ok(set)
    }
}

/// Appends a node; a look-ahead for one symbol right before that symbol becomes the intersection of
/// both.
fn push_simplified(sequence: &mut Vec<Node>, node: Node) {
    if let (Some(Node::Look { node: ahead, negative: false }), Node::Set(set)) = (sequence.last(), &node)
        && let Node::Set(wanted) = ahead.as_ref()
        && let Some(both) = wanted.intersection(set)
    {
        sequence.pop();
        sequence.push(Node::Set(both));
        return;
    }
    sequence.push(node);
}
