//! A form that carries a file (`multipart/form-data`, RFC 7578).

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;

use super::browser::Form;
use crate::http::body::{self, Query};
use crate::http::error::{HttpError, Surface};
use crate::scim::ScimError;

/// What a form may have beside the file, in bytes.
const MAX_REST_BYTES: usize = 64 * 1024;

/// Most parts of a form.
const MAX_PARTS: usize = 20;

/// The fields of a form, and the file among them.
pub(in crate::http) struct Upload {
    pub(in crate::http) form: Form,
    pub(in crate::http) content: Vec<u8>,
}

impl Upload {
    /// Reads a form whose file has at most `limit` bytes.
    pub(in crate::http) async fn read(
        request: &HttpRequest,
        payload: Payload,
        limit: usize,
    ) -> Result<Self, HttpError> {
        let wrong = |error: ScimError| HttpError::on(Surface::Page, error);
        let header = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = boundary(header.unwrap_or_default()).ok_or_else(|| {
            wrong(ScimError::new(
                415,
                "The request must be a form with a file: multipart/form-data.",
            ))
        })?;
        let body = body::read(payload, limit + MAX_REST_BYTES).await.map_err(wrong)?;
        let unreadable = || wrong(ScimError::invalid_syntax("The form cannot be read."));
        let (mut fields, mut content) = (Vec::new(), Vec::new());
        for part in parts(&body, &boundary).ok_or_else(unreadable)? {
            if part.is_file {
                content = part.content.to_vec();
            } else {
                let text = str::from_utf8(part.content).map_err(|_| unreadable())?;
                fields.push((part.name, text.to_owned()));
            }
        }
        if content.len() > limit {
            let message = format!("The file is larger than {limit} bytes, which is the limit.");
            return Err(wrong(ScimError::new(413, message)));
        }
        let form = Query::of(fields).map(Form::of).map_err(wrong)?;
        Ok(Self { form, content })
    }
}

/// A part of a form.
#[derive(Debug, PartialEq, Eq)]
struct Part<'b> {
    name: String,
    is_file: bool,
    content: &'b [u8],
}

/// The boundary of `multipart/form-data; boundary=…`.
fn boundary(header: &str) -> Option<String> {
    let mut pieces = header.split(';').map(str::trim);
    let essence = pieces.next()?;
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"').to_owned())
    })?;
    // RFC 2046 §5.1.1.
    (1..=70).contains(&value.len()).then_some(value)
}

/// The parts in order; `None` for what is no such form.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Option<Vec<Part<'b>>> {
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter stands at the beginning, without the end of a line before it.
    let mut rest = body.strip_prefix(delimiter.trim_start().as_bytes())?;
    let mut found = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(found);
        }
        let (head, behind) = split(rest.strip_prefix(b"\r\n")?, b"\r\n\r\n")?;
        let (content, next) = split(behind, delimiter.as_bytes())?;
        let (name, is_file) = disposition(str::from_utf8(head).ok()?)?;
        if found.len() >= MAX_PARTS {
            return None;
        }
        found.push(Part { name, is_file, content });
        rest = next;
    }
}

/// What stands before and behind the first occurrence of `what`.
fn split<'b>(bytes: &'b [u8], what: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(what.len()).position(|window| window == what)?;
    let (before, from) = bytes.split_at_checked(at)?;
    Some((before, from.get(what.len()..)?))
}

/// The name that `Content-Disposition` gives a part, and whether it is a file.
fn disposition(head: &str) -> Option<(String, bool)> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let parameter = |wanted: &str| {
        value.split(';').map(str::trim).find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim_matches('"').to_owned())
        })
    };
    Some((parameter("name")?, value.contains("filename=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"proof\"\r\n\r\nabc\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a;b.csv\"\r\n\
        Content-Type: text/csv\r\n\r\nid,name\r\n1,--x\r\n\r\n--x--\r\n";

    #[test]
    fn parts_are_told_apart() {
        let read = parts(FORM, "x").expect("a form");
        let shown: Vec<(&str, bool, &[u8])> =
            read.iter().map(|part| (part.name.as_str(), part.is_file, part.content)).collect();
        let expected: [(&str, bool, &[u8]); 2] =
            [("proof", false, b"abc"), ("file", true, b"id,name\r\n1,--x\r\n")];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for end in 0..FORM.len() - 5 {
            assert_eq!(parts(&FORM[..end], "x"), None, "{end}");
        }
        assert_eq!(parts(b"", "x"), None);
        assert_eq!(parts(FORM, "y"), None);
    }

    #[test]
    fn boundaries_are_read() {
        for (header, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("application/x-www-form-urlencoded; boundary=a", None),
        ] {
            assert_eq!(boundary(header).as_deref(), expected, "{header}");
        }
    }
}
