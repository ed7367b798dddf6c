//! A source over HTTP that answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

/// What a source answers.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    /// Lines, each with its end.
    pub headers: String,
    pub body: String,
    /// The connection breaks off before the end of the body.
    pub cut: bool,
}

impl Told {
    pub fn json(body: &Value) -> Self {
        Self { status: 200, headers: String::new(), body: body.to_string(), cut: false }
    }

    pub fn status(status: u16, headers: &str, body: &str) -> Self {
        Self { status, headers: headers.to_owned(), body: body.to_owned(), cut: false }
    }

    pub fn cut(self) -> Self {
        Self { cut: true, ..self }
    }
}

type Script = Box<dyn FnMut(&str) -> Told + Send>;

/// A running source. Every request is one connection.
pub struct FakeSource {
    pub url: String,
    script: Arc<Mutex<Script>>,
    /// Paths with queries, in the order in which they came.
    asked: Arc<Mutex<Vec<String>>>,
    address: std::net::SocketAddr,
    stopped: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeSource {
    pub fn start(script: impl FnMut(&str) -> Told + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (asked, stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let shared = (Arc::clone(&script), Arc::clone(&asked), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || {
            let (script, asked, stopped) = shared;
            for stream in listener.incoming().map_while(Result::ok) {
                if *stopped.lock().expect("not poisoned") {
                    return;
                }
                // Who goes away before the answer is of no interest.
                let _ = serve(stream, &script, &asked);
            }
        });
        let url = format!("http://{address}");
        Self { url, script, asked, address, stopped, thread: Some(thread) }
    }

    pub fn answer(&self, script: impl FnMut(&str) -> Told + Send + 'static) {
        *self.script.lock().expect("not poisoned") = Box::new(script);
    }

    /// What was asked for since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("not poisoned"))
    }
}

impl Drop for FakeSource {
    fn drop(&mut self) {
        *self.stopped.lock().expect("not poisoned") = true;
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    script: &Mutex<Script>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    asked.lock().expect("not poisoned").push(path.clone());
    let told = (script.lock().expect("not poisoned"))(&path);
    let length = told.body.len() + usize::from(told.cut) * 100;
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {} Told\r\nContent-Type: application/scim+json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{}\r\n{}",
        told.status, told.headers, told.body
    )?;
    stream.flush()
}
