//! The turbo-wgpu command.

mod cli;
mod commands;
mod device;
mod gpu;
mod source;
mod ui;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(cli::normalise(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own exit status for a wrong flag is 2; every refusal of this program is 1.
            let failed = error.use_stderr();
            let _ = error.print();
            return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    ui::init_logging();
    let result = match cli.command {
        Command::Serve(args) => commands::serve::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Perplexity(args) => commands::perplexity::run(&args),
        Command::Logits(args) => commands::logits::run(&args),
        Command::Tokenize(args) => commands::tokenize::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Parity(args) => commands::parity::run(&args),
        Command::BenchKernels(args) => commands::bench_kernels::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if ui::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ui::describe(&error));
            ExitCode::FAILURE
        }
    }
}
