//! A source over HTTP with data that a test changes and faults that it scripts. The fakes of vendors are a
//! handler each; what goes wrong on the way is the same for all and stands here.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// The parts of the path, decoded.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    /// Names are lower-case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    /// The parts of the path, to be matched with a slice pattern.
    pub fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// A parameter of the query; empty without it.
    pub fn param(&self, name: &str) -> &str {
        value_of(&self.query, name)
    }

    /// A header by its lower-case name; empty without it.
    pub fn header(&self, name: &str) -> &str {
        value_of(&self.headers, name)
    }

    /// The fields of a form.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn value_of<'v>(pairs: &'v [(String, String)], name: &str) -> &'v str {
    let found = pairs.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// What is answered, and how it goes over the wire.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: u16,
    /// A name may stand there several times.
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub wire: Wire,
    /// What it waits for.
    pub gate: Option<Gate>,
}

/// Keeps answers back until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        let (is_open, opened) = &*self.0;
        *is_open.lock().expect("not poisoned") = true;
        opened.notify_all();
    }

    fn pass(&self) {
        let (is_open, opened) = &*self.0;
        let is_open = is_open.lock().expect("not poisoned");
        drop(opened.wait_while(is_open, |is_open| !*is_open).expect("not poisoned"));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Whole,
    /// The connection breaks off after half of the body.
    Cut,
    /// So many bytes of the body at a time, with a pause behind each.
    Drip(usize, Duration),
    /// The connection is closed without an answer.
    Closed,
}

impl Said {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers =
            vec![("Content-Type".to_owned(), "application/json; charset=UTF-8".to_owned())];
        Self { status, headers, body: body.to_string(), wire: Wire::Whole, gate: None }
    }

    /// Answered when the gate is open; other requests do not wait for it.
    pub fn behind(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

type Change = Box<dyn FnMut(&Asked, Said) -> Said + Send>;

/// Something that goes wrong with requests whose target (path and query) contains a text.
pub struct Fault {
    about: String,
    /// So many of them are left alone first.
    passed: usize,
    left: usize,
    change: Change,
}

impl Fault {
    /// Something of one's own: the true answer becomes another.
    pub fn new(about: &str, change: impl FnMut(&Asked, Said) -> Said + Send + 'static) -> Self {
        Self { about: about.to_owned(), passed: 0, left: usize::MAX, change: Box::new(change) }
    }

    /// So many requests get the true answer first: `after(2)` begins with the third page.
    pub fn after(self, passed: usize) -> Self {
        Self { passed, ..self }
    }

    /// So often and no more.
    pub fn times(self, left: usize) -> Self {
        Self { left, ..self }
    }

    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Another answer. A token that has expired is a 401 in the vendor's words, once.
    pub fn instead(about: &str, said: Said) -> Self {
        Self::new(about, move |_, _| said.clone())
    }

    /// 429 with `Retry-After` in seconds.
    pub fn busy(about: &str, seconds: u32, body: &Value) -> Self {
        Self::instead(about, Said::json(429, body).with("Retry-After", seconds))
    }

    /// 429 with `Retry-After` as a time, which is meant by the clock of the source.
    pub fn busy_until(about: &str, seconds: u32, body: &Value) -> Self {
        assert!(seconds < 60, "a minute has no more");
        let at = |second: u32| format!("Sat, 21 Nov 2026 20:00:{second:02} GMT");
        let said = Said::json(429, body).with("Date", at(0)).with("Retry-After", at(seconds));
        Self::instead(about, said)
    }

    /// The body is changed where it is JSON.
    pub fn json(about: &str, mut change: impl FnMut(&mut Value) + Send + 'static) -> Self {
        Self::new(about, move |_, mut said| {
            if let Ok(mut body) = serde_json::from_str(&said.body) {
                change(&mut body);
                said.body = body.to_string();
            }
            said
        })
    }

    /// The rows of the list in that member of the body are changed; an empty name means that the body is
    /// the list. Rows that come twice, none, or fewer because a permission was lost.
    pub fn rows(
        about: &str,
        member: &'static str,
        mut change: impl FnMut(&mut Vec<Value>) + Send + 'static,
    ) -> Self {
        Self::json(about, move |body| {
            let list = if member.is_empty() { Some(body) } else { body.get_mut(member) };
            if let Some(Value::Array(rows)) = list {
                change(rows);
            }
        })
    }

    /// A text of headers and body is another: a link leads to another host.
    pub fn replaced(about: &str, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self::new(about, move |_, mut said| {
            for (_, value) in &mut said.headers {
                *value = value.replace(&from, &to);
            }
            said.body = said.body.replace(&from, &to);
            said
        })
    }

    /// The same answer again and again: a cursor that does not advance.
    pub fn stuck(about: &str) -> Self {
        let mut first: Option<Said> = None;
        Self::new(about, move |_, said| first.get_or_insert(said).clone())
    }

    /// The JSON ends in the middle, and the length says that this is all.
    pub fn truncated(about: &str) -> Self {
        Self::new(about, |_, mut said| {
            said.body = half(&said.body).to_owned();
            said
        })
    }

    /// The connection breaks off in the middle of the body.
    pub fn cut(about: &str) -> Self {
        Self::new(about, |_, said| Said { wire: Wire::Cut, ..said })
    }

    /// The connection is closed without an answer.
    pub fn closed(about: &str) -> Self {
        Self::new(about, |_, said| Said { wire: Wire::Closed, ..said })
    }

    /// A byte at a time with a pause behind each.
    pub fn drip(about: &str, pause: Duration) -> Self {
        Self::new(about, move |_, said| Said { wire: Wire::Drip(1, pause), ..said })
    }

    /// Whether it is this one's turn.
    fn takes(&mut self, asked: &Asked) -> bool {
        if self.left == 0 || !asked.target.contains(&self.about) {
            return false;
        }
        if self.passed > 0 {
            self.passed -= 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

fn half(text: &str) -> &str {
    let middle = text.len() / 2;
    let end = (0..=middle).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

type Handler<D> = Box<dyn FnMut(&mut D, &Asked) -> Said + Send>;

struct Shared<D> {
    /// Requests are answered one at a time: data, handler and faults belong together.
    inner: Mutex<Inner<D>>,
    net: Mutex<Net>,
}

struct Inner<D> {
    data: D,
    handler: Handler<D>,
    faults: Vec<Fault>,
    asked: Vec<Asked>,
}

#[derive(Default)]
struct Net {
    stopped: bool,
    connections: Vec<TcpStream>,
}

/// A running source with data `D`.
pub struct Fake<D> {
    /// `http://127.0.0.1:port`, without a path.
    pub url: String,
    address: SocketAddr,
    shared: Arc<Shared<D>>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Send + 'static> Fake<D> {
    /// `data` is made with the address of the source.
    pub fn start(
        data: impl FnOnce(&str) -> D,
        handler: impl FnMut(&mut D, &Asked) -> Said + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}");
        let handler: Handler<D> = Box::new(handler);
        let inner = Inner { data: data(&url), handler, faults: Vec::new(), asked: Vec::new() };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), net: Mutex::default() });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut net = serving.net.lock().expect("not poisoned");
                if net.stopped {
                    return;
                }
                net.connections.push(stream.try_clone().expect("a connection"));
                drop(net);
                let shared = Arc::clone(&serving);
                // Who goes away before the answer is of no interest.
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { url, address, shared, thread: Some(thread) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<D>> {
        self.shared.inner.lock().expect("not poisoned")
    }

    /// Looks at the data or changes it, between two requests.
    pub fn data<T>(&self, with: impl FnOnce(&mut D) -> T) -> T {
        with(&mut self.inner().data)
    }

    /// Adds a fault. Several may meet; the first one that was added comes first.
    pub fn fault(&self, fault: Fault) {
        self.inner().faults.push(fault);
    }

    /// From now on everything is well.
    pub fn heal(&self) {
        self.inner().faults.clear();
    }

    /// What was asked for since the last look.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inner().asked)
    }
}

impl<D> Drop for Fake<D> {
    fn drop(&mut self) {
        {
            let mut net = self.shared.net.lock().expect("not poisoned");
            net.stopped = true;
            for connection in &net.connections {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        // The thread waits for a connection; this is its last.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers the requests of one connection.
fn serve<D>(stream: &TcpStream, shared: &Shared<D>) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = request(&mut reader) {
        let said = {
            let mut inner = shared.inner.lock().expect("not poisoned");
            let Inner { data, handler, faults, asked: log } = &mut *inner;
            let mut said = handler(data, &asked);
            for fault in faults {
                if fault.takes(&asked) {
                    said = (fault.change)(&asked, said);
                }
            }
            log.push(asked);
            said
        };
        said.gate.iter().for_each(Gate::pass);
        let goes_on = written(stream, &said).unwrap_or(false);
        if !goes_on {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Whether the connection can be used again.
fn written(mut stream: &TcpStream, said: &Said) -> std::io::Result<bool> {
    if said.wire == Wire::Closed {
        return Ok(false);
    }
    let headers: String =
        said.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 {} Said\r\n{headers}Content-Length: {}\r\n\r\n",
        said.status,
        said.body.len()
    );
    match said.wire {
        Wire::Cut => {
            stream.write_all(format!("{head}{}", half(&said.body)).as_bytes())?;
            return Ok(false);
        }
        Wire::Drip(bytes, pause) => {
            stream.write_all(head.as_bytes())?;
            for piece in said.body.as_bytes().chunks(bytes.max(1)) {
                stream.write_all(piece)?;
                std::thread::sleep(pause);
            }
        }
        _ => stream.write_all(format!("{head}{}", said.body).as_bytes())?,
    }
    Ok(true)
}

/// A request, unless the connection has ended.
fn request(reader: &mut impl BufRead) -> Option<Asked> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        match line.split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => break,
        }
    }
    let length = value_of(&headers, "content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let path = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Asked { method, path, query, target, headers, body })
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ureq::Agent;

    use super::*;

    /// Lists two rows and a link to the next page, which the data counts.
    fn fake() -> Fake<u32> {
        Fake::start(
            |_| 0,
            |pages, asked| match (asked.method.as_str(), &asked.parts()[..]) {
                ("GET", ["list", name]) => {
                    *pages += 1;
                    let next = format!("http://here/list?page={pages}&of={name}");
                    let body = json!({"rows": [1, 2], "page": *pages, "next": next});
                    Said::json(200, &body).with("Link", next)
                }
                ("POST", _) => {
                    Said::json(200, &json!({"form": asked.form(), "json": asked.json()}))
                }
                _ => Said::json(404, &json!({"error": asked.param("q")})),
            },
        )
    }

    fn agent() -> Agent {
        Agent::config_builder().http_status_as_error(false).build().into()
    }

    fn get(fake: &Fake<u32>, target: &str) -> Result<(u16, String), ureq::Error> {
        let mut response = agent().get(format!("{}{target}", fake.url)).call()?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    fn body(fake: &Fake<u32>, target: &str) -> Value {
        let (_, body) = get(fake, target).expect("an answer");
        serde_json::from_str(&body).expect("JSON")
    }

    #[test]
    fn requests_are_understood_and_kept() {
        let fake = fake();
        let agent = agent();
        for (page, name) in [(1, "a%20b"), (2, "c%2Fd")] {
            let mut answer =
                agent.get(format!("{}/list/{name}?q=x+y", fake.url)).call().expect("200");
            let body = answer.body_mut().read_to_string().expect("a body");
            assert!(body.contains(&format!("\"page\":{page}")), "{body}");
        }
        let form = agent.post(format!("{}/t", fake.url)).send_form([("a", "b c")]).expect("200");
        assert!(form.into_body().read_to_string().expect("a body").contains(r#"["a","b c"]"#));
        assert_eq!(
            get(&fake, "/?q=%C3%A9").expect("404"),
            (404, json!({"error": "é"}).to_string())
        );
        let asked = fake.asked();
        let paths: Vec<Vec<&str>> = asked.iter().map(Asked::parts).collect();
        assert_eq!(paths, [vec!["list", "a b"], vec!["list", "c/d"], vec!["t"], vec![]]);
        assert_eq!((asked[0].param("q"), asked[0].param("r")), ("x y", ""));
        assert!(asked[0].header("host").starts_with("127.0.0.1:"));
        assert!(fake.asked().is_empty());
        assert_eq!(fake.data(|pages| *pages), 2);
    }

    #[test]
    fn faults_come_when_they_are_due() {
        let fake = fake();
        let error = json!({"error": "busy"});
        fake.fault(Fault::busy("/list/", 3, &error).after(1).once());
        let statuses: Vec<u16> =
            (0..3).map(|_| get(&fake, "/list/a").expect("an answer").0).collect();
        assert_eq!(statuses, [200, 429, 200]);
        fake.fault(Fault::busy_until("/list/", 5, &error));
        let answer = agent().get(format!("{}/list/a", fake.url)).call().expect("429");
        assert_eq!(answer.headers()["retry-after"], "Sat, 21 Nov 2026 20:00:05 GMT");
        fake.heal();
        assert_eq!(get(&fake, "/list/a").expect("200").0, 200);
    }

    #[test]
    fn answer_waits_for_its_gate_and_others_do_not() {
        let (fake, gate) = (fake(), Gate::default());
        let behind = gate.clone();
        fake.fault(Fault::new("/list/held", move |_, said| said.behind(&behind)));
        std::thread::scope(|scope| {
            let held = scope.spawn(|| body(&fake, "/list/held"));
            while fake.data(|pages| *pages) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(body(&fake, "/list/other")["page"], 2);
            assert!(!held.is_finished());
            gate.open();
            assert_eq!(held.join().expect("an answer")["page"], 1);
        });
    }

    #[test]
    fn faults_change_what_is_said() {
        let fake = fake();
        fake.fault(Fault::rows("/list/twice", "rows", |rows| rows.extend(rows.clone())));
        fake.fault(Fault::replaced("/list/away", "//here/", "//there/"));
        fake.fault(Fault::stuck("/list/stuck"));
        assert_eq!(body(&fake, "/list/twice")["rows"], json!([1, 2, 1, 2]));
        let next = body(&fake, "/list/away")["next"].to_string();
        assert!(next.starts_with("\"http://there/"), "{next}");
        assert_eq!(body(&fake, "/list/stuck"), body(&fake, "/list/stuck"));
    }

    #[test]
    fn faults_break_the_wire() {
        let fake = fake();
        fake.fault(Fault::truncated("/list/half"));
        fake.fault(Fault::cut("/list/cut"));
        fake.fault(Fault::closed("/list/closed"));
        fake.fault(Fault::drip("/list/slow", Duration::from_micros(10)));
        let (_, body) = get(&fake, "/list/half").expect("an answer");
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
        assert!(get(&fake, "/list/cut").is_err());
        assert!(get(&fake, "/list/closed").is_err());
        assert_eq!(get(&fake, "/list/slow").expect("an answer").0, 200);
    }
}
