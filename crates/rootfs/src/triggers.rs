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
        for line in String::from_utf8_lossy(control).lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(directive), Some(trigger)) = (words.next(), words.next()) else { continue };
            let suffix = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
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
