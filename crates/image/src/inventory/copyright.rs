//! Debian's machine-readable copyright files ("DEP-5", the format 1.0 of debian-policy).

use super::Licence;
use super::stanza::stanzas;

/// The licence of everything that a copyright file speaks of; nothing when it is not machine-readable.
pub(super) fn parse(text: &str) -> Licence {
    let mut stanzas = stanzas(text);
    let Some(header) = stanzas.next() else { return Licence::default() };
    let format = header.get("Format").unwrap_or_default();
    if !format.contains("copyright-format") && !format.contains("dep5") {
        return Licence::default();
    }
    let of_header = header.get("License").map(first_line);
    // A stanza without files is the text of a licence that others name.
    let of_files = stanzas.filter(|stanza| stanza.get("Files").is_some()).filter_map(|stanza| {
        // The packaging's own licence says nothing about what is installed.
        let packaging = stanza.get("Files") == Some("debian/*");
        stanza.get("License").filter(|_| !packaging).map(first_line)
    });
    Licence::of_debian(of_header.into_iter().chain(of_files))
}

fn first_line(value: &str) -> String {
    value.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

    #[test]
    fn licences_of_files() {
        for (summary, rest, declared, expression) in [
            (
                "one for all",
                "\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: debian/*\nLicense: Expat\n\nLicense: Expat\n text\n",
                &["GPL-2+"][..],
                Some("GPL-2.0-or-later"),
            ),
            (
                "two",
                "\nFiles: *\nLicense: ISC\n\nFiles: x\nLicense: Zlib\n",
                &["ISC", "Zlib"],
                Some("ISC AND Zlib"),
            ),
            ("in the header", "License: Expat\n\nFiles: *\nCopyright: me\n", &["Expat"], Some("MIT")),
            ("a text without a name", "\nFiles: *\nLicense:\n text\n", &["text"], None),
            ("nothing", "", &[], None),
        ] {
            let licence = parse(&format!("{FORMAT}{rest}"));
            assert_eq!(licence.declared, declared, "{summary}");
            assert_eq!(licence.expression.as_deref(), expression, "{summary}");
        }
        assert_eq!(parse("This package was debianized by X.\n\nLicense: GPL-2\n"), Licence::default());
    }
}
