//! The engine thread: batches the tokens of all running generations, step by step.

mod flight;
mod idle;
mod lost;
mod task;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError};

use turbo_backend::{Results, chosen_at};

use crate::context::{Context, SequenceInput};
use crate::error::RuntimeError;
use crate::request::{EventSink, FinishReason, GenerateRequest, RequestId};
use crate::status::Status;
use flight::Flight;
use idle::IdleSequences;
use task::{Next, Task};

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
    /// Batches that were submitted and not collected, the oldest first.
    flights: VecDeque<Flight>,
    /// Most of them: a device that chooses tokens itself has the next batch while the host looks at the last one.
    ahead: usize,
    /// Places for chosen tokens that no generation has.
    places: Vec<u32>,
    results: Results,
    status: std::sync::Arc<Status>,
    /// Why the device can do nothing more.
    lost: Option<String>,
}

impl Scheduler {
    pub(crate) fn new(
        mut context: Context,
        commands: Receiver<Command>,
        max_running: usize,
        status: std::sync::Arc<Status>,
    ) -> Self {
        let places: Vec<u32> = (0..context.choice_places() as u32).rev().collect();
        Self {
            context,
            commands,
            max_running,
            waiting: VecDeque::new(),
            running: Vec::new(),
            idle: IdleSequences::default(),
            flights: VecDeque::new(),
            ahead: if places.is_empty() { 1 } else { 2 },
            places,
            results: Results::default(),
            status,
            lost: None,
        }
    }

    /// Works until all handles are gone and all generations are finished; on a device that is lost, refuses them.
    pub(crate) fn run(mut self) {
        while self.take_commands() {
            self.admit();
            let submitted = self.flights.len() < self.ahead && self.submit();
            if self.flights.len() == self.ahead || !submitted {
                self.collect();
            }
            if let Some(message) = self.lost.take() {
                return self.refuse(&message);
            }
        }
    }

    /// Takes all commands there are, waiting for one if there is nothing to do. `false`: the end.
    fn take_commands(&mut self) -> bool {
        loop {
            let nothing_to_do = self.running.is_empty() && self.waiting.is_empty() && self.flights.is_empty();
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
                task.place = self.places.pop();
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
            let tokens = |task: &Task| match task.next() {
                Next::Tokens(n) => n,
                Next::Chosen => 1,
                Next::Wait => 0,
            };
            let needed: usize = self.running.iter().map(|t| self.context.blocks_needed(&t.sequence, tokens(t))).sum();
            self.idle.free_blocks(&mut self.context, needed);
            if needed <= self.context.free_blocks() || self.running.len() <= 1 {
                return;
            }
            if !self.flights.is_empty() {
                // What goes back to waiting must know all its tokens.
                self.collect();
            } else if let Some(mut task) = self.running.pop() {
                self.context.truncate(&mut task.sequence, 0);
                self.places.extend(task.place.take());
                self.waiting.push_front(task);
            }
        }
    }

    /// Starts the next batch. `false` if there is nothing to put into it before the last one is collected.
    fn submit(&mut self) -> bool {
        self.make_room();
        let shares = self.shares();
        if shares.iter().all(|&share| share == 0) {
            return false;
        }
        let (flight, submitted) = Self::submit_tasks(&mut self.context, &mut self.running, &shares);
        match submitted {
            Ok(()) => self.flights.push_back(flight),
            Err(error) => self.recover(flight, &error),
        }
        true
    }

    /// How many tokens each running generation may put into the next batch: one for those that generate, the rest
    /// for prompts, first come first served.
    fn shares(&self) -> Vec<usize> {
        let mut left = self.context.max_batch_tokens();
        let single = |task: &Task| matches!(task.next(), Next::Chosen | Next::Tokens(1));
        left = left.saturating_sub(self.running.iter().filter(|t| single(t)).count());
        let share = |task: &Task| match task.next() {
            Next::Chosen | Next::Tokens(1) => 1,
            Next::Wait => 0,
            Next::Tokens(n) => {
                let share = n.min(left);
                left -= share;
                share
            }
        };
        self.running.iter().map(share).collect()
    }

    /// Submits a batch with `shares` tokens of every one of `tasks`.
    fn submit_tasks(context: &mut Context, tasks: &mut [Task], shares: &[usize]) -> (Flight, Result<(), RuntimeError>) {
        let mut flight = Flight::default();
        let places: Vec<[u32; 1]> = tasks.iter().map(|task| [chosen_at(task.place.unwrap_or(0))]).collect();
        let mut inputs = Vec::with_capacity(tasks.len());
        for ((task, &share), place) in tasks.iter_mut().zip(shares).zip(&places) {
            if share == 0 {
                continue;
            }
            let before = task.sequence.len();
            let chosen = task.next() == Next::Chosen;
            let logits = task.logits_after(share);
            flight.add(task.id, before, share, &logits);
            let tokens = if chosen { place } else { &task.tokens[before..before + share] };
            inputs.push(SequenceInput { tokens, sequence: &mut task.sequence, logits });
        }
        let submitted = context.submit(&mut inputs);
        (flight, submitted)
    }

    /// Waits for the oldest batch, and gives every generation its logits or its token.
    fn collect(&mut self) {
        let Some(flight) = self.flights.pop_front() else { return };
        match self.context.collect(&mut self.results) {
            Ok(()) => self.advance(&flight),
            Err(error) => self.recover(flight, &error),
        }
    }

    fn advance(&mut self, flight: &Flight) {
        let tokenizer = std::sync::Arc::clone(&self.context.model().tokenizer);
        let n_vocab = self.context.model().plan.n_vocab;
        let mut results = std::mem::take(&mut self.results);
        let mut rows = results.logits.chunks_exact_mut(n_vocab);
        let mut chosen = results.chosen.iter();
        for part in &flight.parts {
            let row = if part.logits { rows.next() } else { None };
            let token = if part.choice { chosen.next() } else { None };
            // Those that have ended since are gone.
            let Some(at) = self.running.iter().position(|task| task.id == part.id) else { continue };
            let task = &mut self.running[at];
            let ended = match (row, token) {
                (Some(row), _) => task.choose_from(row, &tokenizer),
                (_, Some(&token)) => task.take_chosen(token, &tokenizer),
                _ => false,
            };
            if ended {
                self.retire(at);
            }
        }
        self.results = results;
    }

    /// A batch failed: its generations run alone, so that only those at fault fail. What was submitted after it is
    /// forgotten.
    fn recover(&mut self, failed: Flight, error: &RuntimeError) {
        if lost::is_fatal(error) {
            return self.lose(error);
        }
        let mut flights = vec![failed];
        while let Some(later) = self.flights.pop_front() {
            // It ran on what the failed batch left.
            let _ = self.context.collect(&mut self.results);
            flights.push(later);
        }
        // Each goes back to where it was before the first of them.
        for part in flights.iter().rev().flat_map(|flight| &flight.parts) {
            if let Some(task) = self.running.iter_mut().find(|task| task.id == part.id) {
                self.context.truncate(&mut task.sequence, part.before);
                task.forget_choices();
            }
        }
        let parts = std::mem::take(&mut flights[0].parts);
        let alone = parts.len() == 1;
        for part in parts {
            let Some(at) = self.running.iter().position(|task| task.id == part.id) else { continue };
            if alone {
                self.fail(at, error);
                continue;
            }
            let (flight, submitted) = Self::submit_tasks(&mut self.context, &mut self.running[at..=at], &[part.tokens]);
            let collected = submitted.and_then(|()| self.context.collect(&mut self.results));
            match collected {
                Ok(()) => self.advance(&flight),
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
        let mut sequence = std::mem::take(&mut task.sequence);
        // The device may be ahead of the end.
        self.context.truncate(&mut sequence, task.tokens.len());
        self.places.extend(task.place);
        self.idle.keep(sequence, &task.tokens);
    }
}
