//! What the steps of a layer name: read, checked, and joined into one digest.

use std::collections::BTreeMap;

use cache::{Digest, Hasher};
use deps::npm::{PackageLock, Selected};
use serde::Deserialize;

use super::lock::{FORMAT, Parent};
use crate::Error;
use crate::find::Found;
use crate::format::{NodeStep, PackageName, PythonFile, PythonStep, Step};

/// A file that names Python packages.
#[derive(Debug)]
pub(super) struct Python<'f> {
    pub(super) step: &'f PythonStep,
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
    /// The folder's own package, if it is to be installed.
    pub(super) itself: Option<Itself>,
    manifest: String,
    text: String,
}

/// A package that is built of a folder.
#[derive(Debug)]
pub(super) struct Itself {
    /// As what it will be installed, but for its digest.
    pub(super) package: Selected,
    /// What it is built of, by the paths in the folder.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// The digest of all that.
    pub(super) digest: Digest,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Inputs<'f> {
    pub(super) python: Vec<Python<'f>>,
    pub(super) node: Vec<Node<'f>>,
    /// The names of Debian packages.
    pub(super) packages: Vec<&'f [PackageName]>,
    /// Whether programs run in the layer, for which its parent's root has to be there.
    pub(super) runs_programs: bool,
}

impl<'f> Inputs<'f> {
    /// Reads the files of `found`'s steps.
    pub(super) fn read(found: &'f Found) -> Result<Self, Error> {
        let mut inputs =
            Self { python: Vec::new(), node: Vec::new(), packages: Vec::new(), runs_programs: false };
        for step in &found.recipe.steps {
            inputs.runs_programs |= runs_programs(step);
            match step {
                Step::Python(step) => inputs.python.push(Python::read(found, step)?),
                Step::Node(step) => inputs.node.push(Node::read(found, step)?),
                Step::Packages(names) => inputs.packages.push(names),
                Step::Run(_) | Step::Users(_) | Step::Files(_) | Step::Env(_) | Step::Slim(_) => {}
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
            if !python.step.from_source.is_empty() {
                add(&format!("{:?}", python.step.from_source));
            }
        }
        for node in &self.node {
            add(&format!("{} {:?}", node.step.into(), node.step.without_scripts));
            add(&node.manifest);
            add(&node.text);
            if !node.step.scripts.is_empty() {
                add(&format!("{:?}", node.step.scripts));
            }
            if let Some(itself) = &node.itself {
                add(&itself.digest.to_string());
            }
        }
        if self.runs_programs {
            add(&format!("root {:?}", self.packages));
        }
        hasher.finish()
    }

    /// The names of the Python packages that are built from their source.
    pub(super) fn built(&self) -> Vec<String> {
        let names = self.python.iter().flat_map(|python| &python.step.from_source);
        names.map(|name| deps::python::normalized(name)).collect()
    }

    /// The names of the Python packages that requirements name themselves.
    pub(super) fn requested(&self) -> Vec<String> {
        let requirements = self.python.iter().filter(|python| python.kind == PythonFile::Requirements);
        requirements.flat_map(|python| lines(&python.text)).filter_map(|(_, line)| name_of(&line)).collect()
    }
}

/// Whether a step can only be carried out in the parent's root.
fn runs_programs(step: &Step) -> bool {
    match step {
        Step::Packages(_) | Step::Run(_) | Step::Users(_) => true,
        Step::Python(python) => !python.from_source.is_empty(),
        Step::Node(node) => !node.scripts.is_empty(),
        Step::Files(_) | Step::Env(_) | Step::Slim(_) => false,
    }
}

impl<'f> Python<'f> {
    fn read(found: &Found, step: &'f PythonStep) -> Result<Self, Error> {
        let file = &step.file;
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
        Ok(Self { step, kind, name, text, project })
    }
}

impl<'f> Node<'f> {
    fn read(found: &Found, step: &'f NodeStep) -> Result<Self, Error> {
        let (_, manifest) = found.read(&step.folder.join("package.json"))?;
        let (name, text) = found.read(&step.folder.join("package-lock.json"))?;
        let npmrc = found.path.as_ref().and_then(|_| found.read(&step.folder.join(".npmrc")).ok());
        let lock = PackageLock::parse(&name, &text, &manifest)?;
        let itself = if step.pack.is_empty() {
            None
        } else {
            Some(Itself::read(found, step, [("package.json", &manifest), ("package-lock.json", &text)])?)
        };
        Ok(Self { step, lock, npmrc: npmrc.map(|(_, text)| text), itself, manifest, text })
    }
}

/// What a package says of itself in its `package.json`.
#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    #[serde(default)]
    bin: Programs,
}

/// Its programs: by their names, or one called like the package.
#[derive(Deserialize)]
#[serde(untagged)]
enum Programs {
    Named(BTreeMap<String, String>),
    One(String),
}

impl Default for Programs {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

impl Itself {
    fn read(found: &Found, step: &NodeStep, known: [(&str, &String); 2]) -> Result<Self, Error> {
        let mut files = found.files(&step.folder, &step.pack)?;
        for (name, text) in known {
            files.insert(name.to_owned(), text.clone().into_bytes());
        }
        let mut hasher = Hasher::new();
        for (path, contents) in &files {
            hasher.update(format!("{path} {}\n", contents.len()).as_bytes());
            hasher.update(contents);
        }
        let manifest: Manifest = serde_json::from_str(known[0].1).map_err(|error| deps::Error::NpmLock {
            name: step.folder.join("package.json").display().to_string(),
            message: error.to_string(),
        })?;
        let Manifest { name, version, bin } = manifest;
        let programs = match bin {
            Programs::Named(programs) => programs,
            Programs::One(file) => {
                [(name.rsplit('/').next().unwrap_or(&name).to_owned(), file)].into_iter().collect()
            }
        };
        let place = format!("node_modules/{name}");
        let package =
            Selected { place, name, version, integrity: None, is_native: false, direct: true, programs };
        Ok(Self { package, files, digest: hasher.finish() })
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
