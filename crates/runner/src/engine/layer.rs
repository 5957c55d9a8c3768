//! Executors in layers of packages (section 8 of the contract).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Executor, Flow, Metadata, Node, NodeBlock, PackageManifest, Task};

use crate::executor::ExecutorKey;
use crate::process::Launch;
use crate::scope::Scope;

use super::Engine;
use super::start::TaskPlan;

/// What a flow puts into the layers of another package.
#[derive(Debug, Clone)]
pub(super) struct Injection {
    flow: PathBuf,
    scripts: Vec<String>,
    /// Folders and files of blocks, and where they are seen.
    binds: Vec<(PathBuf, PathBuf)>,
}

impl Injection {
    /// What the process that makes the layers is told.
    fn words(&self) -> Vec<OsString> {
        let word = |name: &str, value: &OsStr| [name.as_ref(), value].into_iter().collect::<OsString>();
        let mut words = vec![word("--inject-flow=", self.flow.as_os_str())];
        words.extend(self.scripts.iter().map(|script| word("--inject-script=", script.as_ref())));
        for (source, target) in &self.binds {
            let bind = format!("src={},dst={}", source.display(), target.display());
            words.push(word("--bind-paths=", bind.as_ref()));
        }
        words
    }
}

/// Where the entry of an injected node is seen: its folder, or the file itself when it lies directly in the folder of the block.
fn entry_bind(node: &Node, package: &Path) -> Option<(PathBuf, PathBuf)> {
    let NodeBlock::Task { task, .. } = &node.block else { return None };
    let Executor::Process { options, .. } = &task.executor else { return None };
    let entry = flow::clean(Path::new(options.entry.as_ref()?));
    let shown = entry.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(&entry);
    Some((task.dir.join(shown), package.join(shown)))
}

impl Engine<'_> {
    /// Whether executors of a scope run in layers: those of a package whose blocks run here, unless it is left out.
    pub(super) fn is_in_layer(&self, scope: &Scope) -> bool {
        let Some(layers) = &self.setup.options.layers else { return false };
        let files = self.setup.loader.files();
        let manifest = ["package.oo.yaml", "package.oo.yml"].iter().find_map(|name| {
            let path = scope.path.join(name);
            files.read(&path).ok().map(|bytes| (path, bytes))
        });
        let Some((path, bytes)) = manifest else { return false };
        // One that cannot be understood is a mistake that whoever makes the layers tells.
        let about =
            flow::yaml::parse(&path, &bytes).map(|yaml| PackageManifest::read(&yaml)).unwrap_or_default();
        let is_connector = about.name.is_some_and(|name| name.starts_with("@connector/"));
        !layers.exclude.contains(&scope.path)
            && !is_connector
            && !Metadata::read(files, &scope.path).hide_source
    }

    /// The scope of a task in a flow: that of its own package, when there are layers and it is another package's.
    pub(super) fn task_scope(&self, flow: &Scope, task: &Task) -> Scope {
        match (&self.setup.options.layers, &task.package, &task.path) {
            (Some(_), Some(name), Some(path)) => self.package_scope(name, path),
            _ => flow.clone(),
        }
    }

    /// The scope in which a node runs its task, and what that takes. A node that is injected into another package runs in the layers of
    /// that one, where the folder of its entry is seen in the same place below the package; scripts may prepare those layers.
    pub(super) fn injected(
        &self,
        scope: &Scope,
        flow: &Flow,
        node: &Node,
        plan: TaskPlan,
    ) -> Result<(Scope, TaskPlan), String> {
        let scope = self.task_scope(scope, &plan.task);
        let Some((package, _)) = node.inject_package.as_ref().filter(|_| self.setup.options.layers.is_some())
        else {
            return Ok((scope, plan));
        };
        let folder = self.setup.loader.package_folder(flow, package).ok_or_else(|| {
            format!("the package `{package}`, which this node is injected into, is not in the search paths")
        })?;
        let others = flow
            .nodes
            .iter()
            .filter(|other| other.inject_package.as_ref().is_some_and(|(other, _)| other == package));
        let mut injection = Injection { flow: flow.path.clone(), scripts: Vec::new(), binds: Vec::new() };
        injection.scripts.extend(flow.injection.get(package).cloned());
        for other in others {
            injection.scripts.extend(other.inject_package.iter().filter_map(|(_, script)| script.clone()));
            injection.binds.extend(entry_bind(other, &folder));
        }
        injection.binds.sort();
        injection.binds.dedup();
        let apart = format!("{}\n{}", flow.path.display(), plan.apart.unwrap_or_default());
        let task = Arc::new(Task { dir: folder.clone(), ..(*plan.task).clone() });
        let data_dir = self.setup.options.pkg_data_root.join(package);
        let plan = TaskPlan { task, apart: Some(apart), injection: Some(injection), ..plan };
        Ok((Scope { path: folder, data_dir }, plan))
    }

    /// How an executor is started in the layers of its scope.
    pub(super) fn in_layer(
        &self,
        scope: &Scope,
        key: &ExecutorKey,
        program: &str,
        arguments: Vec<OsString>,
    ) -> Launch<'static> {
        let (own, first) =
            self.setup.options.layers.as_ref().map(|layers| layers.command.clone()).unwrap_or_default();
        let runtime = crate::uuid().replace('-', "_");
        let words: [(&str, OsString); 3] = [
            ("--runtime", runtime.clone().into()),
            ("--package", scope.path.clone().into()),
            ("--data-dir", scope.data_dir.clone().into()),
        ];
        let mut all = first;
        all.extend(words.into_iter().flat_map(|(name, value)| [name.into(), value]));
        if let Some(injection) = self.injections.get(key) {
            all.extend(injection.words());
        }
        all.extend(["--".into(), program.into()]);
        all.extend(arguments);
        let folder = self.setup.options.oocana_dir.join("sessions").join(&*self.setup.places.session);
        let log = folder.join(format!("ovmlayer-{}-executor-{}.log", key.name, key.identifier));
        let variables = vec![
            ("IS_FORKED".into(), "1".into()),
            ("OOCANA_PKG_DIR".into(), scope.data_dir.clone().into()),
            ("OVMLAYER_LOG".into(), log.into()),
        ];
        Launch { program: own.into(), arguments: all, folder: None, variables, runtime: Some(runtime) }
    }
}
