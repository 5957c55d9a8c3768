//! What the steps of a layer name: read, checked, and joined into one digest.

use std::path::Path;

use cache::{Digest, Hasher};
use deps::npm::PackageLock;

use super::lock::{FORMAT, Parent};
use crate::Error;
use crate::find::Found;
use crate::format::{NodeStep, PythonFile, Step};

/// A file that names Python packages.
#[derive(Debug)]
pub(super) struct Python {
    pub(super) kind: PythonFile,
    /// What messages call it.
    pub(super) name: String,
    pub(super) text: String,
    /// The `pyproject.toml` beside a `uv.lock`.
    pub(super) project: Option<String>,
}

/// Packages of Node.js.
#[derive(Debug)]
pub(super) struct Node<'f> {
    pub(super) step: &'f NodeStep,
    pub(super) lock: PackageLock,
    /// npm's configuration beside the lock.
    pub(super) npmrc: Option<String>,
    manifest: String,
    text: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Inputs<'f> {
    pub(super) python: Vec<Python>,
    pub(super) node: Vec<Node<'f>>,
}

impl<'f> Inputs<'f> {
    /// Reads the files of `found`'s steps.
    pub(super) fn read(found: &'f Found) -> Result<Self, Error> {
        let mut inputs = Self { python: Vec::new(), node: Vec::new() };
        for step in &found.recipe.steps {
            match step {
                Step::Python(step) => inputs.python.push(Python::read(found, &step.file)?),
                Step::Node(step) => inputs.node.push(Node::read(found, step)?),
                _ => {}
            }
        }
        Ok(inputs)
    }

    /// A digest of what is asked for: these files, and what they are for.
    pub(super) fn request(&self, parents: &[Parent]) -> Digest {
        let mut hasher = Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add(&format!("layer {FORMAT}"));
        for parent in parents {
            add(&format!("{parent:?}"));
        }
        for python in &self.python {
            add(&python.text);
            add(python.project.as_deref().unwrap_or_default());
        }
        for node in &self.node {
            add(&format!("{} {:?}", node.step.into(), node.step.without_scripts));
            add(&node.manifest);
            add(&node.text);
        }
        hasher.finish()
    }

    /// The names of the Python packages that requirements name themselves.
    pub(super) fn requested(&self) -> Vec<String> {
        let requirements = self.python.iter().filter(|python| python.kind == PythonFile::Requirements);
        requirements.flat_map(|python| lines(&python.text)).filter_map(|(_, line)| name_of(&line)).collect()
    }
}

impl Python {
    fn read(found: &Found, file: &Path) -> Result<Self, Error> {
        let base = file.file_name().unwrap_or_default().to_string_lossy();
        let kind = PythonFile::of(&base).unwrap_or(PythonFile::Requirements);
        let (name, text) = found.read(file)?;
        let project = match kind {
            PythonFile::UvLock => Some(found.read(&file.with_file_name("pyproject.toml"))?.1),
            _ => None,
        };
        if kind == PythonFile::Requirements {
            check_requirements(&name, &text)?;
        }
        Ok(Self { kind, name, text, project })
    }
}

impl<'f> Node<'f> {
    fn read(found: &Found, step: &'f NodeStep) -> Result<Self, Error> {
        let (_, manifest) = found.read(&step.folder.join("package.json"))?;
        let (name, text) = found.read(&step.folder.join("package-lock.json"))?;
        let npmrc = found.path.as_ref().and_then(|_| found.read(&step.folder.join(".npmrc")).ok());
        let lock = PackageLock::parse(&name, &text, &manifest)?;
        Ok(Self { step, lock, npmrc: npmrc.map(|(_, text)| text), manifest, text })
    }
}

/// Every requirement has its version, and nothing else is said: where packages come from is pip's own configuration, which
/// is not in a layer.
fn check_requirements(name: &str, text: &str) -> Result<(), Error> {
    for (number, line) in lines(text) {
        let wrong = |message: &str| Error::Requirement {
            path: name.into(),
            line: number,
            message: format!("`{line}`: {message}"),
        };
        if line.starts_with('-') {
            return Err(wrong(
                "options belong to pip's own configuration, other files to steps of their own",
            ));
        }
        let requirement = line.split(" --hash").next().unwrap_or(&line);
        let requirement = requirement.split(';').next().unwrap_or(requirement);
        if requirement.contains(" @ ") || requirement.contains("://") {
            return Err(wrong("packages come from an index: name a release, such as `name==1.0`"));
        }
        let pinned = requirement.split_once("==").map(|(_, version)| version.trim_start_matches('=').trim());
        if pinned.is_none_or(|version| version.is_empty() || version.contains(['*', ',', ' '])) {
            return Err(wrong("it has no version of its own: say `name==VERSION`"));
        }
        if name_of(&line).is_none() {
            return Err(wrong("it does not begin with a name"));
        }
    }
    Ok(())
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
        let good = "# one\nA_b[x]==1.0 # two\nc == 2 ; python_version > '3' \\\n  --hash=sha256:00 \\\n  --hash=sha256:11\n";
        check_requirements("r.txt", good).expect("requirements");
        let names: Vec<_> = lines(good).iter().filter_map(|(_, line)| name_of(line)).collect();
        assert_eq!(names, ["a-b", "c"]);
        let cases = [
            ("no version", "\nrequests\n", "r.txt:2: `requests`"),
            ("a range", "a>=1\n", "r.txt:1: `a>=1`"),
            ("two bounds", "a==1,<2\n", "r.txt:1"),
            ("any of some", "a==1.*\n", "r.txt:1"),
            ("an address", "a==1\na @ https://example.org/a.whl\n", "r.txt:2: `a @"),
            ("an index", "--index-url https://example.org\n", "pip's own configuration"),
            ("another file", "-r b.txt\n", "pip's own configuration"),
        ];
        for (summary, text, words) in cases {
            let message = check_requirements("r.txt", text).expect_err(summary).to_string();
            assert!(message.contains(words), "{summary}: {message}");
        }
    }
}
