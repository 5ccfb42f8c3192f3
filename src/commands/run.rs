//! `turbo-wgpu run`

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context as _, Result, bail};
use rustyline::error::ReadlineError;
use turbo_runtime::{Event, FinishReason, GenerateRequest, KvTypes, RequestId, Runtime, SamplingParams};
use turbo_text::message;

use crate::cli::{RunArgs, SamplingArgs};
use crate::{device, source, ui};

/// Answers a prompt, or chats.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let sampling = sampling(&args.sampling);
    sampling.check()?;
    let model = source::open(args.model.model.as_deref())?;
    let types = KvTypes { k: args.model.ctk, v: args.model.ctv };
    let device = device::choose(&args.model.device, args.model.threads)?;
    let context = device.load(model, types, args.context.context)?;
    device.announce(&context);
    let session = Session { runtime: Runtime::start(context)?, args, sampling };
    match &args.prompt {
        Some(prompt) => session.answer_once(prompt),
        None => session.chat(),
    }
}

fn sampling(args: &SamplingArgs) -> SamplingParams {
    SamplingParams {
        temperature: args.temp,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repeat_penalty: args.repeat_penalty,
        seed: args.seed,
        ..SamplingParams::default()
    }
}

/// What an answer ended with.
struct Answer {
    text: String,
    reason: FinishReason,
    summary: String,
}

struct Session<'a> {
    runtime: Runtime,
    args: &'a RunArgs,
    sampling: SamplingParams,
}

impl Session<'_> {
    fn answer_once(&self, prompt: &str) -> Result<()> {
        let tokens = if self.args.raw {
            self.runtime.model().prompt_tokens(prompt)
        } else {
            self.runtime.model().chat_prompt(vec![message("user", prompt)])?
        };
        let (_id, events) = self.start(tokens)?;
        let answer = print_answer(&events)?;
        eprintln!("{}", answer.summary);
        Ok(())
    }

    /// Reads lines until `/bye`, keeping the conversation.
    fn chat(&self) -> Result<()> {
        let mut editor = rustyline::DefaultEditor::new().context("the terminal cannot be read")?;
        eprintln!("Type a message; Ctrl-C stops an answer, /clear forgets the conversation, /bye leaves.");
        let mut messages = Vec::new();
        let mut raw_text = String::new();
        loop {
            let line = match editor.readline(">>> ") {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    eprintln!("(/bye or Ctrl-D leaves)");
                    continue;
                }
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error).context("the terminal cannot be read"),
            };
            match line.trim() {
                "" => continue,
                "/bye" | "/exit" => return Ok(()),
                "/clear" => {
                    messages.clear();
                    raw_text.clear();
                    continue;
                }
                command if command.starts_with('/') && !command.contains(' ') => {
                    eprintln!("{command} is not a command: there are /clear and /bye");
                    continue;
                }
                _ => {}
            }
            // A history that cannot be kept is no reason to stop a chat.
            let _ = editor.add_history_entry(&line);
            if let Err(error) = self.turn(&line, &mut messages, &mut raw_text) {
                if self.runtime.stopped().is_some() {
                    return Err(error);
                }
                eprintln!("error: {}", ui::describe(&error));
            }
        }
    }

    fn turn(&self, line: &str, messages: &mut Vec<serde_json::Value>, raw_text: &mut String) -> Result<()> {
        let tokens = if self.args.raw {
            self.runtime.model().prompt_tokens(&format!("{raw_text}{line}"))
        } else {
            messages.push(message("user", line));
            self.runtime.model().chat_prompt(messages.clone())?
        };
        let started = self.start(tokens);
        let (id, events) = match started {
            Ok(started) => started,
            Err(error) => {
                messages.pop();
                return Err(error);
            }
        };
        let guard = interrupt::cancel_on_ctrl_c(self.runtime.clone(), id)?;
        let answer = print_answer(&events);
        drop(guard);
        let answer = answer?;
        if answer.reason == FinishReason::Cancelled {
            eprintln!("(stopped)");
        }
        eprintln!("{}", answer.summary);
        raw_text.push_str(line);
        raw_text.push_str(&answer.text);
        messages.push(message("assistant", &answer.text));
        Ok(())
    }

    fn start(&self, prompt: Vec<u32>) -> Result<(RequestId, Receiver<Event>)> {
        let (sender, events) = channel();
        let request = GenerateRequest {
            prompt,
            max_tokens: self.args.n_predict,
            sampling: self.sampling.clone(),
            ..GenerateRequest::default()
        };
        let id = self.runtime.generate(request, Box::new(move |event| sender.send(event).is_ok()))?;
        Ok((id, events))
    }
}

/// Prints an answer as it comes.
fn print_answer(events: &Receiver<Event>) -> Result<Answer> {
    let mut out = std::io::stdout();
    let mut text = String::new();
    let mut show = |piece: &str| {
        text.push_str(piece);
        out.write_all(piece.as_bytes()).and_then(|()| out.flush())
    };
    for event in events {
        match event {
            Event::Started { .. } => {}
            Event::Token { text, .. } => show(&text)?,
            Event::Failed { message } => bail!(message),
            Event::Finished { text: rest, reason, usage, timings } => {
                show(&rest)?;
                writeln!(std::io::stdout())?;
                let rate = |tokens: usize, ms: f64| tokens as f64 / (ms / 1e3).max(1e-9);
                let new = usage.prompt_tokens - usage.cached_tokens;
                let summary = format!(
                    "[prompt {} tokens, {} cached, {:.0} tokens/s; answer {} tokens, {:.1} tokens/s]",
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    rate(new, timings.prompt_ms),
                    usage.completion_tokens,
                    rate(usage.completion_tokens.saturating_sub(1), timings.predicted_ms),
                );
                return Ok(Answer { text, reason, summary });
            }
        }
    }
    bail!("the engine stopped in the middle of the answer")
}

/// Ctrl-C while an answer is printed.
mod interrupt {
    use anyhow::{Context as _, Result};
    use tokio::runtime::{Builder, Runtime as Tokio};
    use turbo_runtime::{RequestId, Runtime};

    /// Listens for Ctrl-C until dropped.
    pub(super) struct Guard(Option<Tokio>);

    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(tokio) = self.0.take() {
                tokio.shutdown_background();
            }
        }
    }

    /// Cancels `id` when Ctrl-C is pressed.
    pub(super) fn cancel_on_ctrl_c(runtime: Runtime, id: RequestId) -> Result<Guard> {
        let tokio = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no thread to listen for Ctrl-C")?;
        tokio.spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                runtime.cancel(id);
            }
        });
        Ok(Guard(Some(tokio)))
    }
}
