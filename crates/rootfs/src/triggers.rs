//! Triggers, as dpkg registers and activates them when it unpacks a package (deb-triggers(5)).

use std::collections::BTreeMap;

/// Interests of packages, in the order in which they were unpacked.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    /// By trigger: the packages that are interested, with `/noawait` where they said so.
    interests: BTreeMap<String, Vec<String>>,
}

impl Triggers {
    /// Registers what the `triggers` file of `package` (as dpkg's database names it) is interested in.
    pub(crate) fn register(&mut self, package: &str, control: &[u8]) {
        for (trigger, suffix) in interests(&String::from_utf8_lossy(control)) {
            self.interests.entry(trigger.to_owned()).or_default().push(format!("{package}{suffix}"));
        }
    }

    /// The files of `var/lib/dpkg/triggers`: `File` for paths, one more for each named trigger.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (trigger, packages) in &self.interests {
            let is_path = trigger.starts_with('/');
            let file: &mut String =
                files.entry(if is_path { "File".into() } else { trigger.clone() }).or_default();
            for package in packages {
                if is_path {
                    file.push_str(trigger);
                    file.push(' ');
                }
                file.push_str(package);
                file.push('\n');
            }
        }
        files
    }

    /// The lines of `var/lib/dpkg/triggers/Unincorp` that unpacking `paths` (absolute) for `package` activates.
    pub(crate) fn activated<'a>(&self, package: &str, paths: impl Iterator<Item = &'a str>) -> String {
        let mut activated = BTreeMap::new();
        for path in paths {
            for ancestor in ancestors(path) {
                if let Some(packages) = self.interests.get(ancestor) {
                    let awaited = packages.iter().any(|interested| !interested.ends_with("/noawait"));
                    activated.insert(ancestor, awaited);
                }
            }
        }
        activated
            .into_iter()
            .map(|(trigger, awaited)| format!("{trigger} {}\n", if awaited { package } else { "-" }))
            .collect()
    }
}

/// The triggers that a `triggers` file is interested in, each with `/noawait` where it says so.
fn interests(text: &str) -> impl Iterator<Item = (&str, &'static str)> {
    text.lines().filter_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (directive, trigger) = (words.next()?, words.next()?);
        match directive {
            "interest" | "interest-await" => Some((trigger, "")),
            "interest-noawait" => Some((trigger, "/noawait")),
            _ => None,
        }
    })
}

/// The first name in a `triggers` file that names no trigger. A named trigger goes by the rules for names of packages,
/// and becomes the name of a file in dpkg's database; anything else is an absolute path.
pub(crate) fn bad_name(control: &[u8]) -> Option<String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-+.".contains(&c);
    let good = |name: &str| {
        let named = name.bytes().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        named || name.starts_with('/')
    };
    let text = String::from_utf8_lossy(control);
    interests(&text).map(|(name, _)| name).find(|name| !good(name)).map(str::to_owned)
}

/// `path` itself and the directories above it, without `/`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind('/').map(|end| &path[..end]))
        .take_while(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_are_registered_as_dpkg_does() {
        let mut triggers = Triggers::default();
        triggers.register("libc-bin", b"# a comment\ninterest ldconfig\n");
        triggers.register(
            "debianutils",
            b"interest-noawait /usr/share/debianutils/shells.d\nactivate-noawait ldconfig\n",
        );
        let files = triggers.files();
        assert_eq!(files["ldconfig"], "libc-bin\n");
        assert_eq!(files["File"], "/usr/share/debianutils/shells.d debianutils/noawait\n");
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn a_path_activates_the_triggers_above_it() {
        let mut triggers = Triggers::default();
        triggers.register("man-db", b"interest-noawait /usr/share/man\n");
        triggers.register("font", b"interest /usr/share/fonts\n");
        let paths = ["/usr/share/man/man1/a.1", "/usr/share/manual", "/usr/share/fonts"];
        assert_eq!(triggers.activated("new", paths.into_iter()), "/usr/share/fonts new\n/usr/share/man -\n");
    }
}
