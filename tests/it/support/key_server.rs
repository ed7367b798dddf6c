//! A server that publishes keys, as Entra does, and counts who asks for them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Answers by path; what has no answer is 404.
pub struct KeyServer {
    pub url: String,
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    gate: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    answers: HashMap<String, (u16, String)>,
    asked: Vec<String>,
    stopped: bool,
}

impl KeyServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let gate: Arc<Mutex<()>> = Arc::default();
        let (serving, passing) = (Arc::clone(&shared), Arc::clone(&gate));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.lock().expect("not poisoned").stopped {
                    return;
                }
                answer(stream.expect("a connection"), &serving, &passing);
            }
        });
        Self { url: format!("http://{address}"), address, shared, gate, thread: Some(thread) }
    }

    /// What is answered at that path from now on.
    pub fn set(&self, path: &str, status: u16, body: impl ToString) {
        let mut shared = self.shared.lock().expect("not poisoned");
        shared.answers.insert(path.to_owned(), (status, body.to_string()));
    }

    /// Nobody is answered until this is dropped.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().expect("not poisoned")
    }

    /// How often anybody has asked for anything.
    pub fn asked(&self) -> usize {
        self.shared.lock().expect("not poisoned").asked.len()
    }
}

fn answer(stream: TcpStream, shared: &Mutex<Shared>, gate: &Mutex<()>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    for line in lines {
        if line.is_empty() {
            break;
        }
    }
    let (status, body) = {
        let mut shared = shared.lock().expect("not poisoned");
        shared.asked.push(path.clone());
        shared.answers.get(&path).cloned().unwrap_or((404, "{}".into()))
    };
    drop(gate.lock().expect("not poisoned"));
    let location = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
    let length = body.len();
    let _ = write!(
        &stream,
        "HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.shared.lock().expect("not poisoned").stopped = true;
        // The server waits for a connection; this is its last.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
