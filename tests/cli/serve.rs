//! The README's first command: `serve` with turbo4 KV finds a number in a long text, streaming and not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use turbo_testkit::shared;

use crate::program::command;

const ANSWER: &str = "The secret number of the amber falcon is 48213.";

/// A server that is stopped when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let args: Vec<&str> = ["serve", "--port", "0"].iter().chain(args).copied().collect();
        let mut child = command(&args).stderr(Stdio::piped()).spawn().expect("the command starts");
        let lines = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
        let mut address = None;
        for line in lines.map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("serving  http://") {
                address = rest.split_whitespace().next().map(str::to_owned);
                break;
            }
        }
        Self { child, address: address.expect("the server says where it listens") }
    }

    /// The body of the answer to a request; chunked bodies are put together.
    fn post(&self, path: &str, body: &Value) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        let body = body.to_string();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .expect("the request is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in UTF-8");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).expect("a chunk length");
        if length == 0 {
            break;
        }
        text.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    text
}

/// The retrieval chat of the model's card around 6,000 characters of text.
fn conversation() -> Value {
    let filler = match shared("text/pride_and_prejudice.txt") {
        Some(path) => std::fs::read_to_string(path).expect("a readable text").chars().skip(9000).take(6000).collect(),
        None => "It was a bright morning and nothing happened in the village. ".repeat(98),
    };
    let half = filler.char_indices().nth(3100).map_or(0, |(at, _)| at);
    let (before, after) = filler.split_at(half);
    let text = format!(
        "Read the text and remember the secret numbers.\n\n{before}\nThe secret number of the amber falcon is 48213.\n{after}"
    );
    json!([
        { "role": "system", "content": text },
        { "role": "user", "content": "What is the secret number of the amber falcon?" },
    ])
}

#[test]
fn turbo4_finds_the_secret_number() {
    let server = Server::start(&["--ctk", "turbo4", "--ctv", "turbo4"]);
    let mut request = json!({ "messages": conversation(), "temperature": 0 });
    let answer = server.post("/v1/chat/completions", &request);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], ANSWER, "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");

    request["stream"] = json!(true);
    let events = server.post("/v1/chat/completions", &request);
    let mut text = String::new();
    for data in events.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
        let event: Value = serde_json::from_str(data).expect("JSON in every event");
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    assert_eq!(text, ANSWER);
    assert!(events.trim_end().ends_with("data: [DONE]"), "{events}");
}
