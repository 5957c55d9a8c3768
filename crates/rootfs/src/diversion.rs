//! Diversions: files that dpkg puts elsewhere (dpkg-divert(1)).

use std::collections::HashMap;

use tree::EntryPath;

use crate::Error;

/// The diversions of a root, as its `var/lib/dpkg/diversions` lists them.
#[derive(Debug, Default)]
pub(crate) struct Diversions(HashMap<EntryPath, Diversion>);

#[derive(Debug)]
struct Diversion {
    to: EntryPath,
    /// The package whose own file stays where it is; none for a local diversion.
    package: Option<String>,
}

impl Diversions {
    /// Reads the database's form: three lines each, the path, where it goes to, and the package or `:`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let path = |line: &[u8]| {
            let relative = line.strip_prefix(b"/").unwrap_or(line);
            EntryPath::parse(relative)
                .map_err(|_| Error::Diversions { line: String::from_utf8_lossy(line).into_owned() })
        };
        let mut diversions = HashMap::new();
        for record in lines.chunks(3) {
            let [from, to, package] = record else {
                return Err(Error::Diversions { line: String::from_utf8_lossy(record[0]).into_owned() });
            };
            let package = (*package != b":").then(|| String::from_utf8_lossy(package).into_owned());
            diversions.insert(path(from)?, Diversion { to: path(to)?, package });
        }
        Ok(Self(diversions))
    }

    /// Whether anybody diverts `path`.
    pub(crate) fn has(&self, path: &EntryPath) -> bool {
        self.0.contains_key(path)
    }

    /// Where `package`'s file at `path` really goes.
    pub(crate) fn target<'a>(&'a self, path: &'a EntryPath, package: &str) -> &'a EntryPath {
        match self.0.get(path) {
            Some(diversion) if diversion.package.as_deref() != Some(package) => &diversion.to,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverted_file_goes_elsewhere_but_for_the_diverting_package() {
        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n";
        let diversions = Diversions::parse(text).expect("diversions");
        let path = |text: &str| EntryPath::parse(text.as_bytes()).expect("a path");
        assert_eq!(diversions.target(&path("bin/sh"), "bash"), &path("bin/sh.distrib"));
        assert_eq!(diversions.target(&path("bin/sh"), "dash"), &path("bin/sh"));
        assert_eq!(diversions.target(&path("a"), "dash"), &path("b"));
        assert_eq!(diversions.target(&path("c"), "dash"), &path("c"));
    }

    #[test]
    fn a_torn_database_is_refused() {
        assert!(Diversions::parse(b"/a\n/b\n").is_err());
        assert!(Diversions::parse(b"/a\n/../b\n:\n").is_err());
    }
}
