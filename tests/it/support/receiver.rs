//! A receiver of webhooks: it keeps every request, and answers as it is told.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// How long a test waits for deliveries.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Counted from zero, over all requests.
    pub number: usize,
    /// Names are lower-case.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// What it was answered; zero for a connection that was closed instead.
    pub status: u16,
}

impl Delivery {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// How the body begins.
    fn start(&self) -> String {
        self.body.chars().take(120).collect()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    pub fn event(&self) -> String {
        self.json()["event"].as_str().expect("a name").to_owned()
    }

    /// The member of the user that the event is about.
    pub fn user_name(&self) -> String {
        self.json()["data"]["username"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}"))
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Zero closes the connection.
    pub status: u16,
    pub delay: Duration,
    pub headers: &'static str,
    pub body: String,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, delay: Duration::ZERO, headers: "", body: String::new() }
    }

    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

type Answer = Box<dyn FnMut(&Delivery) -> Reply + Send>;

struct Shared {
    answer: Mutex<Answer>,
    kept: Mutex<Kept>,
    news: Condvar,
}

#[derive(Default)]
struct Kept {
    /// Requests that came, answered or not.
    arrived: usize,
    deliveries: Vec<Delivery>,
    connections: Vec<TcpStream>,
    stopped: bool,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("not poisoned")
    }
}

pub struct Receiver {
    pub url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Accepts everything until it is told otherwise.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer: Mutex::new(Box::new(|_| Reply::status(204))),
            kept: Mutex::default(),
            news: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut kept = serving.kept();
                if kept.stopped {
                    return;
                }
                kept.connections.push(stream.try_clone().expect("a connection"));
                drop(kept);
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { url: format!("http://{address}/hooks"), address, shared, thread: Some(thread) }
    }

    /// What is answered from now on.
    pub fn answer(&self, answer: impl FnMut(&Delivery) -> Reply + Send + 'static) {
        *self.shared.answer.lock().expect("not poisoned") = Box::new(answer);
    }

    /// Everything that came, in its order.
    pub fn all(&self) -> Vec<Delivery> {
        self.shared.kept().deliveries.clone()
    }

    /// What was accepted, in its order.
    pub fn accepted(&self) -> Vec<Delivery> {
        self.all().into_iter().filter(is_accepted).collect()
    }

    /// Waits until so many were accepted, and gives them.
    #[track_caller]
    pub fn wait_accepted(&self, number: usize) -> Vec<Delivery> {
        self.wait(|kept| kept.iter().filter(|delivery| is_accepted(delivery)).count() >= number);
        self.accepted()
    }

    /// Waits until so many came, whatever became of them, and gives them.
    #[track_caller]
    pub fn wait_all(&self, number: usize) -> Vec<Delivery> {
        self.wait(|kept| kept.len() >= number);
        self.all()
    }

    #[track_caller]
    fn wait(&self, is_so: impl Fn(&[Delivery]) -> bool) {
        let kept = self.shared.kept();
        let waited = self
            .shared
            .news
            .wait_timeout_while(kept, PATIENCE, |kept| !is_so(&kept.deliveries))
            .expect("not poisoned");
        let came: Vec<(u16, String)> =
            waited.0.deliveries.iter().map(|d| (d.status, d.start())).collect();
        let timed_out = waited.1.timed_out();
        drop(waited);
        assert!(!timed_out, "{} came: {came:?}", came.len());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        {
            let mut kept = self.shared.kept();
            kept.stopped = true;
            for connection in &kept.connections {
                let _ = connection.shutdown(std::net::Shutdown::Both);
            }
        }
        // The thread waits for a connection; this is its last.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_accepted(delivery: &Delivery) -> bool {
    (200..300).contains(&delivery.status)
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().expect("a connection"));
    while let Some((headers, body)) = request(&mut reader) {
        // The answer is decided in the order in which requests came, by one thread at a time.
        let (mut delivery, reply) = {
            let mut answer = shared.answer.lock().expect("not poisoned");
            let number = {
                let mut kept = shared.kept();
                kept.arrived += 1;
                kept.arrived - 1
            };
            let delivery = Delivery { number, headers, body, status: 0 };
            let reply = answer(&delivery);
            (delivery, reply)
        };
        delivery.status = reply.status;
        std::thread::sleep(reply.delay);
        shared.kept().deliveries.push(delivery);
        shared.news.notify_all();
        if reply.status == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        let (status, headers, body) = (reply.status, reply.headers, &reply.body);
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n");
        let answered = (&stream).write_all(format!("{head}{body}").as_bytes());
        if answered.is_err() {
            return;
        }
    }
}

fn request(reader: &mut impl BufRead) -> Option<(HashMap<String, String>, String)> {
    let mut headers = HashMap::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            None => break,
        }
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}
