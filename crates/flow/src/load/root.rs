//! The block that a command line names.

use std::path::{Path, PathBuf};

use crate::reference::clean;
use crate::{Problems, Search};

use super::{Block, Loader};

/// Manifests that a folder may have, in the order in which they are tried.
const STEMS: [&str; 6] = ["flow", "subflow", "slotflow", "block", "task", "service"];

/// Both endings of manifests.
const ENDINGS: [&str; 2] = [".oo.yaml", ".oo.yml"];

impl Loader {
    /// The block that `argument` names: a manifest, a folder with one, or a reference.
    ///
    /// # Errors
    /// When there is none, or something in it or in what it refers to is wrong.
    pub fn root(&mut self, argument: &str) -> Result<Block, Problems> {
        let path = clean(&self.cwd.join(argument));
        match self.manifest_at(&path) {
            Some(manifest) => self.manifest(&manifest),
            None if self.files().is_dir(&path) => {
                let names = STEMS.map(|stem| format!("{stem}.oo.yaml")).join(", ");
                Err(Problems::of_file(&path, format!("this folder has none of {names}")))
            }
            None if argument.contains("::") => {
                let cwd = self.cwd.clone();
                self.reference_from(&cwd, &cwd, argument)
            }
            None => Err(Problems::of_file(&path, "there is no such file or folder")),
        }
    }

    fn manifest_at(&self, path: &Path) -> Option<PathBuf> {
        if self.files().is_file(path) {
            return Some(path.to_owned());
        }
        if self.files().is_dir(path) {
            let names = STEMS.iter().flat_map(|stem| ENDINGS.map(|ending| format!("{stem}{ending}")));
            return names.map(|name| path.join(name)).find(|path| self.files().is_file(path));
        }
        let with = |ending: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        ENDINGS.iter().map(|ending| with(ending)).find(|path| self.files().is_file(path))
    }

    /// A manifest by its name; one with another name by what it holds.
    fn manifest(&mut self, path: &Path) -> Result<Block, Problems> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let kind = match name.split(".oo.").next() {
            Some("task" | "block") => Search::Task,
            Some("service") => Search::Service,
            Some("flow" | "subflow" | "slotflow") => Search::Subflow,
            _ => self.kind_by_content(path),
        };
        let block = match kind {
            Search::Task => self.task(path, None).map(Block::Task),
            Search::Service => {
                let message = "is a service; a service runs inside a flow, by a node `service: PACKAGE::SERVICE::BLOCK`";
                return Err(Problems::of_file(path, message));
            }
            Search::Subflow | Search::Slotflow => self.load_flow(path).map(Block::Flow),
        };
        self.finish(block)
    }

    fn kind_by_content(&self, path: &Path) -> Search {
        let bytes = self.files().read(path).unwrap_or_default();
        let value = crate::yaml::parse(path, &bytes).map(|yaml| yaml.to_json()).unwrap_or_default();
        match () {
            () if value.get("blocks").is_some() && value.get("nodes").is_none() => Search::Service,
            () if value.get("executor").is_some() && value.get("nodes").is_none() => Search::Task,
            () => Search::Subflow,
        }
    }
}
