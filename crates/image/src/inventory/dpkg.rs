//! dpkg's database: `status`, lists of files, diversions, and the form that images without dpkg have (`status.d`).

use tree::EntryPath;

use super::stanza::{Stanza, stanzas};
use super::{Ecosystem, Package, Source};

/// What a stanza of `status` must say for the package to be there, at least in part. In the field `Status` these are the
/// last of three words; a file in `status.d` has no such field.
const THERE: [&str; 6] =
    ["installed", "unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending"];

/// A move of one path out of the way of another package's file (`dpkg-divert(1)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diversion {
    pub(super) from: EntryPath,
    pub(super) to: EntryPath,
    /// Whose file stays where it is; `:` for the administrator's own diversions.
    pub(super) by: String,
}

/// The packages of a `status` file, which lies at `location`.
pub(super) fn status(text: &str, location: &EntryPath) -> Vec<Package> {
    stanzas(text).filter_map(|stanza| package(&stanza, location)).collect()
}

fn package(stanza: &Stanza<'_>, location: &EntryPath) -> Option<Package> {
    let there = match stanza.get("Status") {
        Some(status) => THERE.contains(&status.rsplit(' ').next()?),
        None => true,
    };
    if !there {
        return None;
    }
    let name = stanza.owned("Package")?;
    let version = stanza.owned("Version")?;
    let source = stanza.get("Source").map_or_else(
        || Source { name: name.clone(), version: version.clone() },
        |source| source_of(source, &version),
    );
    let kibibytes = stanza.get("Installed-Size").and_then(|size| size.parse::<u64>().ok());
    Some(Package {
        architecture: stanza.owned("Architecture"),
        source: Some(source),
        maintainer: stanza.owned("Maintainer"),
        homepage: stanza.owned("Homepage"),
        installed_size: kibibytes.and_then(|size| size.checked_mul(1024)),
        ..Package::new(Ecosystem::Debian, name, version, location.clone())
    })
}

/// `NAME` or `NAME (VERSION)`.
fn source_of(text: &str, version: &str) -> Source {
    let (name, own) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest.trim_end_matches(')').trim())),
        None => (text, None),
    };
    Source { name: name.to_owned(), version: own.unwrap_or(version).to_owned() }
}

/// The paths in `info/PACKAGE.list`: absolute, one a line.
pub(super) fn list(bytes: &[u8]) -> Vec<EntryPath> {
    let lines = bytes.split(|&byte| byte == b'\n');
    let path = |line: &[u8]| EntryPath::parse(line.strip_prefix(b"/")?).ok();
    lines.filter_map(path).filter(|path| !path.is_root()).collect()
}

/// The paths in `PACKAGE.md5sums`: a digest, two blanks and a path without the first `/`.
pub(super) fn sums(bytes: &[u8]) -> Vec<EntryPath> {
    let lines = bytes.split(|&byte| byte == b'\n');
    let path = |line: &[u8]| {
        let blank = line.iter().position(|&byte| byte == b' ')?;
        EntryPath::parse(line[blank..].trim_ascii_start()).ok()
    };
    lines.filter_map(path).filter(|path| !path.is_root()).collect()
}

/// The file `diversions`: three lines each, of path, new path and package.
pub(super) fn diversions(text: &str) -> Vec<Diversion> {
    let lines: Vec<&str> = text.lines().collect();
    let path = |line: &str| EntryPath::parse(line.strip_prefix('/')?.as_bytes()).ok();
    let one = |lines: &[&str]| match lines {
        [from, to, by] => Some(Diversion { from: path(from)?, to: path(to)?, by: (*by).to_owned() }),
        _ => None,
    };
    lines.chunks(3).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        text.parse().unwrap()
    }

    #[test]
    fn packages_of_a_status_file() {
        let text = "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\nInstalled-Size: 12\n\
             Source: big (2-1)\nMaintainer: M <m@example.org>\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
             Package: half\nStatus: install reinstreq half-installed\nVersion: 1\nSource: other\n\n\
             Package: none\nStatus: install ok installed\n\n\
             Package: plain\nVersion: 3\nInstalled-Size: 99999999999999999999\n";
        let found = status(text, &path("var/lib/dpkg/status"));
        let names: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "half", "plain"]);
        assert_eq!(found[0].source, Some(Source { name: "big".into(), version: "2-1".into() }));
        assert_eq!(found[0].installed_size, Some(12 << 10));
        assert_eq!(found[1].source, Some(Source { name: "other".into(), version: "1".into() }));
        assert_eq!(found[2].source, Some(Source { name: "plain".into(), version: "3".into() }));
        assert_eq!(found[2].installed_size, None);
    }

    #[test]
    fn paths_of_lists() {
        let expected = [path("usr"), path("usr/bin/a b")];
        assert_eq!(list(b"/.\n/usr\n/usr/bin/a b\nrelative\n/../../etc/passwd\n\n"), expected);
        assert_eq!(
            sums(b"00  usr/bin/x\n11  ../etc/passwd\n22\n33  a b\n"),
            [path("usr/bin/x"), path("a b")]
        );
    }

    #[test]
    fn diverted_paths() {
        let found =
            diversions("/bin/sh\n/bin/sh.distrib\ndash\n/lib64\n/.lib64.usr-is-merged\nbase-files\n/half\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].to.clone(), found[0].by.as_str()), (path("bin/sh.distrib"), "dash"));
    }
}
