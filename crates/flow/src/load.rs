//! Blocks with everything that they refer to: the graph that is run.

mod loader;
mod root;
mod slots;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::manifest::{Executor, ServiceExecutor};
use crate::{Condition, Handle, Handles, Place, SlotProvider};

pub use loader::Loader;

/// A flow of a [`Loader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub(crate) usize);

/// What can be run.
#[derive(Debug, Clone)]
pub enum Block {
    /// A task.
    Task(Arc<Task>),
    /// A flow.
    Flow(FlowId),
    /// A block of a service.
    Service(Arc<ServiceUse>),
}

/// A task and where it lies.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its manifest; `None` for one that stands in a flow.
    pub path: Option<PathBuf>,
    /// The folder that its files are looked up in.
    pub dir: PathBuf,
    /// For people.
    pub description: Option<String>,
    /// What runs it.
    pub executor: Executor,
    /// Input handles.
    pub inputs: Option<Handles>,
    /// Output handles.
    pub outputs: Option<Handles>,
    /// Whether nodes may add input handles.
    pub additional_inputs: bool,
    /// Whether nodes may add output handles.
    pub additional_outputs: bool,
    /// The package that the reference names, when it is another one.
    pub package: Option<String>,
}

impl Task {
    /// The manifest, or the flow that it stands in, as a name for people.
    #[must_use]
    pub fn name(&self) -> String {
        let path = self.path.as_deref().and_then(Path::parent).unwrap_or(&self.dir);
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }
}

/// A service and where it lies.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its manifest.
    pub path: PathBuf,
    /// The folder of the manifest.
    pub dir: PathBuf,
    /// What runs it.
    pub executor: ServiceExecutor,
    /// The package that the reference names, when it is another one.
    pub package: Option<String>,
}

/// One block of a service.
#[derive(Debug, Clone)]
pub struct ServiceUse {
    /// The service.
    pub service: Service,
    /// The name of the block.
    pub block: String,
    /// Input handles.
    pub inputs: Option<Handles>,
    /// Output handles.
    pub outputs: Option<Handles>,
}

/// What kind a flow is, by the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowKind {
    /// `flow.oo.yaml`
    Flow,
    /// `subflow.oo.yaml`
    Subflow,
    /// `slotflow.oo.yaml` and any other name
    Slotflow,
}

impl FlowKind {
    /// The kind that a file is.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is = |stem: &str| {
            name.ends_with(&format!("{stem}.oo.yaml")) || name.ends_with(&format!("{stem}.oo.yml"))
        };
        match () {
            () if is("subflow") => Self::Subflow,
            () if is("slotflow") => Self::Slotflow,
            () if is("flow") => Self::Flow,
            () => Self::Slotflow,
        }
    }
}

/// A flow: nodes, and where values go.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Its manifest.
    pub path: PathBuf,
    /// What kind it is.
    pub kind: FlowKind,
    /// For people.
    pub description: Option<String>,
    /// Input handles.
    pub inputs: Handles,
    /// Output handles.
    pub outputs: Handles,
    /// All nodes that run: none of constants, none that is ignored.
    pub nodes: Vec<Node>,
    /// Where the values of input handles go.
    pub from_inputs: HashMap<String, Vec<Target>>,
    /// The nodes whose previews are those of this flow.
    pub forward_previews: Vec<String>,
    /// Scripts that prepare the layers of other packages, by package.
    pub injection: BTreeMap<String, String>,
}

impl Flow {
    /// The folder of the manifest.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The number of a node.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To an input of a node, both by number.
    Node {
        /// The node.
        node: usize,
        /// Its input.
        input: usize,
    },
    /// Out of the flow, by this handle.
    Output(String),
}

/// A node that runs.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name in the flow.
    pub id: String,
    /// For people.
    pub description: Option<String>,
    /// What it runs.
    pub block: NodeBlock,
    /// Its inputs and where their values come from.
    pub inputs: Vec<Input>,
    /// Its output handles; without the list every output is dropped.
    pub outputs: Option<Handles>,
    /// Where the values of its output handles go.
    pub targets: HashMap<String, Vec<Target>>,
    /// How many jobs at once; `None` for any number.
    pub concurrency: Option<usize>,
    /// How long a job may take, in seconds.
    pub timeout: Option<u64>,
    /// Its part of the progress of the flow.
    pub weight: f64,
    /// The node in whose process it runs.
    pub inject_node: Option<String>,
    /// The package into whose layer it goes, and the script that prepares that.
    pub inject_package: Option<(String, Option<String>)>,
    /// Parts of inputs that are secrets, by handle, as executors take them.
    pub secrets: Map<String, Value>,
    /// Where it stands.
    pub place: Place,
}

/// What a node runs.
#[derive(Debug, Clone)]
pub enum NodeBlock {
    /// A task.
    Task {
        /// The task.
        task: Arc<Task>,
        /// Whether it stands in the flow itself.
        inline: bool,
    },
    /// A flow, and what fills its slots.
    Flow {
        /// The flow.
        flow: FlowId,
        /// By slot node.
        slots: Arc<HashMap<String, SlotProvider>>,
        /// The package that the reference names, when it is another one.
        package: Option<String>,
    },
    /// Whatever the user of the flow fills this slot with.
    Slot,
    /// A block of a service.
    Service(Arc<ServiceUse>),
    /// Which way a value goes.
    Condition(Condition),
}

impl NodeBlock {
    /// What to call it.
    #[must_use]
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Task { .. } => "task",
            Self::Flow { .. } => "subflow",
            Self::Slot => "slot",
            Self::Service(_) => "service",
            Self::Condition(_) => "condition",
        }
    }
}

/// An input of a node.
#[derive(Debug, Clone)]
pub struct Input {
    /// The handle.
    pub handle: Handle,
    /// The value that it always has, unless it is connected.
    pub constant: Option<Value>,
    /// Where values come from.
    pub sources: Vec<InputSource>,
    /// Whether the last value is used again when no new one has come.
    pub remembers: bool,
}

/// Where values of an input come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputSource {
    /// An output handle of a node, by number.
    Node(usize, String),
    /// An input handle of the flow.
    Flow(String),
}

impl Input {
    /// Whether values come from elsewhere.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.sources.is_empty()
    }
}

/// The root of the package that a manifest belongs to: three folders up (`a/b/tasks/x/task.oo.yaml` → `a/b`).
#[must_use]
pub fn package_root(manifest: &Path) -> Option<&Path> {
    manifest.ancestors().nth(3).filter(|path| !path.as_os_str().is_empty())
}
