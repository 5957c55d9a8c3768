//! From what the steps name to a lock.

use std::collections::{BTreeMap, BTreeSet};

use cache::Digest;
use deps::npm;
use deps::python::{Locked, Target, read_lock, requirements_of_lock};

use super::inputs::{Inputs, NodeLock, Python};
use super::lock::{LayerLock, Npm, Parent, Wheel};
use super::requirements::Requirements;
use super::tools::{EXCHANGE, Tools};
use super::{fetch, pnpm, target_of};
use crate::Error;
use crate::format::PythonFile;

/// The newest glibc that uv knows platforms of.
const NEWEST_GLIBC: u32 = 40;

/// Resolves `inputs` for the parents in `lock`, with `tools`; all archives are in the cache then.
pub(super) fn resolve(inputs: &Inputs<'_>, lock: LayerLock, tools: &Tools<'_>) -> Result<LayerLock, Error> {
    let parents = &lock.parents;
    let wheels = if inputs.python.is_empty() { Vec::new() } else { wheels(inputs, parents, tools)? };
    let npm = packages(inputs, parents, tools)?;
    let mut lock = LayerLock { wheels, npm, ..lock };
    fetch::wheels(&lock, tools)?;
    fetch::npm(&mut lock, inputs, tools)?;
    pnpm::complete(&mut lock, inputs, &tools.session().cache)?;
    Ok(lock)
}

/// The wheels for all parents, each once.
fn wheels(inputs: &Inputs<'_>, parents: &[Parent], tools: &Tools<'_>) -> Result<Vec<Wheel>, Error> {
    let sources = Sources::give(inputs, tools)?;
    let requested = inputs.requested()?;
    let mut wheels: BTreeMap<Locked, Vec<String>> = BTreeMap::new();
    for parent in parents {
        let target = target_of(parent)?;
        for locked in sources.compile(&target, tools)? {
            wheels.entry(locked).or_default().push(parent.architecture.clone());
        }
    }
    let wheel = |(locked, architectures): (Locked, Vec<String>)| {
        let sha256: Result<Digest, _> = locked.sha256.parse();
        let sha256 = sha256.map_err(|_| deps::Error::Integrity {
            package: locked.name.clone(),
            expected: format!("a SHA-256 and not `{}`", locked.sha256),
        })?;
        if sources.allowed.get(&locked.name).is_some_and(|allowed| !allowed.contains(&sha256)) {
            return Err(Error::OtherHash { package: locked.name, file: locked.file, found: sha256 });
        }
        Ok(Wheel {
            requested: requested.contains(&locked.name),
            sha256,
            name: locked.name,
            version: locked.version,
            file: locked.file,
            architectures,
        })
    };
    wheels.into_iter().map(wheel).collect()
}

/// Requirements where uv finds them.
struct Sources {
    paths: Vec<String>,
    /// The packages that are built from their source.
    from_source: Vec<String>,
    /// The digests that wheels may have, of projects for which any are given. uv does not look at them when it resolves.
    allowed: BTreeMap<String, BTreeSet<Digest>>,
    /// Whether locks say everything, so that nothing must be added.
    complete: bool,
}

impl Sources {
    fn give(inputs: &Inputs<'_>, tools: &Tools<'_>) -> Result<Self, Error> {
        let (mut paths, mut allowed) = (Vec::new(), BTreeMap::new());
        for (index, python) in inputs.python.iter().enumerate() {
            let text = match python.kind {
                PythonFile::Requirements => python.text.clone(),
                PythonFile::Pylock => requirements_of_lock(&python.name, &python.text, &inputs.built())?,
                PythonFile::UvLock => of_uv_lock(index, python, tools)?,
            };
            Requirements::parse(&python.name, &text)?.allow(&mut allowed);
            paths.push(tools.give(&format!("python-{index}.txt"), &text)?);
        }
        let complete = inputs.python.iter().all(|python| python.kind != PythonFile::Requirements);
        Ok(Self { paths, from_source: inputs.built(), allowed, complete })
    }

    /// What uv makes of them for one target.
    fn compile(&self, target: &Target, tools: &Tools<'_>) -> Result<Vec<Locked>, Error> {
        let machine = target.platform().ok_or_else(|| Error::UnknownArchitecture {
            name: target.architecture.clone(),
            known: "amd64, arm64".to_owned(),
        })?;
        let platform = format!("{machine}-manylinux_2_{}", target.glibc.1.min(NEWEST_GLIBC));
        let version = format!("{}.{}", target.python.0, target.python.1);
        let output = format!("pylock.{}.toml", target.architecture);
        let output_file = format!("{EXCHANGE}/{output}");
        let mut arguments = vec![
            "pip",
            "compile",
            "--quiet",
            "--no-progress",
            "--no-header",
            "--python",
            "/usr/bin/python3",
            "--python-platform",
            &platform,
            "--python-version",
            &version,
            "--only-binary",
            ":all:",
            "--format",
            "pylock.toml",
            "--output-file",
            &output_file,
        ];
        for name in &self.from_source {
            arguments.extend(["--no-binary", name]);
        }
        if self.complete {
            arguments.push("--no-deps");
        }
        arguments.extend(self.paths.iter().map(String::as_str));
        tools.uv("resolve Python packages with uv", &arguments)?;
        let path = tools.outside(&output);
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Ok(read_lock(&output, &text, target, &self.from_source)?)
    }
}

/// The requirements that a `uv.lock` comes to, with its markers and hashes, by uv.
fn of_uv_lock(index: usize, python: &Python<'_>, tools: &Tools<'_>) -> Result<String, Error> {
    let folder = format!("project-{index}");
    tools.give(&format!("{folder}/uv.lock"), &python.text)?;
    tools.give(&format!("{folder}/pyproject.toml"), python.project.as_deref().unwrap_or_default())?;
    let (project, output) = (format!("{EXCHANGE}/{folder}"), format!("{EXCHANGE}/{folder}/requirements.txt"));
    let arguments = [
        "export",
        "--quiet",
        "--frozen",
        "--no-dev",
        "--no-emit-project",
        "--no-header",
        "--no-annotate",
        "--format",
        "requirements.txt",
        "--python",
        "/usr/bin/python3",
        "--project",
        &project,
        "--output-file",
        &output,
    ];
    tools.uv("read uv.lock with uv", &arguments)?;
    let path = tools.outside(&folder).join("requirements.txt");
    std::fs::read_to_string(&path).map_err(Error::io("read", &path))
}

/// Makes what the package `itself` needs its own: npm does so with packages that are installed for everybody.
fn put_inside(selected: &mut Vec<npm::Selected>, itself: &npm::Selected) {
    for package in &mut *selected {
        package.place = format!("{}/{}", itself.place, package.place);
        package.direct = false;
    }
    selected.push(itself.clone());
}

/// The packages of Node.js for all parents, each once.
fn packages(inputs: &Inputs<'_>, parents: &[Parent], tools: &Tools<'_>) -> Result<Vec<Npm>, Error> {
    let mut packages: BTreeMap<(usize, String), Npm> = BTreeMap::new();
    for (step, node) in inputs.node.iter().enumerate() {
        for parent in parents {
            if parent.node.is_none() {
                return Err(Error::NoInterpreter { parent: parent.name.clone(), what: "Node.js" });
            }
            let target = npm::Target { architecture: parent.architecture.clone() };
            let mut selected = match &node.lock {
                NodeLock::Npm(lock) => lock.select(&target, &node.step.allowed())?,
                NodeLock::Pnpm { lock, settings } => {
                    lock.select(&target, &pnpm::places(step, node, settings.as_deref(), &target, tools)?)?
                }
            };
            if let Some(itself) = &node.itself {
                put_inside(&mut selected, &itself.package);
            }
            for package in selected {
                let key = (step, package.place.clone());
                let npm = packages.entry(key).or_insert(Npm {
                    step,
                    sha256: None,
                    architectures: Vec::new(),
                    package,
                });
                npm.architectures.push(parent.architecture.clone());
            }
        }
    }
    Ok(packages.into_values().collect())
}
