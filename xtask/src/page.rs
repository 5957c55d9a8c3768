//! Pages in `docs/` that several runs write to: each run replaces its own section and leaves the others.

use std::fs;
use std::path::Path;

use crate::Error;

/// Puts `body` under the heading `## {heading}` of the page at `path`: in the place of the section that is there, else at the
/// end. A page that is not there begins with `title`.
pub(crate) fn write_section(path: &Path, title: &str, heading: &str, body: &str) -> Result<(), Error> {
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => title.to_owned(),
        Err(error) => return Err(Error::io(format!("read {}", path.display()))(error)),
    };
    fs::write(path, with_section(&old, heading, body)).map_err(Error::io(format!("write {}", path.display())))
}

fn with_section(page: &str, heading: &str, body: &str) -> String {
    let line = format!("## {heading}\n");
    let section = format!("{line}\n{}\n", body.trim());
    let Some(start) = starts(page).find(|start| page[*start..].starts_with(&line)) else {
        return format!("{}\n\n{section}", page.trim_end());
    };
    let end = starts(page).find(|other| *other > start).unwrap_or(page.len());
    let rest = &page[end..];
    format!("{}{section}{}{rest}", &page[..start], if rest.is_empty() { "" } else { "\n" })
}

/// Where the sections of a page begin.
fn starts(page: &str) -> impl Iterator<Item = usize> + '_ {
    page.match_indices("## ").map(|(at, _)| at).filter(|at| *at == 0 || page[..*at].ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn sections_are_replaced_and_added() {
        let page = "# Title\n\nText.\n\n## One\n\nold\n\n### Part\n\n## Two\n\nkept\n";
        let cases = [
            ("first", "One", "# Title\n\nText.\n\n## One\n\nnew\n\n## Two\n\nkept\n"),
            ("last", "Two", "# Title\n\nText.\n\n## One\n\nold\n\n### Part\n\n## Two\n\nnew\n"),
            (
                "another",
                "Three",
                "# Title\n\nText.\n\n## One\n\nold\n\n### Part\n\n## Two\n\nkept\n\n## Three\n\nnew\n",
            ),
        ];
        for (summary, heading, expected) in cases {
            assert_eq!(with_section(page, heading, "new\n"), expected, "{summary}");
            assert_eq!(with_section(expected, heading, "new"), expected, "{summary}, again");
        }
    }
}
