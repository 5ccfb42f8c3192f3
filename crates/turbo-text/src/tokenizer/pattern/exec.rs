//! Running a pattern: a backtracking machine with its own stack, so that no text can exhaust the
//! thread's.

use super::parse::Node;
use super::set::SymbolSet;

/// One step of a compiled pattern.
#[derive(Debug)]
pub(super) enum Step {
    /// One symbol of the set.
    Set(SymbolSet),
    /// As many symbols of the set as possible, at least `min`, at most `max`.
    Run { set: SymbolSet, min: usize, max: usize },
    /// Go on at the first; when that fails, at the second.
    Split(usize, usize),
    /// Go on there.
    Jump(usize),
    /// The steps up to `end` (whose step is `Match`) must match here, or must not; go on after
    /// them.
    Look { end: usize, negative: bool },
    /// The end of the chunk.
    End,
    /// A word boundary.
    Boundary,
    /// Done.
    Match,
}

/// Compiles a tree.
pub(super) fn compile(tree: &Node) -> Vec<Step> {
    let mut program = Vec::new();
    emit(tree, &mut program);
    program.push(Step::Match);
    program
}

fn emit(node: &Node, program: &mut Vec<Step>) {
    match node {
        Node::Set(set) => program.push(Step::Set(set.clone())),
        Node::Sequence(nodes) => nodes.iter().for_each(|node| emit(node, program)),
        Node::Alternatives(nodes) => emit_alternatives(nodes, program),
        Node::Repeat { node, min, max } => emit_repeat(node, *min, *max, program),
        Node::Look { node, negative } => {
            let at = program.len();
            program.push(Step::Look { end: 0, negative: *negative });
            emit(node, program);
            program.push(Step::Match);
            program[at] = Step::Look { end: program.len(), negative: *negative };
        }
        Node::End => program.push(Step::End),
        Node::Boundary => program.push(Step::Boundary),
    }
}

fn emit_alternatives(nodes: &[Node], program: &mut Vec<Step>) {
    let mut jumps = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        if i + 1 == nodes.len() {
            emit(node, program);
            break;
        }
        let split = program.len();
        program.push(Step::Jump(0));
        emit(node, program);
        jumps.push(program.len());
        program.push(Step::Jump(0));
        program[split] = Step::Split(split + 1, program.len());
    }
    let end = program.len();
    for jump in jumps {
        program[jump] = Step::Jump(end);
    }
}

/// Repetition of a group that may match nothing would not end; none of the patterns has one, and a
/// test checks them all.
fn emit_repeat(node: &Node, min: u32, max: u32, program: &mut Vec<Step>) {
    if let Node::Set(set) = node {
        let (min, max) = (min as usize, if max == u32::MAX { usize::MAX } else { max as usize });
        program.push(Step::Run { set: set.clone(), min, max });
        return;
    }
    for _ in 0..min {
        emit(node, program);
    }
    if max == u32::MAX {
        let split = program.len();
        program.push(Step::Jump(0));
        emit(node, program);
        program.push(Step::Jump(split));
        program[split] = Step::Split(split + 1, program.len());
        return;
    }
    let mut splits = Vec::new();
    for _ in min..max {
        splits.push(program.len());
        program.push(Step::Jump(0));
        emit(node, program);
    }
    let end = program.len();
    for split in splits {
        program[split] = Step::Split(split + 1, end);
    }
}

/// A place to return to.
enum Choice {
    /// Go on with `step` at `position`.
    Other { step: usize, position: usize },
    /// A run that may give back symbols down to `least`.
    Shorter { step: usize, least: usize, position: usize },
}

/// Cuts the chunks of `symbols` that end at `ends` at the borders of matches.
pub(super) fn split<T: Copy + Into<u32>>(program: &[Step], symbols: &[T], ends: &[usize]) -> Vec<usize> {
    let mut found = Vec::with_capacity(ends.len() * 2);
    let mut stack = Vec::new();
    let mut first = 0;
    for &end in ends {
        let chunk = &symbols[first..end];
        let mut last = 0;
        let mut position = 0;
        while position < chunk.len() {
            let Some(stop) = run(program, 0, chunk, position, &mut stack) else {
                position += failed_length(program, &chunk[position..]);
                continue;
            };
            if position > last {
                found.push(first + position);
            }
            if stop > position {
                found.push(first + stop);
            }
            last = stop;
            // After a match of nothing the search goes on one symbol further.
            position = stop.max(position + 1);
        }
        if last < chunk.len() {
            found.push(end);
        }
        first = end;
    }
    found
}

/// How far to go on after a pattern did not match at the start of `rest`.
///
/// A run that must reach the end, as in `\s+$`, fails from each of its symbols once it failed from the first: trying them all
/// would take time quadratic in a run's length.
fn failed_length<T: Copy + Into<u32>>(program: &[Step], rest: &[T]) -> usize {
    if let [Step::Run { set, max: usize::MAX, .. }, Step::End, ..] = program {
        return rest.iter().take_while(|&&symbol| set.contains(symbol.into())).count().max(1);
    }
    1
}

/// Matches from `step` at `position`; returns where the match ends.
fn run<T: Copy + Into<u32>>(
    program: &[Step],
    mut step: usize,
    chunk: &[T],
    mut position: usize,
    stack: &mut Vec<Choice>,
) -> Option<usize> {
    let base = stack.len();
    loop {
        let holds = match &program[step] {
            Step::Match => {
                stack.truncate(base);
                return Some(position);
            }
            Step::Set(set) => {
                let fits = chunk.get(position).is_some_and(|&symbol| set.contains(symbol.into()));
                position += usize::from(fits);
                fits
            }
            Step::Run { set, min, max } => {
                let most = max.saturating_add(position).min(chunk.len());
                let start = position;
                while position < most && set.contains(chunk[position].into()) {
                    position += 1;
                }
                let least = start + min;
                if position > least {
                    stack.push(Choice::Shorter { step: step + 1, least, position });
                }
                position >= least
            }
            Step::Split(one, other) => {
                stack.push(Choice::Other { step: *other, position });
                step = *one;
                continue;
            }
            Step::Jump(to) => {
                step = *to;
                continue;
            }
            Step::Look { end, negative } => {
                let found = run(program, step + 1, chunk, position, stack).is_some();
                if found != *negative {
                    step = *end;
                    continue;
                }
                false
            }
            Step::End => position == chunk.len(),
            Step::Boundary => is_word(chunk, position.checked_sub(1)) != is_word(chunk, Some(position)),
        };
        if holds {
            step += 1;
            continue;
        }
        if stack.len() == base {
            return None;
        }
        (step, position) = retreat(stack)?;
    }
}

/// Takes the latest choice back.
fn retreat(stack: &mut Vec<Choice>) -> Option<(usize, usize)> {
    match stack.pop()? {
        Choice::Other { step, position } => Some((step, position)),
        Choice::Shorter { step, least, position } => {
            if position - 1 > least {
                stack.push(Choice::Shorter { step, least, position: position - 1 });
            }
            Some((step, position - 1))
        }
    }
}

fn is_word<T: Copy + Into<u32>>(chunk: &[T], position: Option<usize>) -> bool {
    position.and_then(|at| chunk.get(at)).is_some_and(|&symbol| {
        let symbol: u32 = symbol.into();
        u8::try_from(symbol).is_ok_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
