//! Bytes of a file as a table (RFC 4180, and what people's programs make of it): encodings, delimiters,
//! quoted line breaks, spreadsheet formulas around numbers.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Most rows of a file.
const MAX_ROWS: usize = 1_000_000;

/// Most columns.
const MAX_COLUMNS: usize = 500;

/// Largest cell, in bytes.
const MAX_CELL: usize = 8 * 1024;

const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// Stands in a line of its own behind the last one. A quotation mark that is never closed takes it, and all
/// the rows before it, into its cell.
const END: &str = "\u{4}";

/// How the file is written; `None` where it is to be found out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    pub(super) encoding: Option<&'static Encoding>,
    pub(super) delimiter: Option<char>,
}

impl Form {
    /// From the words of the configuration.
    pub(super) fn of(encoding: &str, delimiter: &str) -> Self {
        let encoding = match encoding {
            "utf-8" => Some(UTF_8),
            "utf-16le" => Some(UTF_16LE),
            "utf-16be" => Some(UTF_16BE),
            "windows-1252" => Some(WINDOWS_1252),
            _ => None,
        };
        let delimiter = match delimiter {
            "comma" => Some(','),
            "semicolon" => Some(';'),
            "tab" => Some('\t'),
            "pipe" => Some('|'),
            _ => None,
        };
        Self { encoding, delimiter }
    }
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) headers: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A row of as many cells as there are headers, or what is wrong with it.
#[derive(Debug)]
pub(super) struct Row {
    /// Of the line that it begins in; the header's is 1.
    pub(super) line: u64,
    pub(super) cells: Result<Vec<String>, String>,
}

impl Table {
    /// Reads a file; the sentence says what is wrong with the whole of it.
    pub(super) fn read(bytes: &[u8], form: Form) -> Result<Self, String> {
        if bytes.starts_with(b"PK\x03\x04") {
            return Err("it is a spreadsheet or an archive; save it as CSV".to_owned());
        }
        let text = decoded(bytes, form.encoding)?.replace("\r\n", "\n").replace('\r', "\n");
        let (text, skipped, named) = without_separator_line(&text);
        let delimiter = form.delimiter.or(named).unwrap_or_else(|| delimiter_of(text));
        let mut reader = ReaderBuilder::new()
            .delimiter(u8::try_from(delimiter).unwrap_or(b','))
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes().chain(&b"\n"[..]).chain(END.as_bytes()));
        let mut lines = Lines { text, byte: 0, line: 1 + skipped };
        let mut record = ByteRecord::new();
        let mut headers: Option<Vec<String>> = None;
        let mut rows = Vec::new();
        let mut is_closed = false;
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(format!("it cannot be read: {error}")),
            }
            let line = lines.at(record.position().map_or(0, csv::Position::byte));
            let cells: Vec<String> = record.iter().map(cell).collect();
            is_closed = cells == [END];
            if is_closed || cells.iter().all(String::is_empty) {
                continue;
            }
            let Some(headers) = &headers else {
                headers = Some(checked_headers(cells)?);
                continue;
            };
            if rows.len() >= MAX_ROWS {
                return Err(format!("it has more than {MAX_ROWS} rows"));
            }
            rows.push(Row { line, cells: fitted(cells, headers) });
        }
        let headers = headers.ok_or("it has no header line")?;
        if !is_closed {
            let unclosed = "a quotation mark is opened in it and never closed";
            match rows.last_mut() {
                Some(row) => row.cells = Err(format!("{unclosed}.")),
                None => return Err(format!("the header line: {unclosed}")),
            }
        }
        Ok(Self { headers, rows })
    }
}

/// Counts lines; empty ones before a row are not the row's.
struct Lines<'t> {
    text: &'t str,
    byte: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of what begins at that byte or behind the line ends there. Bytes rise from call to call.
    fn at(&mut self, byte: u64) -> u64 {
        let start = usize::try_from(byte).unwrap_or(usize::MAX);
        let rest = self.text.as_bytes().get(self.byte..).unwrap_or_default();
        let passed = start.saturating_sub(self.byte);
        let is_behind = |(index, byte): &(usize, &u8)| *index < passed || **byte == b'\n';
        for (_, byte) in rest.iter().enumerate().take_while(is_behind) {
            self.byte += 1;
            self.line += u64::from(*byte == b'\n');
        }
        self.line
    }
}

fn checked_headers(cells: Vec<String>) -> Result<Vec<String>, String> {
    if cells.len() > MAX_COLUMNS {
        return Err(format!("it has {} columns; at most {MAX_COLUMNS} are allowed", cells.len()));
    }
    for (index, header) in cells.iter().enumerate().filter(|(_, header)| !header.is_empty()) {
        let same = |other: &&String| other.to_lowercase() == header.to_lowercase();
        if cells.iter().take(index).any(|other| same(&other)) {
            return Err(format!("it has two columns \"{header}\""));
        }
    }
    Ok(cells)
}

/// As many cells as there are headers. Empty ones at the end are left away by some programs, and added by
/// others.
fn fitted(mut cells: Vec<String>, headers: &[String]) -> Result<Vec<String>, String> {
    while cells.len() > headers.len() && cells.last().is_some_and(String::is_empty) {
        cells.pop();
    }
    if cells.len() != headers.len() {
        return Err(format!(
            "it has {} cells, but the header line has {}; a cell with the delimiter in it must stand \
             in quotes.",
            cells.len(),
            headers.len()
        ));
    }
    match cells.iter().zip(headers).find(|(cell, _)| cell.len() > MAX_CELL) {
        Some((cell, header)) => Err(format!(
            "the column \"{header}\" has {} bytes; at most {MAX_CELL} are allowed.",
            cell.len()
        )),
        None if cells.iter().any(|cell| cell.contains('\0')) => {
            Err("it contains the character U+0000.".to_owned())
        }
        None => Ok(cells),
    }
}

/// The text of a cell. Spreadsheets keep leading zeros as a formula: `="00123"`.
fn cell(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let inner = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(text).to_owned()
}

fn decoded(bytes: &[u8], named: Option<&'static Encoding>) -> Result<String, String> {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let encoding = marked.or(named).unwrap_or_else(|| guessed(bytes));
    let (text, _, had_errors) = encoding.decode(bytes);
    match had_errors {
        true => Err(format!("it is not {} all through", encoding.name())),
        false => Ok(text.into_owned()),
    }
}

/// A spreadsheet's "Unicode text" may come without its mark: every other byte of Latin letters is zero.
fn guessed(bytes: &[u8]) -> &'static Encoding {
    let head = bytes.get(..bytes.len().min(2_000)).unwrap_or_default();
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let many = head.len() / 5;
    if odd > even && odd > many {
        UTF_16LE
    } else if even > odd && even > many {
        UTF_16BE
    } else if is_utf8_mostly(bytes) {
        UTF_8
    } else {
        WINDOWS_1252
    }
}

/// Whether what is not ASCII is UTF-8, or most of it: a few bytes that are not are damage, and no reason to
/// take all letters for others.
fn is_utf8_mostly(bytes: &[u8]) -> bool {
    let (mut letters, mut faults) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        faults += usize::from(!chunk.invalid().is_empty());
    }
    letters >= faults
}

/// Spreadsheets are told the delimiter by a first line `sep=;`: the rest, how many lines that was, and the
/// delimiter.
fn without_separator_line(text: &str) -> (&str, u64, Option<char>) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let named = line.strip_prefix("sep=").map(|rest| rest.chars());
    match named.map(|mut chars| (chars.next(), chars.next())) {
        Some((Some(delimiter), None)) if DELIMITERS.contains(&delimiter) => {
            (rest, 1, Some(delimiter))
        }
        _ => (text, 0, None),
    }
}

/// The delimiter that the header line has most of, outside of quotes.
fn delimiter_of(text: &str) -> char {
    let mut counts = [0_usize; DELIMITERS.len()];
    let (mut quoted, mut any) = (false, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '\n' if !quoted && any => break,
            _ => {}
        }
        any |= !c.is_whitespace();
        let counted = DELIMITERS.iter().zip(&mut counts).find(|(d, _)| **d == c && !quoted);
        if let Some((_, count)) = counted {
            *count += 1;
        }
    }
    let most = DELIMITERS.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
    most.map_or(',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: &[u8]) -> (Vec<String>, Vec<(u64, Vec<String>)>) {
        let table = Table::read(bytes, Form::default()).unwrap_or_else(|e| panic!("{e}"));
        let row = |row: Row| (row.line, row.cells.unwrap_or_else(|error| vec![error]));
        (table.headers, table.rows.into_iter().map(row).collect())
    }

    fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
        let marked = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        marked.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn one_table_in_every_encoding_with_every_delimiter() {
        let text = "name,town\r\nZoë,Köln\r\n";
        let latin =
            |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin")).collect();
        for delimiter in DELIMITERS {
            let text = text.replace(',', &delimiter.to_string());
            let forms: [Vec<u8>; 7] = [
                text.clone().into_bytes(),
                format!("\u{feff}{text}").into_bytes(),
                utf16(&text, false, true),
                utf16(&text, false, false),
                utf16(&text, true, true),
                utf16(&text, true, false),
                latin(&text),
            ];
            for bytes in forms {
                let (headers, rows) = table(&bytes);
                assert_eq!(headers, ["name", "town"]);
                assert_eq!(rows, [(2, vec!["Zoë".to_owned(), "Köln".to_owned()])], "{bytes:?}");
            }
        }
    }

    #[test]
    fn rows_are_as_programs_write_them() {
        let file = "sep=;\n\"na\"\"me\";\"a;b\";\n\n\"two\nlines\"; x ;\n=\"00123\";\"say \"\"hi\"\"\";;;\n;;\nz;1\n";
        let (headers, rows) = table(file.as_bytes());
        assert_eq!(headers, ["na\"me", "a;b", ""]);
        let [two, formula, short] = &rows[..] else { panic!("three rows: {rows:?}") };
        assert_eq!(two, &(4, vec!["two\nlines".to_owned(), "x".to_owned(), String::new()]));
        assert_eq!(formula.1[..2], ["00123", "say \"hi\""]);
        assert!(short.1[0].starts_with("it has 2 cells, but the header line has 3"), "{short:?}");
    }

    #[test]
    fn what_is_no_table_is_said() {
        for (file, message) in [
            ("", "no header line"),
            ("\n\n", "no header line"),
            ("Mail,mail\n", "two columns"),
            ("name,\"mail\nx,y\n", "never closed"),
            ("PK\u{3}\u{4}\u{14}", "save it as CSV"),
            (&"x,".repeat(600), "columns"),
        ] {
            let error = Table::read(file.as_bytes(), Form::default()).expect_err("refused");
            assert!(error.contains(message), "{error}");
        }
        let (_, rows) = table(b"name,mail\na,1\nb,\"2\nc,3\n");
        assert_eq!(rows[0], (2, vec!["a".to_owned(), "1".to_owned()]));
        assert_eq!(rows[1].0, 3);
        assert!(rows[1].1[0].contains("never closed"), "{rows:?}");
        assert_eq!(rows.len(), 2);
        let damaged = Table::read(b"name\nZo\xc3\xab\nRen\xe9\n", Form::default());
        assert!(damaged.expect_err("refused").contains("UTF-8"));
        let form = Form::of("utf-8", "auto");
        let error = Table::read(b"na\xefve\nx\n", form).expect_err("refused");
        assert!(error.contains("UTF-8"), "{error}");
        let (_, rows) = table(format!("a,b\n{},2\n", "x".repeat(9_000)).as_bytes());
        assert!(rows[0].1[0].contains("9000 bytes"), "{:?}", rows[0]);
    }
}
