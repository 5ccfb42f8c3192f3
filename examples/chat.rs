//! The library in 30 lines: open a model, ask it something, print the answer as it comes.
//!
//! `cargo run --release --example chat -- MODEL.gguf "What is the secret number of the amber falcon?"`

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;
use std::io::Write;
use std::sync::{Arc, mpsc};

use turbo_wgpu::quant::KvType;
use turbo_wgpu::runtime::{Context, ContextOptions, Event, GenerateRequest, KvTypes, Model, Runtime};
use turbo_wgpu::{cpu::CpuBackend, text};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(question)) = (args.next(), args.next()) else {
        return Err("usage: chat MODEL.gguf QUESTION".into());
    };
    let model = Arc::new(Model::open(path.as_ref())?);
    let prompt = model.chat_prompt(vec![text::message("user", &question)])?;
    let types = KvTypes { k: KvType::Turbo4, v: KvType::Turbo4 };
    let options = ContextOptions { types, tokens: Some(prompt.len() + 256) };
    let context = Context::new(model, &CpuBackend::new(None), options, &mut |_, _| {})?;
    let runtime = Runtime::start(context)?;
    let (sender, events) = mpsc::channel();
    let request = GenerateRequest { prompt, ..GenerateRequest::default() };
    runtime.generate(request, Box::new(move |event| sender.send(event).is_ok()))?;
    for event in events {
        match event {
            Event::Started { .. } => {}
            Event::Token { text, .. } => print!("{text}"),
            Event::Finished { text, usage, .. } => println!("{text}\n[{} tokens]", usage.completion_tokens),
            Event::Failed { message } => return Err(message.into()),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
