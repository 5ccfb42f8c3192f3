//! `turbo-wgpu serve`

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use turbo_runtime::{KvTypes, Runtime};
use turbo_server::AppState;

use crate::cli::ServeArgs;
use crate::{device, source};

/// Serves a model until Ctrl-C or SIGTERM.
pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    tokio.block_on(async {
        // The port first: whoever has it will not be kept waiting while a large model loads.
        let listener = listen(&args.host, args.port).await?;
        let model = source::open(args.model.model.as_deref())?;
        let types = KvTypes { k: args.model.ctk, v: args.model.ctv };
        let context = device::load(model, &args.model, types, args.context.context)?;
        device::announce(&context, &args.model.device);
        let runtime = Runtime::start(context)?;
        let address = listener.local_addr().context("the listening address is unknown")?;
        eprintln!("serving  http://{address} (OpenAI clients: base URL http://{address}/v1)");
        turbo_server::serve(listener, AppState::new(Arc::new(runtime)), shutdown()).await.context("the server failed")
    })
}

async fn listen(host: &str, port: u16) -> Result<TcpListener> {
    match TcpListener::bind((host, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} of {host} is in use by another program: stop that one, or choose another with --port")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {host}, port {port}")),
    }
}

/// Ready when the process is asked to end.
async fn shutdown() {
    let interrupt = async {
        // Without a handler there is only the system's default: an abrupt end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    eprintln!("stopping: answers under way may finish");
}
