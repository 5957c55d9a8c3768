//! Stanzas of `Name: value` fields, as in `Packages`, `status`, `control` and `.sources` files (deb822(5)).
//!
//! What enters is text that is already in memory, or a reader; what leaves borrows from the text. Nothing is copied
//! but by [`Reader`], which holds one stanza at a time and refuses one that grows beyond its limit.

mod reader;

pub use reader::{Reader, ReaderError};

/// One stanza: a run of lines without an empty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stanza<'a> {
    text: &'a str,
}

/// A field of a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; names are compared without regard to case.
    pub name: &'a str,
    /// The value with its continuation lines as written, without white space at both ends.
    pub value: &'a str,
}

impl<'a> Stanza<'a> {
    /// Takes a text that is one stanza; lines that are no fields are passed over.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The stanza as written.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The fields in their order.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.text }
    }

    /// The value of the first field of this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The first line that is neither a field, nor the continuation of one, nor a comment.
    #[must_use]
    pub fn malformed_line(&self) -> Option<&'a str> {
        let mut in_field = false;
        self.text.lines().find(|line| {
            let continuation = line.starts_with([' ', '\t']);
            let field = !continuation && field_name(line).is_some();
            let fine = field || (continuation && in_field) || line.starts_with('#') || line.trim().is_empty();
            in_field |= field;
            !fine
        })
    }
}

/// The fields of a stanza in their order; see [`Stanza::fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let (line, mut rest) = split_line(self.rest)?;
            let Some(name) = field_name(line) else {
                if line.trim_ascii().is_empty() {
                    return None;
                }
                self.rest = rest;
                continue;
            };
            let mut end = self.rest.len() - rest.len();
            while rest.starts_with([' ', '\t', '#']) {
                let (line, after) = split_line(rest)?;
                if line.trim_ascii().is_empty() {
                    break;
                }
                // A comment may stand between the lines of a value, but the last lines must not be comments.
                if !line.starts_with('#') {
                    end = self.rest.len() - after.len();
                }
                rest = after;
            }
            let value = self.rest[name.len() + 1..end].trim_ascii();
            self.rest = rest;
            return Some(Field { name, value });
        }
    }
}

/// Takes the first stanza off a text: gives its fields to `take` and returns it with what follows.
///
/// This looks at each line once only, which counts for an index of a whole distribution.
pub(crate) fn take_stanza<'a>(text: &'a str, mut take: impl FnMut(Field<'a>)) -> (Stanza<'a>, &'a str) {
    let mut text = text;
    while let Some((_, rest)) = split_line(text).filter(|(line, _)| line.trim_ascii().is_empty()) {
        text = rest;
    }
    let mut fields = Fields { rest: text };
    fields.by_ref().for_each(&mut take);
    (Stanza { text: &text[..text.len() - fields.rest.len()] }, fields.rest)
}

/// The lines of a value without the comment lines among them, each without white space at its ends.
pub fn value_lines(value: &str) -> impl Iterator<Item = &str> {
    value.lines().filter(|line| !line.starts_with('#')).map(str::trim_ascii)
}

/// The stanzas of a text, in their order, parted by empty lines.
#[must_use]
pub fn stanzas(text: &str) -> Stanzas<'_> {
    Stanzas { rest: text }
}

/// The stanzas of a text; see [`stanzas`].
#[derive(Clone, Debug)]
pub struct Stanzas<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Stanza<'a>;

    fn next(&mut self) -> Option<Stanza<'a>> {
        while let Some((_, rest)) = split_line(self.rest).filter(|(line, _)| line.trim_ascii().is_empty()) {
            self.rest = rest;
        }
        let (text, rest) = split_stanza(self.rest);
        self.rest = rest;
        (!text.is_empty()).then_some(Stanza { text })
    }
}

/// Splits off everything up to and with the newline before the first empty line.
fn split_stanza(text: &str) -> (&str, &str) {
    let mut end = 0;
    while let Some((line, rest)) = split_line(&text[end..]) {
        if line.trim_ascii().is_empty() {
            return (&text[..end], rest);
        }
        end = text.len() - rest.len();
    }
    (text, "")
}

/// Splits off the first line, without its end; `None` when no text is left.
fn split_line(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    Some(text.split_once('\n').unwrap_or((text, "")))
}

/// The name of the field that starts in this line, if one does.
fn field_name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    let valid =
        !name.is_empty() && !name.starts_with(['-', '#']) && name.bytes().all(|byte| byte.is_ascii_graphic());
    valid.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stanzas_and_fields_are_found() {
        let text = "\n \nPackage: a\nDescription: short\n long\n .\n more\n# note\nTag: x,\n# inside\n  y\n\t\nPackage: b";
        let found: Vec<Vec<_>> =
            stanzas(text).map(|stanza| stanza.fields().map(|f| (f.name, f.value)).collect()).collect();
        assert_eq!(
            found,
            [
                vec![
                    ("Package", "a"),
                    ("Description", "short\n long\n .\n more"),
                    ("Tag", "x,\n# inside\n  y")
                ],
                vec![("Package", "b")],
            ]
        );
        assert_eq!(value_lines(found[0][2].1).collect::<Vec<_>>(), ["x,", "y"]);
    }

    #[test]
    fn stanzas_are_taken_off_one_by_one() {
        let text = "\n\nA: b\n c\nD:\n \nE: f";
        let mut names = Vec::new();
        let (first, rest) = take_stanza(text, |field| names.push(field.name));
        assert_eq!((first.text(), rest), ("A: b\n c\nD:\n", " \nE: f"));
        let (second, rest) = take_stanza("\nE: f\n\nG: h", |field| names.push(field.name));
        assert_eq!((second.text(), rest), ("E: f\n", "\nG: h"));
        assert_eq!(take_stanza("\n", |_| ()), (Stanza::new(""), ""));
        assert_eq!(names, ["A", "D", "E"]);
    }

    #[test]
    fn names_are_compared_without_case() {
        let stanza = Stanza::new("SHA256: 1\nsha256: 2\nEmpty:\n");
        assert_eq!(stanza.get("Sha256"), Some("1"));
        assert_eq!(stanza.get("empty"), Some(""));
        assert_eq!(stanza.get("SHA25"), None);
    }

    #[test]
    fn malformed_lines_are_named() {
        for (summary, text, expected) in [
            ("all fine", "A: b\n c\n# d\nE:\n", None),
            ("continuation of nothing", " a\nB: c\n", Some(" a")),
            ("no colon", "A: b\nnonsense\n", Some("nonsense")),
            ("space in the name", "A b: c\n", Some("A b: c")),
        ] {
            assert_eq!(Stanza::new(text).malformed_line(), expected, "{summary}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_text_is_read_to_its_end(text in "[A-B:#\\-é \t\r\n]{0,60}") {
            let mut total = 0;
            for stanza in stanzas(&text) {
                total += stanza.text().len();
                for field in stanza.fields() {
                    prop_assert!(field.name.len() + field.value.len() < stanza.text().len() + 1);
                }
                let _ = stanza.malformed_line();
            }
            prop_assert!(total <= text.len());
        }

        #[test]
        fn what_was_written_is_read(fields in prop::collection::vec(("[A-Z][a-z]{0,5}", "[a-z]{1,5}(\n [a-z]{1,5}){0,2}"), 1..6)) {
            let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let read: Vec<_> =
                Stanza::new(&text).fields().map(|field| (field.name.to_owned(), field.value.to_owned())).collect();
            prop_assert_eq!(read, fields);
        }
    }
}
