/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

/// Longest line handed on, in bytes; a longer one comes in pieces, so that a program that never prints a newline
/// cannot fill our memory.
const LONGEST: usize = 16 * 1024;

impl Lines {
    pub(crate) fn new() -> Self {
        Self { rest: Vec::new() }
    }

    /// Takes the next bytes and hands on every line they complete, without its newline.
    pub(crate) fn push(&mut self, mut bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = LONGEST - self.rest.len();
            let window = &bytes[..bytes.len().min(room)];
            match window.iter().position(|&b| b == b'\n') {
                Some(end) => {
                    self.rest.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    self.flush(line);
                }
                None => {
                    self.rest.extend_from_slice(window);
                    bytes = &bytes[window.len()..];
                    if self.rest.len() == LONGEST {
                        self.flush(line);
                    }
                }
            }
        }
    }

    /// Hands on a last line that had no newline.
    pub(crate) fn finish(&mut self, line: &mut dyn FnMut(&[u8])) {
        if !self.rest.is_empty() {
            self.flush(line);
        }
    }

    fn flush(&mut self, line: &mut dyn FnMut(&[u8])) {
        line(&self.rest);
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let mut lines = Lines::new();
        for chunk in chunks {
            lines.push(chunk, &mut |line| seen.push(line.to_vec()));
        }
        lines.finish(&mut |line| seen.push(line.to_vec()));
        seen
    }

    #[test]
    fn lines_do_not_depend_on_how_they_arrive() {
        type Chunks = &'static [&'static [u8]];
        let tests: [(&str, Chunks, Chunks); 5] = [
            ("nothing", &[], &[]),
            ("one line", &[b"a\n"], &[b"a"]),
            ("pieces", &[b"a", b"b\nc", b"\n\nd"], &[b"ab", b"c", b"", b"d"]),
            ("no newline at the end", &[b"a\nb"], &[b"a", b"b"]),
            ("bytes that are no text", &[b"\xff\0\n"], &[b"\xff\0"]),
        ];
        for (summary, chunks, expected) in tests {
            assert_eq!(cut(chunks), expected, "{summary}");
        }
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let long = vec![b'x'; 2 * LONGEST + 1];
        let sizes: Vec<_> = cut(&[&long]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [LONGEST, LONGEST, 1]);
    }
}
