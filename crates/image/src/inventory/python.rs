//! Python's metadata of what is installed: `METADATA` and `RECORD` of a `.dist-info` folder, `PKG-INFO` of an `.egg-info`
//! (Python packaging user guide, "Core metadata specifications" and "Recording installed projects").

use tree::EntryPath;

use super::stanza::stanzas;
use super::{Ecosystem, Licence, Package};

/// The package that a `METADATA` or `PKG-INFO` describes. The description that follows the fields is not looked at.
pub(super) fn metadata(text: &str, location: &EntryPath) -> Option<Package> {
    let stanza = stanzas(text).next()?;
    let name = stanza.owned("Name")?;
    let version = stanza.owned("Version")?;
    let classifiers: Vec<&str> = stanza.all("Classifier").collect();
    let free = stanza.get("License").filter(|text| !text.eq_ignore_ascii_case("unknown"));
    let person = |name: &str, address: &str| match (stanza.get(name), stanza.get(address)) {
        (Some(name), Some(address)) if !address.contains('<') => Some(format!("{name} <{address}>")),
        (None, Some(address)) => Some(address.to_owned()),
        (name, _) => name.map(str::to_owned),
    };
    let known = |text: &String| !text.eq_ignore_ascii_case("unknown");
    Some(Package {
        maintainer: person("Maintainer", "Maintainer-email")
            .filter(known)
            .or_else(|| person("Author", "Author-email").filter(known)),
        homepage: stanza.owned("Home-page").filter(known),
        licence: Licence::of_python(stanza.get("License-Expression"), free, &classifiers),
        ..Package::new(Ecosystem::Python, name, version, location.clone())
    })
}

/// The paths in a `RECORD`, which lies at `location`: comma separated values whose first is a path, relative to the folder
/// that the `.dist-info` is in. Absolute ones are relative to the tree.
pub(super) fn record(bytes: &[u8], location: &EntryPath) -> Vec<EntryPath> {
    let Some(site) = location.parent().and_then(|folder| folder.parent()) else { return Vec::new() };
    let lines = bytes.split(|&byte| byte == b'\n');
    lines.filter_map(|line| beneath(&site, &first_value(line)?)).collect()
}

/// The first of the comma separated values of a line (RFC 4180).
fn first_value(line: &[u8]) -> Option<Vec<u8>> {
    let Some(quoted) = line.strip_prefix(b"\"") else {
        let end = line.iter().position(|&byte| byte == b',')?;
        return Some(line[..end].to_vec());
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
            return Some(value);
        }
        value.push(byte);
    }
    None
}

/// `name` as seen from `folder`, without leaving the tree.
fn beneath(folder: &EntryPath, name: &[u8]) -> Option<EntryPath> {
    let mut parts: Vec<&[u8]> = match name.strip_prefix(b"/") {
        Some(_) => Vec::new(),
        None => folder.components().collect(),
    };
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    EntryPath::parse(&parts.join(&b'/')).ok().filter(|path| !path.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        text.parse().unwrap()
    }

    #[test]
    fn packages_of_metadata() {
        let location = path("x.dist-info/METADATA");
        let text = "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\nAuthor: A\nAuthor-email: a@example.org\n\
                    License: MIT\nHome-page: UNKNOWN\n\nName: not a field any more\n";
        let found = metadata(text, &location).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("Foo_Bar", "1.0"));
        assert_eq!(found.maintainer.as_deref(), Some("A <a@example.org>"));
        assert_eq!(found.licence.expression.as_deref(), Some("MIT"));
        assert_eq!(found.homepage, None);
        for (summary, text) in [("no version", "Name: x\n"), ("no name", "Version: 1\n"), ("nothing", "")] {
            assert_eq!(metadata(text, &location), None, "{summary}");
        }
    }

    #[test]
    fn paths_of_a_record() {
        let location = path("usr/lib/site/x-1.dist-info/RECORD");
        let record = record(
            b"x/__init__.py,sha256=abc,12\r\n\"x/a \"\"b\"\", c.py\",,\n../../bin/x,,\n/opt/x,,\n../../../../etc,,\nno comma\n\"open\n",
            &location,
        );
        let expected = ["usr/lib/site/x/__init__.py", "usr/lib/site/x/a \"b\", c.py", "usr/bin/x", "opt/x"];
        assert_eq!(record, expected.map(path));
    }
}
