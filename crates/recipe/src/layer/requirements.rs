//! `requirements.txt`: every requirement has its version, and nothing else is said. Where packages come from is pip's own
//! configuration, which is not in a layer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cache::Digest;

use crate::Error;

/// What one file says.
#[derive(Debug)]
pub(super) struct Requirements {
    /// What messages call the file.
    path: String,
    pub(super) lines: Vec<Requirement>,
}

/// One requirement.
#[derive(Debug)]
pub(super) struct Requirement {
    /// Its line, from 1.
    number: usize,
    /// The project, in its one spelling.
    pub(super) name: String,
    version: String,
    has_marker: bool,
    /// The files that it may be; any when there are none.
    hashes: BTreeSet<Digest>,
}

impl Requirements {
    /// Reads `text`; `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Requirement`] with the line of what is no pinned requirement.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Error> {
        let requirement = |(number, line): (usize, String)| {
            Requirement::parse(number, &line).map_err(|message| refusal(path, number, &line, &message))
        };
        let lines = lines(text).into_iter().map(requirement).collect::<Result<_, _>>()?;
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Adds the hashes that each project may have to `allowed`.
    pub(super) fn allow(&self, allowed: &mut BTreeMap<String, BTreeSet<Digest>>) {
        for requirement in self.lines.iter().filter(|requirement| !requirement.hashes.is_empty()) {
            allowed.entry(requirement.name.clone()).or_default().extend(&requirement.hashes);
        }
    }
}

/// Refuses a project that is asked for in two versions, whatever it is installed on.
///
/// # Errors
/// [`Error::Requirement`] with the second line, naming the first.
pub(super) fn check_conflicts(files: &[Requirements]) -> Result<(), Error> {
    let mut known: BTreeMap<&str, (&Requirement, &str)> = BTreeMap::new();
    for file in files {
        for line in file.lines.iter().filter(|line| !line.has_marker) {
            let (first, path) = *known.entry(&line.name).or_insert((line, &file.path));
            if first.version != line.version {
                let message = format!("{path}:{} asks for {}", first.number, first.version);
                let said = format!("{}=={}", line.name, line.version);
                return Err(refusal(&file.path, line.number, &said, &message));
            }
        }
    }
    Ok(())
}

fn refusal(path: &str, line: usize, said: &str, message: &str) -> Error {
    Error::Requirement { path: Path::new(path).into(), line, message: format!("`{said}`: {message}") }
}

impl Requirement {
    fn parse(number: usize, line: &str) -> Result<Self, String> {
        if line.starts_with('-') {
            let message = "options belong to pip's own configuration, other files to steps of their own";
            return Err(message.to_owned());
        }
        let mut parts = line.split(" --hash");
        let said = parts.next().unwrap_or(line);
        let (requirement, marker) =
            said.split_once(';').map_or((said, None), |(said, marker)| (said, Some(marker)));
        if requirement.contains(" @ ") || requirement.contains("://") {
            return Err("packages come from an index: name a release, such as `name==1.0`".to_owned());
        }
        let version = requirement.split_once("==").map(|(_, version)| version.trim_start_matches('=').trim());
        let version = version.filter(|version| !version.is_empty() && !version.contains(['*', ',', ' ']));
        let version = version.ok_or("it has no version of its own: say `name==VERSION`")?;
        if marker.is_some_and(|marker| marker.contains(" --")) {
            return Err("options belong to pip's own configuration".to_owned());
        }
        Ok(Self {
            number,
            name: name_of(line).ok_or("it does not begin with a name")?,
            version: version.to_owned(),
            has_marker: marker.is_some(),
            hashes: parts.map(hash).collect::<Result<_, _>>()?,
        })
    }
}

/// Reads what follows `--hash`.
fn hash(text: &str) -> Result<Digest, String> {
    let text = text.trim_start_matches(['=', ' ']).trim_end();
    let sha256 = text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    sha256.ok_or_else(|| format!("`{text}` is no SHA-256: say `--hash=sha256:…`"))
}

/// The lines that say something, each with its number from 1; continued ones as one.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (line, number) in text.lines().zip(1..) {
        let comment = line.find(" #").or_else(|| line.trim_start().starts_with('#').then_some(0));
        let line = line[..comment.unwrap_or(line.len())].trim();
        let (said, goes_on) = match line.strip_suffix('\\') {
            Some(said) => (said.trim(), true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if continued => {
                last.push(' ');
                last.push_str(said);
            }
            _ if said.is_empty() => {}
            _ => lines.push((number, said.to_owned())),
        }
        continued = goes_on;
    }
    lines
}

/// The project that a requirement names, in its one spelling.
fn name_of(line: &str) -> Option<String> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
    let name = &line[..end];
    let sound = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    sound.then(|| deps::python::normalized(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_pinned_and_nothing_else() {
        let (one, two) = ("00".repeat(32), "11".repeat(32));
        let good = format!(
            "# one\nA_b[x]==1.0 # two\nc == 2 ; python_version > '3' \\\n  --hash=sha256:{one} \\\n  --hash=sha256:{two}\n"
        );
        let file = Requirements::parse("r.txt", &good).expect("requirements");
        let found: Vec<_> =
            file.lines.iter().map(|line| (&*line.name, &*line.version, line.hashes.len())).collect();
        assert_eq!(found, [("a-b", "1.0", 0), ("c", "2", 2)]);
        let cases = [
            ("no version", "\nrequests\n", "r.txt:2: `requests`"),
            ("a range", "a>=1\n", "r.txt:1: `a>=1`"),
            ("two bounds", "a==1,<2\n", "r.txt:1"),
            ("any of some", "a==1.*\n", "r.txt:1"),
            ("an address", "a==1\na @ https://example.org/a.whl\n", "r.txt:2: `a @"),
            ("an index", "--index-url https://example.org\n", "pip's own configuration"),
            ("another file", "-r b.txt\n", "pip's own configuration"),
            ("an option behind it", "a==1 ; x --pre\n", "pip's own configuration"),
            ("a weak hash", "a==1 --hash=md5:00\n", "`md5:00` is no SHA-256"),
            ("half a hash", "a==1 --hash=sha256:00\n", "`sha256:00` is no SHA-256"),
        ];
        for (summary, text, words) in cases {
            let message = Requirements::parse("r.txt", text).expect_err(summary).to_string();
            assert!(message.contains(words), "{summary}: {message}");
        }
    }

    #[test]
    fn two_versions_of_one_project_conflict() {
        let file = |path: &str, text: &str| Requirements::parse(path, text).expect("requirements");
        let markers = "a==1 ; python_version < '3.13'\na==2 ; python_version >= '3.13'\n";
        check_conflicts(&[file("a.txt", markers), file("b.txt", "b==1\n"), file("c.txt", "B==1\n")])
            .expect("no conflict");
        let files = [file("a.txt", "x==1\na.b==1\n"), file("b.txt", "\nA_B==2\n")];
        let message = check_conflicts(&files).expect_err("a conflict").to_string();
        assert_eq!(message, "b.txt:2: `a-b==2`: a.txt:2 asks for 1");
    }
}
