//! The listener, and a shutdown that lets answers finish.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::app::router;
use crate::state::{AppState, Phase};

/// Time that ended streams get to tell their clients.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Serves until `shutdown` is ready, then takes no new connection or generation, lets those under way finish within the drain
/// limit of `state`, and ends the rest with an error.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let signal = {
        let state = state.clone();
        async move {
            shutdown.await;
            tracing::info!("shutting down: letting generations under way finish");
            state.enter(Phase::Draining);
        }
    };
    let app = router(state.clone());
    let server = axum::serve(listener, app).with_graceful_shutdown(signal).into_future();
    tokio::pin!(server);
    let mut phase = state.watch_phase();
    let deadline = async {
        // The sender lives in `state`, so this ends only by the phase.
        _ = phase.wait_for(|phase| *phase != Phase::Running).await;
        tokio::time::sleep(state.drain_limit()).await;
    };
    tokio::select! {
        result = &mut server => return result,
        () = deadline => {}
    }
    tracing::warn!("drain limit of {} s is over: ending what is still under way", state.drain_limit().as_secs_f64());
    state.enter(Phase::Closing);
    // Connections that do not end by themselves are left to the end of the process.
    tokio::time::timeout(CLOSING_TIME, server).await.unwrap_or(Ok(()))
}
