//! The engine thread: batches the tokens of all running generations, step by step.

mod idle;
mod lost;
mod task;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError};

use turbo_backend::LogitsFor;

use crate::context::{Context, SequenceInput};
use crate::error::RuntimeError;
use crate::request::{EventSink, FinishReason, GenerateRequest, RequestId};
use crate::status::Status;
use idle::IdleSequences;
use task::Task;

/// What the handles send to the engine thread.
pub(crate) enum Command {
    /// Start a generation.
    Generate(RequestId, GenerateRequest, EventSink),
    /// End a generation early.
    Cancel(RequestId),
}

/// The state of the engine thread.
pub(crate) struct Scheduler {
    context: Context,
    commands: Receiver<Command>,
    max_running: usize,
    waiting: VecDeque<Task>,
    running: Vec<Task>,
    idle: IdleSequences,
    logits: Vec<f32>,
    status: std::sync::Arc<Status>,
    /// Why the device can do nothing more.
    lost: Option<String>,
}

impl Scheduler {
    pub(crate) fn new(
        context: Context,
        commands: Receiver<Command>,
        max_running: usize,
        status: std::sync::Arc<Status>,
    ) -> Self {
        Self {
            context,
            commands,
            max_running,
            waiting: VecDeque::new(),
            running: Vec::new(),
            idle: IdleSequences::default(),
            logits: Vec::new(),
            status,
            lost: None,
        }
    }

    /// Works until all handles are gone and all generations are finished; on a device that is lost, refuses them.
    pub(crate) fn run(mut self) {
        while self.take_commands() {
            self.admit();
            self.make_room();
            self.step();
            if let Some(message) = self.lost.take() {
                return self.refuse(&message);
            }
        }
    }

    /// Takes all commands there are, waiting for one if there is nothing to do. `false`: the end.
    fn take_commands(&mut self) -> bool {
        loop {
            let nothing_to_do = self.running.is_empty() && self.waiting.is_empty();
            let command = if nothing_to_do {
                self.commands.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.commands.try_recv()
            };
            match command {
                Ok(Command::Generate(id, request, sink)) => {
                    let tokenizer = &self.context.model().tokenizer;
                    let task = Task::new(id, request, tokenizer, self.context.tokens(), sink);
                    self.waiting.push_back(task);
                }
                Ok(Command::Cancel(id)) => self.cancel(id),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !nothing_to_do,
            }
        }
    }

    fn cancel(&mut self, id: RequestId) {
        if let Some(at) = self.running.iter().position(|task| task.id == id) {
            self.running[at].finish(FinishReason::Cancelled);
            self.retire(at);
        } else if let Some(at) = self.waiting.iter().position(|task| task.id == id)
            && let Some(mut task) = self.waiting.remove(at)
        {
            task.finish(FinishReason::Cancelled);
        }
    }

    /// Starts waiting generations, in the order they came, each from the longest cached beginning of its tokens.
    fn admit(&mut self) {
        while self.running.len() < self.max_running {
            let Some(mut task) = self.waiting.pop_front() else { return };
            let sequence = self.idle.take_prefix(&mut self.context, &task.tokens);
            task.sequence = sequence;
            let needed = self.context.blocks_needed(&task.sequence, task.pending().len());
            self.idle.free_blocks(&mut self.context, needed);
            if needed > self.context.free_blocks() && !self.running.is_empty() {
                let sequence = std::mem::take(&mut task.sequence);
                self.idle.keep(sequence, &task.tokens);
                self.waiting.push_front(task);
                return;
            }
            let cached = task.sequence.len();
            if task.start(cached) {
                self.running.push(task);
            } else {
                task.finish(FinishReason::Cancelled);
                let sequence = std::mem::take(&mut task.sequence);
                self.idle.keep(sequence, &task.tokens);
            }
        }
    }

    /// Makes sure that every running generation has the blocks its next step needs: idle sequences go first, then
    /// the youngest generations go back to waiting and compute their cache again later.
    fn make_room(&mut self) {
        loop {
            let needed: usize =
                self.running.iter().map(|t| self.context.blocks_needed(&t.sequence, t.pending().len())).sum();
            self.idle.free_blocks(&mut self.context, needed);
            if needed <= self.context.free_blocks() || self.running.len() <= 1 {
                return;
            }
            if let Some(mut task) = self.running.pop() {
                self.context.truncate(&mut task.sequence, 0);
                self.waiting.push_front(task);
            }
        }
    }

    /// Runs one batch and hands out its logits.
    fn step(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let shares = self.shares();
        let result = Self::forward(&mut self.context, &mut self.running, &shares, &mut self.logits);
        match result {
            Ok(()) => self.advance(&shares),
            Err(error) if lost::is_fatal(&error) => self.lose(&error),
            Err(error) if self.running.len() == 1 => self.fail(0, &error),
            Err(_) => self.step_one_by_one(&shares),
        }
    }

    /// How many tokens each running generation may put into the next batch: one for those that generate, the rest
    /// for prompts, first come first served.
    fn shares(&self) -> Vec<usize> {
        let mut left = self.context.max_batch_tokens();
        let single = |task: &Task| task.pending().len() == 1;
        left = left.saturating_sub(self.running.iter().filter(|t| single(t)).count());
        self.running
            .iter()
            .map(|task| {
                if single(task) {
                    return 1;
                }
                let share = task.pending().len().min(left);
                left -= share;
                share
            })
            .collect()
    }

    fn forward(
        context: &mut Context,
        tasks: &mut [Task],
        shares: &[usize],
        logits: &mut Vec<f32>,
    ) -> Result<(), RuntimeError> {
        let mut inputs: Vec<SequenceInput<'_>> = tasks
            .iter_mut()
            .zip(shares)
            .filter(|&(_, &share)| share > 0)
            .map(|(task, &share)| {
                let from = task.sequence.len();
                let whole = from + share == task.tokens.len();
                SequenceInput {
                    tokens: &task.tokens[from..from + share],
                    sequence: &mut task.sequence,
                    logits: if whole { LogitsFor::Last } else { LogitsFor::None },
                }
            })
            .collect();
        context.forward(&mut inputs, logits)
    }

    /// Gives every generation whose tokens have all gone through the model its row of logits.
    fn advance(&mut self, shares: &[usize]) {
        let tokenizer = std::sync::Arc::clone(&self.context.model().tokenizer);
        let n_vocab = self.context.model().plan.n_vocab;
        let mut rows = self.logits.chunks_exact_mut(n_vocab);
        let mut ended = Vec::new();
        for (at, task) in self.running.iter_mut().enumerate() {
            if shares[at] > 0
                && task.pending().is_empty()
                && let Some(row) = rows.next()
                && task.advance(row, &tokenizer)
            {
                ended.push(at);
            }
        }
        ended.into_iter().rev().for_each(|at| self.retire(at));
    }

    /// A batch failed: its generations run alone, so that only those at fault fail.
    fn step_one_by_one(&mut self, shares: &[usize]) {
        for at in (0..self.running.len()).rev() {
            if shares[at] == 0 {
                continue;
            }
            let tasks = &mut self.running[at..=at];
            match Self::forward(&mut self.context, tasks, &shares[at..=at], &mut self.logits) {
                Ok(()) => {
                    let tokenizer = std::sync::Arc::clone(&self.context.model().tokenizer);
                    let task = &mut self.running[at];
                    if task.pending().is_empty() && task.advance(&mut self.logits, &tokenizer) {
                        self.retire(at);
                    }
                }
                Err(error) if lost::is_fatal(&error) => return self.lose(&error),
                Err(error) => self.fail(at, &error),
            }
        }
    }

    fn fail(&mut self, at: usize, error: &RuntimeError) {
        self.running[at].fail(error.to_string());
        self.retire(at);
    }

    /// Takes an ended generation out; its cache stays for a request that continues it.
    fn retire(&mut self, at: usize) {
        let mut task = self.running.remove(at);
        let sequence = std::mem::take(&mut task.sequence);
        self.idle.keep(sequence, &task.tokens);
    }
}
