//! One HTTP/1.1 connection that is kept open: a request out, an answer in, nothing else.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;

/// Where a server is: `http://host:port/path`.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// `host:port`
    pub(crate) authority: String,
    /// What stands in front of every path, without a trailing slash.
    pub(crate) prefix: String,
}

impl Origin {
    /// Reads an `http` URL.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            format!("\"{url}\" is no http:// URL; measure behind the proxy that ends TLS")
        })?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        let authority = match authority.contains(':') {
            true => authority.to_owned(),
            false => format!("{authority}:80"),
        };
        Ok(Self { authority, prefix: path.trim_end_matches('/').to_owned() })
    }
}

/// A connection with its buffers.
pub(crate) struct Connection {
    origin: Origin,
    authorization: String,
    stream: Option<TcpStream>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

/// An answer; the body stays in the connection until the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'c> {
    pub(crate) status: u16,
    /// From the request to the first bytes of the answer.
    pub(crate) first_byte: Duration,
    pub(crate) body: &'c [u8],
}

/// How the body of an answer ends.
enum Framing {
    Length(usize),
    Chunks,
    None,
}

struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    closes: bool,
}

impl Connection {
    pub(crate) fn new(origin: Origin, token: Option<&str>) -> Self {
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        Self { origin, authorization, stream: None, outgoing: Vec::new(), incoming: Vec::new() }
    }

    /// Goes on as somebody else.
    pub(crate) fn set_token(&mut self, token: &str) {
        self.authorization.clear();
        let _ = write!(self.authorization, "Authorization: Bearer {token}\r\n");
    }

    /// Another connection to the same server, not open yet.
    pub(crate) fn another(&self) -> Self {
        let (origin, authorization) = (self.origin.clone(), self.authorization.clone());
        Self { origin, authorization, stream: None, outgoing: Vec::new(), incoming: Vec::new() }
    }

    /// Sends a request and reads its answer. A connection that the server closed meanwhile is opened
    /// again, before anything was sent on it.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> io::Result<Answer<'_>> {
        self.write_request(method, path, body)?;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        if stream.write_all(&self.outgoing).is_err() {
            stream = self.connect()?;
            stream.write_all(&self.outgoing)?;
        }
        let sent = Instant::now();
        let head = self.read_head(&mut stream)?;
        let first_byte = sent.elapsed();
        let body = match head.framing {
            Framing::None => head.length..head.length,
            Framing::Length(length) => {
                self.read_until(&mut stream, head.length + length)?;
                head.length..head.length + length
            }
            Framing::Chunks => self.read_chunks(&mut stream, head.length)?,
        };
        if !head.closes {
            self.stream = Some(stream);
        }
        let body = self.incoming.get(body).unwrap_or_default();
        Ok(Answer { status: head.status, first_byte, body })
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.origin.authority)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(stream)
    }

    fn write_request(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> io::Result<()> {
        let Origin { authority, prefix } = &self.origin;
        let authorization = &self.authorization;
        let out = &mut self.outgoing;
        out.clear();
        write!(out, "{method} {prefix}{path} HTTP/1.1\r\nHost: {authority}\r\n{authorization}")?;
        match body {
            Some(body) => {
                let length = body.len();
                out.extend_from_slice(b"Content-Type: application/scim+json\r\n");
                write!(out, "Content-Length: {length}\r\n\r\n")?;
                out.extend_from_slice(body);
            }
            None => out.extend_from_slice(b"\r\n"),
        }
        Ok(())
    }

    fn read_head(&mut self, stream: &mut TcpStream) -> io::Result<Head> {
        self.incoming.clear();
        loop {
            if let Some(head) = parse_head(&self.incoming)? {
                return Ok(head);
            }
            self.read_more(stream)?;
        }
    }

    fn read_more(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match stream.read(&mut chunk)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up")),
            read => {
                self.incoming.extend_from_slice(chunk.get(..read).unwrap_or_default());
                Ok(())
            }
        }
    }

    fn read_until(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<()> {
        while self.incoming.len() < length {
            self.read_more(stream)?;
        }
        Ok(())
    }

    /// Puts the chunks of a body together, in place (RFC 9112 §7.1).
    fn read_chunks(
        &mut self,
        stream: &mut TcpStream,
        start: usize,
    ) -> io::Result<std::ops::Range<usize>> {
        let (mut read, mut end) = (start, start);
        loop {
            let (digits, size) = loop {
                let rest = self.incoming.get(read..).unwrap_or_default();
                match httparse::parse_chunk_size(rest) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) => self.read_more(stream)?,
                    Err(_) => return Err(malformed("a chunk has no size")),
                }
            };
            let size = usize::try_from(size).map_err(|_| malformed("a chunk is too large"))?;
            let from = read + digits;
            self.read_until(stream, from + size + 2)?;
            if size == 0 {
                return Ok(start..end);
            }
            self.incoming.copy_within(from..from + size, end);
            (read, end) = (from + size + 2, end + size);
        }
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The head of an answer when all of it has arrived.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(malformed("the answer is no HTTP/1.1")),
    };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, length, framing: Framing::None, closes: false };
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") && status != 204 {
            let length = value.parse().map_err(|_| malformed("Content-Length is no number"))?;
            head.framing = Framing::Length(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.framing = Framing::Chunks;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers every request on one connection with the next of these bytes.
    fn server(answers: Vec<&'static [u8]>) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            for answer in answers {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).expect("a request");
                assert!(read > 0);
                // In two parts, as networks do.
                let (first, second) = answer.split_at(answer.len() / 2);
                stream.write_all(first).expect("the client reads");
                stream.flush().expect("the client reads");
                stream.write_all(second).expect("the client reads");
            }
        });
        Origin::parse(&format!("http://{address}/scim/")).expect("a URL")
    }

    #[test]
    fn answers_are_read_in_every_framing_on_one_connection() {
        let origin = server(vec![
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
        ]);
        let mut connection = Connection::new(origin, Some("t"));
        for (status, body) in [(200, &b"hello"[..]), (200, b"abcde"), (204, b"")] {
            let answer = connection.exchange("GET", "/Users", None).expect("an answer");
            assert_eq!((answer.status, answer.body), (status, body));
        }
    }

    #[test]
    fn url_is_taken_apart() {
        let origin = Origin::parse("http://localhost:8080/scim/v2/").expect("a URL");
        assert_eq!(
            (origin.authority.as_str(), origin.prefix.as_str()),
            ("localhost:8080", "/scim/v2")
        );
        assert_eq!(Origin::parse("http://h").expect("a URL").authority, "h:80");
        assert!(Origin::parse("https://h").is_err());
    }
}
