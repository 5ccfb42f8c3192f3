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
        let device = device::choose(&args.model.device, args.model.threads)?;
        let context = device.load(model, types, args.context.context)?;
        device.announce(&context);
        let runtime = Runtime::start(context)?;
        let stopped = stop_of(&runtime);
        let address = listener.local_addr().context("the listening address is unknown")?;
        eprintln!("serving  http://{address} (OpenAI clients: base URL http://{address}/v1)");
        let end = async {
            tokio::select! {
                () = shutdown() => {}
                () = stopped => {}
            }
        };
        let state = AppState::new(Arc::new(runtime.clone()));
        turbo_server::serve(listener, state, end).await.context("the server failed")?;
        // Those whose answers it broke off were told; nobody is served any more.
        match runtime.stopped() {
            None => Ok(()),
            Some(reason) => {
                // A driver that hangs would keep us.
                std::mem::forget(device);
                bail!("the engine has stopped: {reason}")
            }
        }
    })
}

/// Ready when the engine of `runtime` stops by itself.
fn stop_of(runtime: &Runtime) -> impl Future<Output = ()> + Send + use<> {
    let (tell, told) = tokio::sync::oneshot::channel();
    runtime.on_stop(move |_| {
        // The server may have ended before.
        let _ = tell.send(());
    });
    async {
        // Without a sender the runtime is gone, and the server with it.
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
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
