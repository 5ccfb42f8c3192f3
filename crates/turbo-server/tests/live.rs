//! The server on a real port: streaming, clients that leave, shutdown.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{FakeEngine, Script};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turbo_server::{AppState, Engine, serve};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn start(engine: &Arc<FakeEngine>, drain_limit: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let state = AppState::with_drain_limit(Arc::clone(engine) as Arc<dyn Engine>, drain_limit);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, state, async { _ = stopped.await }));
    Server { address, stop, task }
}

async fn ask(address: SocketAddr, stream: bool) -> BufReader<TcpStream> {
    let body = format!(r#"{{"prompt": "Once", "stream": {stream}}}"#);
    let mut connection = TcpStream::connect(address).await.expect("connects");
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.expect("sends");
    BufReader::new(connection)
}

/// Reads lines up to one that contains `text`.
async fn read_until(connection: &mut BufReader<TcpStream>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let length = connection.read_line(&mut line).await.expect("reads");
        assert!(length > 0, "the connection ended before {text:?}");
    }
}

async fn wait_for_cancel(engine: &FakeEngine) {
    let start = Instant::now();
    while engine.cancelled.lock().expect("lock").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(5), "the generation was not cancelled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stream_arrives_piece_by_piece_and_ends_when_the_client_leaves() {
    let engine = FakeEngine::new(Script::Forever);
    let server = start(&engine, Duration::from_secs(5)).await;
    let mut connection = ask(server.address, true).await;
    read_until(&mut connection, "HTTP/1.1 200 OK").await;
    for _ in 0..3 {
        read_until(&mut connection, "\"text\":\"word \"").await;
    }
    assert!(engine.cancelled.lock().expect("lock").is_empty());
    drop(connection);
    wait_for_cancel(&engine).await;
    server.stop.send(()).expect("still serving");
    server.task.await.expect("no panic").expect("ends well");
}

#[tokio::test]
async fn a_client_that_leaves_while_waiting_cancels_too() {
    let engine = FakeEngine::new(Script::Forever);
    let server = start(&engine, Duration::from_secs(5)).await;
    let connection = ask(server.address, false).await;
    while engine.requests.lock().expect("lock").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(connection);
    wait_for_cancel(&engine).await;
    drop(server);
}

#[tokio::test]
async fn shutdown_lets_an_answer_finish() {
    let engine = FakeEngine::saying(&["Hello", ", ", "world"]);
    let server = start(&engine, Duration::from_secs(5)).await;
    let mut connection = ask(server.address, true).await;
    read_until(&mut connection, "Hello").await;
    server.stop.send(()).expect("still serving");
    read_until(&mut connection, "[DONE]").await;
    drop(connection);
    server.task.await.expect("no panic").expect("ends well");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn after_the_drain_limit_streams_end_with_an_error() {
    let engine = FakeEngine::new(Script::Forever);
    let server = start(&engine, Duration::from_millis(50)).await;
    let mut connection = ask(server.address, true).await;
    read_until(&mut connection, "word ").await;
    server.stop.send(()).expect("still serving");
    let mut rest = String::new();
    connection.read_to_string(&mut rest).await.expect("the connection is closed in order");
    assert!(rest.contains("the server is shutting down"), "{rest}");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    wait_for_cancel(&engine).await;
    server.task.await.expect("no panic").expect("ends well");
}
