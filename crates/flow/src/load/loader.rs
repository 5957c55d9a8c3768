//! Reads manifests, each once, and joins them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fields::Notes;
use crate::manifest::{FlowManifest, NodeKind, ServiceManifest, TaskManifest};
use crate::reference::{Reference, clean};
use crate::resolve::Resolver;
use crate::yaml::{self, Yaml};
use crate::{Files, Handles, Place, Problem, Problems, Search, SearchPath, Severity};

use super::slots::Derived;
use super::wire::Wiring;
use super::{Block, Flow, FlowId, FlowKind, Service, ServiceUse, Task, package_root};

/// How deep slotflows may lie in one another. Other flows may refer to each other in circles, because each is loaded once.
const MAX_DEPTH: usize = 50;

/// Reads a block and all that it refers to.
pub struct Loader {
    files: Box<dyn Files + Send>,
    search: Vec<SearchPath>,
    pub(super) cwd: PathBuf,
    flows: Vec<Slot>,
    by_path: HashMap<PathBuf, FlowId>,
    tasks: HashMap<PathBuf, Option<Arc<TaskManifest>>>,
    pub(super) derived: Vec<Derived>,
    depth: usize,
    pub(super) notes: Notes,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("search", &self.search)
            .field("flows", &self.flows.len())
            .finish_non_exhaustive()
    }
}

/// A flow that is there, or one that is being loaded: others may refer to it already.
pub(super) struct Slot {
    pub(super) head: Arc<Head>,
    pub(super) flow: Option<Arc<Flow>>,
}

/// What others need to know of a flow.
pub(super) struct Head {
    pub(super) inputs: Handles,
    pub(super) outputs: Handles,
    /// Input and output handles of slot nodes.
    pub(super) slots: HashMap<String, (Handles, Handles)>,
}

impl Loader {
    /// A loader that looks for packages in `search`. Paths are taken from `cwd`, which must be absolute.
    #[must_use]
    pub fn new(files: Box<dyn Files + Send>, search: &[SearchPath], cwd: &Path) -> Self {
        Self {
            files,
            search: search.iter().map(|path| clean(&cwd.join(path))).collect(),
            cwd: cwd.to_owned(),
            flows: Vec::new(),
            by_path: HashMap::new(),
            tasks: HashMap::new(),
            derived: Vec::new(),
            depth: 0,
            notes: Notes::default(),
        }
    }

    /// A flow that was loaded.
    ///
    /// # Panics
    /// When it is another loader's, or one that could not be loaded.
    #[must_use]
    pub fn flow(&self, id: FlowId) -> Arc<Flow> {
        Arc::clone(self.flows[id.0].flow.as_ref().expect("blocks are given out when all of them are loaded"))
    }

    /// All flows that were loaded, in the order of their ids.
    pub fn flows(&self) -> impl Iterator<Item = (FlowId, &Arc<Flow>)> {
        let flows = self.flows.iter().enumerate();
        flows.filter_map(|(index, slot)| Some((FlowId(index), slot.flow.as_ref()?)))
    }

    /// What is wrong with what was loaded, but does not keep it from running.
    #[must_use]
    pub fn mistakes(&self) -> &[Problem] {
        &self.notes.0
    }

    /// The search paths, absolute.
    #[must_use]
    pub fn search(&self) -> &[SearchPath] {
        &self.search
    }

    /// What manifests are read with.
    #[must_use]
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// The block that `reference` means in a flow: a task, else a subflow.
    ///
    /// # Errors
    /// When there is none, or something in it is wrong.
    pub fn block_in(&mut self, flow: &Flow, reference: &str) -> Result<Block, Problems> {
        self.reference_from(flow.dir(), package_root(&flow.path).unwrap_or(Path::new("/")), reference)
    }

    pub(super) fn reference_from(
        &mut self,
        dir: &Path,
        package: &Path,
        text: &str,
    ) -> Result<Block, Problems> {
        let place = Place::file(dir);
        let named = Reference::parse(text).package().map(str::to_owned);
        let find = |kind| self.resolver().find(text, kind, dir, package);
        match find(Search::Task) {
            Ok(path) => {
                let task = self.task(&path, named);
                self.finish(task.map(Block::Task))
            }
            Err(mut tried) => match find(Search::Subflow) {
                Ok(path) => {
                    let id = self.load_flow(&path);
                    self.finish(id.map(Block::Flow))
                }
                Err(more) => {
                    tried.extend(more);
                    Err(Problems(vec![Problem::error(place, not_found("block", text, &tried))]))
                }
            },
        }
    }

    /// The folder of the package that a flow means by a name.
    #[must_use]
    pub fn package_folder(&self, flow: &Flow, name: &str) -> Option<PathBuf> {
        self.resolver().package_folder(name, flow.dir(), package_root(&flow.path).unwrap_or(Path::new("/")))
    }

    pub(super) fn resolver(&self) -> Resolver<'_, dyn Files + Send> {
        Resolver { files: &*self.files, search: &self.search }
    }

    /// Looks a reference up; a problem when there is nothing.
    pub(super) fn find(&mut self, text: &str, kind: Search, flow: &Path, place: &Place) -> Option<PathBuf> {
        let dir = flow.parent().unwrap_or(Path::new("/"));
        let package = package_root(flow).unwrap_or(Path::new("/"));
        match self.resolver().find(text, kind, dir, package) {
            Ok(path) => Some(path),
            Err(tried) => {
                self.notes.error(place, not_found(kind.noun(), text, &tried));
                None
            }
        }
    }

    /// Ends one load: what was derived is made, and problems that keep things from running become an error.
    pub(super) fn finish<T>(&mut self, loaded: Option<T>) -> Result<T, Problems> {
        self.derive();
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if let (Some(loaded), false) = (loaded, self.notes.0.iter().any(is_error)) {
            return Ok(loaded);
        }
        let (mut errors, mistakes): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.notes.0).into_iter().partition(is_error);
        errors.extend(mistakes);
        // A flow that has errors must be read again, should somebody ask for it again.
        self.by_path.clear();
        self.tasks.clear();
        Err(Problems(errors))
    }

    pub(super) fn parse(&mut self, path: &Path) -> Option<Yaml> {
        let result = match self.files.read(path) {
            Ok(bytes) => yaml::parse(path, &bytes),
            Err(error) => Err(Problems::of_file(path, format!("cannot be read: {error}"))),
        };
        result.map_err(|problems| self.notes.0.extend(problems.0)).ok()
    }

    /// A flow by its manifest, loaded once.
    pub(super) fn load_flow(&mut self, path: &Path) -> Option<FlowId> {
        if let Some(id) = self.by_path.get(path) {
            return Some(*id);
        }
        let manifest = self.flow_manifest(path)?;
        let id = self.reserve(Head::of(&manifest));
        self.by_path.insert(path.to_owned(), id);
        self.fill(id, path, &manifest);
        Some(id)
    }

    /// A slotflow with the inputs that a slot gives it.
    pub(super) fn load_slotflow(&mut self, path: &Path, inputs: Handles, place: &Place) -> Option<FlowId> {
        if self.depth >= MAX_DEPTH {
            self.notes.error(place, format!("slotflows refer to one another more than {MAX_DEPTH} deep"));
            return None;
        }
        let mut manifest = self.flow_manifest(path)?;
        manifest.inputs = inputs;
        let id = self.reserve(Head::of(&manifest));
        self.depth += 1;
        self.fill(id, path, &manifest);
        self.depth -= 1;
        Some(id)
    }

    fn flow_manifest(&mut self, path: &Path) -> Option<FlowManifest> {
        let yaml = self.parse(path)?;
        Some(FlowManifest::read(&yaml, &mut self.notes))
    }

    fn fill(&mut self, id: FlowId, path: &Path, manifest: &FlowManifest) {
        let nodes = Wiring::new(self, path, manifest).nodes();
        let flow = Flow {
            path: path.to_owned(),
            kind: FlowKind::of(path),
            description: manifest.description.clone(),
            inputs: manifest.inputs.clone(),
            outputs: manifest.outputs.clone(),
            nodes: nodes.nodes,
            from_inputs: nodes.from_inputs,
            forward_previews: manifest.forward_previews.clone(),
            injection: manifest.injection.clone(),
        };
        self.flows[id.0].flow = Some(Arc::new(flow));
    }

    pub(super) fn reserve(&mut self, head: Head) -> FlowId {
        self.flows.push(Slot { head: Arc::new(head), flow: None });
        FlowId(self.flows.len() - 1)
    }

    pub(super) fn head(&self, id: FlowId) -> Arc<Head> {
        Arc::clone(&self.flows[id.0].head)
    }

    pub(super) fn put(&mut self, id: FlowId, flow: Flow) {
        self.flows[id.0].flow = Some(Arc::new(flow));
    }

    pub(super) fn loaded(&self, id: FlowId) -> Option<Arc<Flow>> {
        self.flows[id.0].flow.clone()
    }

    /// A task by its manifest, read once.
    pub(super) fn task(&mut self, path: &Path, package: Option<String>) -> Option<Arc<Task>> {
        if !self.tasks.contains_key(path) {
            let yaml = self.parse(path);
            let manifest = yaml.and_then(|yaml| TaskManifest::read(&yaml, &mut self.notes));
            self.tasks.insert(path.to_owned(), manifest.map(Arc::new));
        }
        let manifest = self.tasks.get(path)?.clone()?;
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        Some(Arc::new(Task { path: Some(path.to_owned()), package, ..Task::of(&manifest, dir) }))
    }

    /// A block of a service.
    pub(super) fn service(
        &mut self,
        path: &Path,
        block: &str,
        package: Option<String>,
        place: &Place,
    ) -> Option<Arc<ServiceUse>> {
        let yaml = self.parse(path)?;
        let manifest = ServiceManifest::read(&yaml, &mut self.notes)?;
        let Some(found) = manifest.blocks.iter().find(|known| known.name == block) else {
            let known: Vec<String> =
                manifest.blocks.iter().map(|block| format!("`{}`", block.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("the service {} has no block `{block}`; it has {known}", path.display());
            self.notes.error(place, message);
            return None;
        };
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        Some(Arc::new(ServiceUse {
            service: Service { path: path.to_owned(), dir, executor: manifest.executor.clone(), package },
            block: block.to_owned(),
            inputs: found.inputs.clone(),
            outputs: found.outputs.clone(),
        }))
    }
}

impl Task {
    /// A task that stands in a flow.
    pub(super) fn of(manifest: &TaskManifest, dir: PathBuf) -> Self {
        Self {
            path: None,
            dir,
            description: manifest.description.clone(),
            executor: manifest.executor.clone(),
            inputs: manifest.inputs.clone(),
            outputs: manifest.outputs.clone(),
            additional_inputs: manifest.additional_inputs,
            additional_outputs: manifest.additional_outputs,
            package: None,
        }
    }
}

impl Head {
    fn of(manifest: &FlowManifest) -> Self {
        let slots = manifest.nodes.iter().filter(|node| !node.ignore).filter_map(|node| match &node.kind {
            NodeKind::Slot { inputs, outputs } => Some((node.id.clone(), (inputs.clone(), outputs.clone()))),
            _ => None,
        });
        Self { inputs: manifest.inputs.clone(), outputs: manifest.outputs.clone(), slots: slots.collect() }
    }
}

pub(super) fn not_found(noun: &str, text: &str, tried: &[PathBuf]) -> String {
    let mut message = format!("the {noun} `{text}` is not there; looked for ");
    let shown: Vec<String> = tried.iter().take(8).map(|path| path.display().to_string()).collect();
    message.push_str(&shown.join(", "));
    if tried.len() > shown.len() {
        message.push_str(&format!(" and {} more", tried.len() - shown.len()));
    }
    message.push_str(" (also .oo.yml)");
    message
}
