//! Fields as Debian's control files and Python's metadata have them: `Name: value`, continued on lines that begin with a
//! blank.

/// The longest value that is kept, in bytes: descriptions go on for pages, and nothing here reads them.
const VALUE_LIMIT: usize = 64 << 10;

/// Some fields between two empty lines.
#[derive(Debug, Default)]
pub(super) struct Stanza<'t> {
    fields: Vec<(&'t str, String)>,
}

impl Stanza<'_> {
    /// The value of the first field called so, letters taken alike whatever their case; nothing for an empty one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields called so that are not empty.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |field: &&(&str, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(named).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The same as text of its own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}

/// The stanzas of a text. Lines that are no field are passed over.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut stanza = Stanza::default();
        for line in lines.by_ref() {
            if line.trim().is_empty() {
                if stanza.fields.is_empty() {
                    continue;
                }
                break;
            }
            take(&mut stanza, line);
        }
        (!stanza.fields.is_empty()).then_some(stanza)
    })
}

fn take<'t>(stanza: &mut Stanza<'t>, line: &'t str) {
    if line.starts_with([' ', '\t']) {
        if let Some((_, value)) = stanza.fields.last_mut()
            && value.len() + line.len() <= VALUE_LIMIT
        {
            value.push('\n');
            value.push_str(line.trim());
        }
        return;
    }
    let Some((name, value)) = line.split_once(':') else { return };
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) && value.len() <= VALUE_LIMIT {
        stanza.fields.push((name, value.trim().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_their_continuations() {
        let text = "\n\nPackage: a\nDescription: short\n long\n .\nEmpty:\nnonsense\npackage: second\n\n \nPackage: b\r\n";
        let found: Vec<_> = stanzas(text).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("PACKAGE"), Some("a"));
        assert_eq!(found[0].all("Package").collect::<Vec<_>>(), ["a", "second"]);
        assert_eq!(found[0].get("Description"), Some("short\nlong\n."));
        assert_eq!(found[0].get("Empty"), None);
        assert_eq!(found[1].get("Package"), Some("b"));
    }

    #[test]
    fn endless_values_end() {
        let text = format!("A: b\n{}", " 123456789\n".repeat(100_000));
        let found = stanzas(&text).next().unwrap();
        assert!(found.get("A").unwrap().len() <= VALUE_LIMIT);
    }
}
