//! `RECORD`: the files of an installed package (recording installed projects; binary distribution format).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The columns of one line.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) path: String,
    /// `sha256=…`, or nothing.
    pub(crate) hash: String,
    pub(crate) size: String,
}

/// How a SHA-256 is spelled.
pub(crate) fn spelled(sha256: &[u8; 32]) -> String {
    format!("sha256={}", URL_SAFE_NO_PAD.encode(sha256))
}

/// Reads the lines; what is no line of this kind is passed over.
pub(crate) fn read(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines() {
        let mut columns = columns(line).into_iter();
        let (Some(path), hash, size) = (columns.next(), columns.next(), columns.next()) else { continue };
        if !path.is_empty() {
            rows.push(Row { path, hash: hash.unwrap_or_default(), size: size.unwrap_or_default() });
        }
    }
    rows
}

/// The lines, in the order given.
pub(crate) fn write<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let quoted = |text: &str| {
        if text.contains(['"', ',', '\r', '\n']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let line = |row: &Row| format!("{},{},{}\n", quoted(&row.path), row.hash, row.size);
    rows.into_iter().map(line).collect()
}

/// The columns of a line of comma-separated values (RFC 4180).
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut columns, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            other => push(&mut columns, other),
        }
    }
    columns
}

fn push(columns: &mut [String], c: char) {
    if let Some(last) = columns.last_mut() {
        last.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_reading_and_writing() {
        let text = "a/RECORD,,\r\n\"a,\"\"b\"\".py\",sha256=x,7\n";
        let rows = read(text);
        assert_eq!(rows[1].path, "a,\"b\".py");
        assert_eq!(write(&rows), "a/RECORD,,\n\"a,\"\"b\"\".py\",sha256=x,7\n");
    }
}
