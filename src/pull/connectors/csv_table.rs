//! Bytes of a file as a table (RFC 4180, and what people's programs make of it): encodings, delimiters,
//! quoted line breaks, spreadsheet formulas around numbers.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Most rows of a file.
const MAX_ROWS: usize = 1_000_000;

/// Most columns.
const MAX_COLUMNS: usize = 500;

/// Cells that are looked at of a row: some programs add empty ones behind the last column.
const MAX_CELLS: usize = 4 * MAX_COLUMNS;

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

/// A file that was read. Its rows are taken from its text one at a time: their cells as texts of their own take
/// many times what the file has.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) headers: Vec<String>,
    /// How many rows it has.
    pub(super) len: usize,
    /// With the header line, and with line feeds alone.
    text: String,
    /// What its first line is in the file, beginning with 1.
    first_line: u64,
    delimiter: char,
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
        let mut text = decoded(bytes, form.encoding)?;
        if text.contains('\r') {
            text = text.replace("\r\n", "\n");
            text = text.replace('\r', "\n");
        }
        let (rest, skipped, named) = without_separator_line(&text);
        let delimiter = form.delimiter.or(named).unwrap_or_else(|| delimiter_of(rest));
        let begin = text.len() - rest.len();
        text.drain(..begin);
        let mut table =
            Self { headers: Vec::new(), len: 0, text, first_line: 1 + skipped, delimiter };
        let mut lines = table.lines();
        let header = lines.next().ok_or("it has no header line")?;
        if !header.is_quoted_well {
            return Err(format!("its header line is not to be understood: {STRAY}"));
        }
        let headers = checked_headers(header)?;
        let len = lines.take(MAX_ROWS + 1).count();
        if len > MAX_ROWS {
            return Err(format!("it has more than {MAX_ROWS} rows"));
        }
        (table.headers, table.len) = (headers, len);
        Ok(table)
    }

    fn lines(&self) -> Lines<'_> {
        let delimiter = u8::try_from(self.delimiter).unwrap_or(b',');
        Lines {
            rest: self.text.as_bytes(),
            number: self.first_line,
            delimiter,
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            fields: vec![0; MAX_CELL],
            ends: vec![0; MAX_CELLS],
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        let row = |line: Line| Row { line: line.number, cells: fitted(line, &self.headers) };
        self.lines().skip(1).map(row)
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

/// The header or a row.
struct Line {
    number: u64,
    /// [`MAX_CELLS`] at most.
    cells: Vec<String>,
    /// How many cells it has.
    width: usize,
    is_quoted_well: bool,
}

/// The header and the rows; what has only empty cells is left out.
struct Lines<'t> {
    rest: &'t [u8],
    /// Of the line that the rest begins with.
    number: u64,
    delimiter: u8,
    reader: Reader,
    /// The cells of a row without their quotation marks, one behind the other, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            let blank = self.rest.iter().take_while(|byte| **byte == b'\n').count();
            self.pass(blank);
            if self.rest.is_empty() {
                return None;
            }
            let number = self.number;
            let (bytes, width) = self.record();
            let text = self.rest.get(..bytes).unwrap_or_default();
            let is_quoted_well = is_quoted_well(text, self.delimiter);
            self.pass(bytes);
            let mut begin = 0;
            let cells: Vec<String> = (self.ends.iter().take(width))
                .map(|end| cell(self.fields.get(std::mem::replace(&mut begin, *end)..*end)))
                .collect();
            if width > MAX_CELLS || !is_quoted_well || cells.iter().any(|cell| !cell.is_empty()) {
                return Some(Line { number, cells, width, is_quoted_well });
            }
        }
    }
}

impl Lines<'_> {
    fn pass(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, &[]));
        self.number += passed.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.rest = rest;
    }

    /// Takes apart what the rest begins with: how many bytes and cells it has. Of a row that is too wide the cells
    /// are only counted.
    fn record(&mut self) -> (usize, usize) {
        let (mut bytes, mut filled, mut width) = (0, 0, 0);
        loop {
            let input = self.rest.get(bytes..).unwrap_or_default();
            let fields = self.fields.get_mut(filled..).unwrap_or_default();
            let ends = self.ends.get_mut(width % MAX_CELLS..).unwrap_or_default();
            let (result, read, written, ended) = self.reader.read_record(input, fields, ends);
            (bytes, filled, width) = (bytes + read, filled + written, width + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => filled = 0,
                ReadRecordResult::Record | ReadRecordResult::End => return (bytes, width),
            }
        }
    }
}

/// Whether every quoted cell of a row ends, and nothing but white space stands between that end and the
/// next cell. A mark that was left behind takes the rows below for text of its cell: as one row of the
/// right length, without those who stood in them.
fn is_quoted_well(row: &[u8], delimiter: u8) -> bool {
    let mut rest = row;
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

/// The text of a cell without the white space around it. Spreadsheets keep leading zeros as a formula: `="00123"`.
fn cell(bytes: Option<&[u8]>) -> String {
    let text = String::from_utf8_lossy(bytes.unwrap_or_default());
    let text = text.trim();
    let inner = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(text).to_owned()
}

fn checked_headers(line: Line) -> Result<Vec<String>, String> {
    let Line { cells, width, .. } = line;
    if width > MAX_COLUMNS {
        return Err(format!("it has {width} columns; at most {MAX_COLUMNS} are allowed"));
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
fn fitted(line: Line, headers: &[String]) -> Result<Vec<String>, String> {
    let Line { mut cells, mut width, is_quoted_well, .. } = line;
    if !is_quoted_well {
        return Err(format!("{STRAY}."));
    }
    if width <= MAX_CELLS {
        while cells.len() > headers.len() && cells.last().is_some_and(String::is_empty) {
            cells.pop();
        }
        width = cells.len();
    }
    if width != headers.len() {
        return Err(format!(
            "it has {width} cells, but the header line has {}; a cell with the delimiter in it must stand \
             in quotes.",
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
        let rows: Vec<_> = table.rows().map(row).collect();
        assert_eq!(rows.len(), table.len);
        (table.headers, rows)
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

    /// Memory of the process in bytes, where the system tells it. A test has a process of its own.
    fn memory(name: &str) -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().nth(1)?.parse::<usize>().ok());
        number.unwrap_or(0) * 1024
    }

    #[test]
    fn file_takes_a_small_multiple_of_its_size_whatever_is_in_it() {
        const SIZE: usize = 8 * 1024 * 1024;
        let headers: Vec<String> = (0..MAX_COLUMNS).map(|n| format!("c{n}")).collect();
        let cells = format!("{}1\n", "1,".repeat(MAX_COLUMNS - 1));
        let narrow = format!("{}\n{}", headers.join(","), cells.repeat(SIZE / cells.len()));
        let wide = format!("a,b\n{}\n1,2\n", ",x".repeat(SIZE / 2));
        let header = ",".repeat(SIZE);
        // The peak so far is forgotten.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let before = memory("VmRSS");
        assert!(Table::read(header.as_bytes(), Form::default()).is_err());
        assert_eq!(table(wide.as_bytes()).1.len(), 2);
        let table =
            Table::read(narrow.as_bytes(), Form::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(table.rows().filter(|row| row.cells.is_ok()).count(), SIZE / cells.len());
        let grown = memory("VmHWM").saturating_sub(before);
        assert!(grown < 6 * SIZE, "{grown} bytes for a file of {SIZE}");
    }
}
