//! Executors in layers of packages (section 8 of the contract).

use std::ffi::OsString;

use flow::{Flow, Metadata, PackageManifest, Task};

use crate::executor::ExecutorKey;
use crate::process::Launch;
use crate::scope::Scope;

use super::Engine;

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

    /// Says which nodes want to be installed into another package.
    pub(super) fn warn_of_injections(&mut self, flow: &Flow) {
        if self.setup.options.layers.is_none() {
            return;
        }
        for node in &flow.nodes {
            if let Some((package, _)) = &node.inject_package {
                let id = &node.id;
                self.warn(&format!(
                    "node `{id}` runs in the layers of its own package, not in those of `{package}`"
                ));
            }
        }
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
