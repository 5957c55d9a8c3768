//! `query`: what programs ask about flows. The forms of the answers are those that launchers parse.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Block, Flow, Loader, NodeBlock, package_root};
use serde_json::{Map, Value, json};

use crate::cli::Query;
use crate::config::Config;
use crate::printer;

use super::{Failed, load, loader, write};

pub(super) fn run(query: Query, config: &Config) -> Result<u8, Failed> {
    match query {
        Query::Upstream { flow, nodes, use_cache, search } => {
            let mut loader = loader(config, &search)?;
            let flow = load_flow(&mut loader, &flow)?;
            upstream(&flow, &nodes, use_cache.then(|| config.oocana_dir()))?;
        }
        Query::Package { flow, search } => {
            let mut loader = loader(config, &search)?;
            load_flow(&mut loader, &flow)?;
            // Without `ovmlayer` there are no layers.
            let layers = super::package_layer::layers(config).ok();
            for path in packages(&loader) {
                let status = layers.as_ref().map(|layers| layers.status(&path, None, None)).transpose();
                let status = status.map_err(|error| Failed::new(error.to_string()))?;
                let exists = status == Some(packages::Status::Exist);
                printer::result(&format!("package-status: {}:\"{exists}\"", json!(path)));
            }
        }
        Query::Inputs { block, output, search } => {
            let mut loader = loader(config, &search)?;
            let inputs = match load(&mut loader, &block)? {
                Block::Task(task) => task.inputs.clone(),
                Block::Service(service) => service.inputs.clone(),
                Block::Flow(id) => Some(loader.flow(id).inputs.clone()).filter(|inputs| !inputs.is_empty()),
            };
            let map = inputs.map(|inputs| {
                inputs.iter().map(|handle| (handle.name.clone(), handle.to_json(true))).collect::<Map<_, _>>()
            });
            write(output.as_ref(), &format!("{}\n", json!(map)))?;
        }
        Query::NodesInputs { flow, output, search } => {
            let mut loader = loader(config, &search)?;
            let flow = load_flow(&mut loader, &flow)?;
            write(output.as_ref(), &format!("{}\n", nodes_inputs(&flow)))?;
        }
        Query::Service { flow, search } => {
            let mut loader = loader(config, &search)?;
            load_flow(&mut loader, &flow)?;
            services(&loader);
        }
    }
    Ok(0)
}

fn load_flow(loader: &mut Loader, name: &str) -> Result<Arc<Flow>, Failed> {
    match load(loader, name)? {
        Block::Flow(id) => Ok(loader.flow(id)),
        _ => Err(Failed::new(format!("{name} is no flow"))),
    }
}

fn upstream(flow: &Flow, nodes: &[String], cache: Option<PathBuf>) -> Result<(), Failed> {
    let kept = cache.map(|folder| runner::Cache::new(&folder));
    let has_value = |node: usize, handle: &str| {
        kept.as_ref().is_some_and(|cache| cache.has(&flow.path, &flow.nodes[node].id, handle))
    };
    let selection = flow::select(flow, nodes, has_value)
        .map_err(|unknown| Failed::new(format!("there is no node {} in the flow", unknown.join(", "))))?;
    let names = |numbers: &mut dyn Iterator<Item = usize>| {
        numbers.map(|number| flow.nodes[number].id.as_str()).collect::<Vec<_>>().join(",")
    };
    let waiting: BTreeSet<usize> = selection.middle.iter().chain(&selection.end).copied().collect();
    printer::result(&format!("run:{}", names(&mut selection.start.iter().copied())));
    printer::result(&format!("waiting:{}", names(&mut waiting.into_iter())));
    printer::result(&format!("whole:{}", names(&mut selection.all().into_iter())));
    Ok(())
}

/// The packages that all blocks belong to.
fn packages(loader: &Loader) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut add = |path: &Path| found.extend(package_root(path).map(Path::to_owned));
    for (_, flow) in loader.flows() {
        add(&flow.path);
        for node in &flow.nodes {
            match &node.block {
                NodeBlock::Task { task, .. } => task.path.iter().for_each(|path| add(path)),
                NodeBlock::Service(service) => add(&service.service.path),
                _ => {}
            }
        }
    }
    found
}

fn nodes_inputs(flow: &Flow) -> Value {
    let nodes = flow.nodes.iter().map(|node| {
        let inputs = node.inputs.iter().filter(|input| !input.is_connected());
        let inputs = inputs.map(|input| {
            let mut definition = input.handle.to_json(true);
            if let (Some(value), Some(map)) = (&input.constant, definition.as_object_mut()) {
                map.insert("value".to_owned(), value.clone());
            }
            definition
        });
        (node.id.clone(), Value::Array(inputs.collect()))
    });
    Value::Object(
        nodes.filter(|(_, inputs)| inputs.as_array().is_some_and(|list| !list.is_empty())).collect(),
    )
}

fn services(loader: &Loader) {
    let mut seen = BTreeSet::new();
    for (_, flow) in loader.flows() {
        for node in &flow.nodes {
            let NodeBlock::Service(service) = &node.block else { continue };
            let service = &service.service;
            if !seen.insert(service.dir.clone()) {
                continue;
            }
            let mut map = Map::new();
            map.insert("dir".to_owned(), json!(service.dir));
            map.insert("service_hash".to_owned(), json!(runner::service_hash(&service.dir)));
            map.insert("is_global".to_owned(), json!(service.executor.is_global()));
            if let Some(entry) = &service.executor.entry {
                map.insert("entry".to_owned(), json!(entry));
            }
            if let Some(package) = package_root(&service.path) {
                map.insert("package".to_owned(), json!(package));
            }
            printer::result(&format!("service: {}", Value::Object(map)));
        }
    }
}
