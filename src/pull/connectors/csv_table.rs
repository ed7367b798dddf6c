//! Bytes of a file as a table (RFC 4180, and what people's programs make of it): encodings, delimiters,
//! quoted line breaks, spreadsheet formulas around numbers.

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Most rows of a file.
const MAX_ROWS: usize = 1_000_000;

/// Most columns.
const MAX_COLUMNS: usize = 500;

/// Largest cell, in bytes.
const MAX_CELL: usize = 8 * 1024;

const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

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
        let mark = u8::try_from(delimiter).unwrap_or(b',');
        let mut reader = ReaderBuilder::new()
            .delimiter(mark)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut lines = Lines { text, byte: 0, line: 1 + skipped };
        let mut record = ByteRecord::new();
        let mut headers: Option<Vec<String>> = None;
        let mut rows = Vec::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(format!("it cannot be read: {error}")),
            }
            let start = record.position().map_or(0, csv::Position::byte);
            let line = lines.at(start);
            let is_quoted_well =
                is_quoted_well(between(text, start, reader.position().byte()), mark);
            let cells: Vec<String> = record.iter().map(cell).collect();
            if is_quoted_well && cells.iter().all(String::is_empty) {
                continue;
            }
            let Some(headers) = &headers else {
                if !is_quoted_well {
                    return Err(format!("its header line is not to be understood: {STRAY}"));
                }
                headers = Some(checked_headers(cells)?);
                continue;
            };
            if rows.len() >= MAX_ROWS {
                return Err(format!("it has more than {MAX_ROWS} rows"));
            }
            let cells = match is_quoted_well {
                true => fitted(cells, headers),
                false => Err(format!("{STRAY}.")),
            };
            rows.push(Row { line, cells });
        }
        let headers = headers.ok_or("it has no header line")?;
        Ok(Self { headers, rows })
    }

    /// The columns, for a message that many may read. What may be a row of people is not said.
    pub(super) fn named_columns(&self) -> String {
        match self.headers.iter().any(|header| is_value(header)) {
            true => format!(
                "its first line has {} cells and does not look like names of columns",
                self.headers.len()
            ),
            false => format!("its columns are {}", self.headers.join(", ")),
        }
    }
}

/// Whether it looks like what stands below a header: an address, a number.
fn is_value(header: &str) -> bool {
    header.contains(|c: char| c == '@' || c.is_numeric())
}

/// What a stray quotation mark may have swallowed is told of the row that it stands in.
const STRAY: &str = "a quotation mark begins a cell that never ends, or stands inside of one; lines may be lost \
     in it. A cell with a quotation mark in it stands in quotation marks, and has each of them twice";

/// The bytes of a row, from one place to another.
fn between(text: &str, start: u64, end: u64) -> &[u8] {
    let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
    text.as_bytes().get(place(start)..place(end)).unwrap_or_default()
}

/// Whether every quoted cell of a row ends, and nothing but white space stands between that end and the
/// next cell. A mark that was left behind takes the rows below for text of its cell: as one row of the
/// right length, without those who stood in them.
fn is_quoted_well(row: &[u8], delimiter: u8) -> bool {
    let blank_lines = row.iter().take_while(|byte| **byte == b'\n').count();
    let mut rest = row.get(blank_lines..).unwrap_or_default();
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let Some(behind) = behind_quotes(quoted) else { return false };
            rest = behind;
            let blank = |byte: &u8| *byte == b' ' || (*byte == b'\t' && delimiter != b'\t');
            let blanks = rest.iter().take_while(|byte| blank(byte)).count();
            rest = rest.get(blanks..).unwrap_or_default();
            if !matches!(rest.first(), None | Some(b'\n')) && rest.first() != Some(&delimiter) {
                return false;
            }
        }
        match rest.iter().position(|byte| *byte == delimiter) {
            Some(end) => rest = rest.get(end + 1..).unwrap_or_default(),
            None => return true,
        }
    }
}

/// What stands behind the end of a quoted cell; two quotation marks are one of its text.
fn behind_quotes(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let end = rest.iter().position(|byte| *byte == b'"')?;
        rest = rest.get(end + 1..)?;
        match rest.strip_prefix(b"\"") {
            Some(behind) => rest = behind,
            None => return Some(rest),
        }
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
        if let Some(other) = cells.iter().take(index).position(|other| same(&other)) {
            return Err(match is_value(header) {
                true => format!("its columns {} and {} have one name", other + 1, index + 1),
                false => format!("it has two columns \"{header}\""),
            });
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
        true => Err(not_all_through(bytes, encoding)),
        false => Ok(text.into_owned()),
    }
}

/// Where that can be told, with the line of the first character that is something else.
fn not_all_through(bytes: &[u8], encoding: &'static Encoding) -> String {
    let name = encoding.name();
    match std::str::from_utf8(bytes) {
        Err(error) if encoding == UTF_8 => {
            let read =
                String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
            let line = 1 + read.replace("\r\n", "\n").matches(['\n', '\r']).count();
            format!(
                "it is not {name} all through: a character in line {line} is not. Save it again, or set \
                 \"encoding\""
            )
        }
        _ => format!("it is not {name} all through"),
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
    fn stray_quotation_mark_never_swallows_a_row_in_silence() {
        for (file, line) in [
            // Never closed, in the last row or before it.
            ("a,b\n1,2\n3,\"4", 3),
            ("a,b\n1,\"2\n3,4\n5,6\n", 2),
            // Closed by a mark that opens another cell.
            ("a,b\n1,\"2\n3,\"4\"\n5,6\n", 2),
            ("a,b\n\"1,2\n\"3\",4\n", 2),
            ("a,b\n1,\"say \"hi\"\"\n", 2),
        ] {
            let (_, rows) = table(file.as_bytes());
            let faulty = rows.iter().find(|(_, cells)| cells[0].starts_with("a quotation mark"));
            assert_eq!(faulty.map(|(line, _)| *line), Some(line), "{file:?}: {rows:?}");
        }
        for file in [
            "a,b\n\n \n1,\"2\"\" \n3,\" \n",
            "a,b\n\"1\" ,\"\"\n",
            "a\tb\n\"1\"\t\"2\"\t\n",
            "a,b\n=\"001\",5\" pipe\n\"x\",\"y\"",
        ] {
            let (_, rows) = table(file.as_bytes());
            assert!(rows.iter().all(|(_, cells)| cells.len() == 2), "{file:?}: {rows:?}");
        }
        let error = Table::read(b"a,\"b\n1,2\n", Form::default()).expect_err("refused");
        assert!(error.contains("its header line"), "{error}");
    }

    #[test]
    fn what_is_no_table_is_said() {
        for (file, message) in [
            ("", "no header line"),
            ("\n\n", "no header line"),
            ("Mail,mail\n", "two columns"),
            ("name,\"mail\nx,y\n", "never ends"),
            ("PK\u{3}\u{4}\u{14}", "save it as CSV"),
            (&"x,".repeat(600), "columns"),
        ] {
            let error = Table::read(file.as_bytes(), Form::default()).expect_err("refused");
            assert!(error.contains(message), "{error}");
        }
        for (file, line) in
            [(&b"a,b\r\nZo\xc3\xab,1\r\nFran\xe7ois,2\r\n"[..], 3), (&b"Zo\xc3\xab\xff"[..], 1)]
        {
            let error = Table::read(file, Form::default()).expect_err("refused");
            assert!(
                error.contains(&format!("UTF-8 all through: a character in line {line}")),
                "{error}"
            );
        }
        let form = Form::of("utf-8", "auto");
        let error = Table::read(b"na\xefve\nx\n", form).expect_err("refused");
        assert!(error.contains("UTF-8"), "{error}");
        let (_, rows) = table(format!("a,b\n{},2\n", "x".repeat(9_000)).as_bytes());
        assert!(rows[0].1[0].contains("9000 bytes"), "{:?}", rows[0]);
    }
}
