//! One stanza of `Name: value` fields with continuation lines, as release files and deb822 sources have them.

/// A field: its name as written, its first line, its continuation lines without the leading blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    /// Where it begins, counted from 1.
    pub(crate) line: usize,
    pub(crate) value: &'a str,
    pub(crate) continuation: Vec<&'a str>,
}

/// A line that is neither a field nor a continuation of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) reason: &'static str,
}

/// Fields up to an empty line or the end.
pub(crate) type Stanza<'a> = Vec<Field<'a>>;

/// Splits `text` into stanzas; with `comments`, lines that begin with `#` are passed over.
pub(crate) fn stanzas(text: &str, comments: bool) -> Result<Vec<Stanza<'_>>, BadLine> {
    let mut stanzas = Vec::new();
    let mut current: Stanza<'_> = Vec::new();
    for (index, whole) in text.lines().enumerate() {
        let line = index + 1;
        if comments && whole.starts_with('#') {
            continue;
        }
        if whole.trim().is_empty() {
            if !current.is_empty() {
                stanzas.push(std::mem::take(&mut current));
            }
        } else if let Some(rest) = whole.strip_prefix([' ', '\t']) {
            let field = current
                .last_mut()
                .ok_or(BadLine { line, reason: "a continuation line without a field before it" })?;
            field.continuation.push(rest.trim_end());
        } else {
            let (name, value) =
                whole.split_once(':').ok_or(BadLine { line, reason: "expected `Name: value`" })?;
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(BadLine { line, reason: "a field name is empty or contains a blank" });
            }
            if current.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
                return Err(BadLine { line, reason: "the field appears twice" });
            }
            current.push(Field { name, line, value: value.trim(), continuation: Vec::new() });
        }
    }
    if !current.is_empty() {
        stanzas.push(current);
    }
    Ok(stanzas)
}

/// The field of this name, whatever its case.
pub(crate) fn find<'s, 'a>(stanza: &'s [Field<'a>], name: &str) -> Option<&'s Field<'a>> {
    stanza.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

impl<'a> Field<'a> {
    /// All words of the value, of all its lines.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.value).chain(self.continuation.iter().copied()).flat_map(str::split_whitespace)
    }
}
