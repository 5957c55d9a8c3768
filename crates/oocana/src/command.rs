//! What each command does.

mod in_layer;
mod package_layer;
mod query;
mod run;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use flow::{Block, Disk, Loader};
use serde_json::json;

use crate::cli::{Cache, Check, Cli, Command, Format, Graph, Search};
use crate::config::Config;
use crate::printer;

/// Something that went wrong, and the status to exit with.
#[derive(Debug)]
pub(crate) struct Failed {
    message: String,
    status: u8,
}

impl Failed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1 }
    }

    /// The command line itself is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 2 }
    }
}

/// Runs the command.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let config = cli.config;
    let result = match cli.command {
        Command::Supervise { runtime: None, command } => return supervise(&command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "oocana", &mut script);
            printer::text(&String::from_utf8_lossy(&script));
            Ok(0)
        }
        Command::Manual { folder } => {
            clap_mangen::generate_to(Cli::command(), &folder).map(|()| 0).map_err(|error| {
                Failed::new(format!("cannot write manual pages to {}: {error}", folder.display()))
            })
        }
        other => Config::read(config.as_deref())
            .map_err(Failed::new)
            .and_then(|config| with_config(other, &config)),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failed) => {
            printer::error(&failed.message);
            ExitCode::from(failed.status)
        }
    }
}

fn with_config(command: Command, config: &Config) -> Result<u8, Failed> {
    match command {
        Command::Run(options) => run::run(*options, config),
        Command::Check(options) => check(&options, config),
        Command::Graph(options) => graph(&options, config),
        Command::Query(query) => query::run(query, config),
        Command::Cache(Cache::Clear) => {
            let cache = runner::Cache::new(&config.oocana_dir());
            cache.clear().map_err(|error| Failed::new(format!("cannot remove the cache: {error}")))?;
            Ok(0)
        }
        Command::PackageLayer(action) => package_layer::run(action, config),
        Command::Supervise { runtime: Some(runtime), command } => {
            in_layer::supervise(&runtime, config, || supervise(&command))
        }
        Command::InLayer(options) => in_layer::run(options, config),
        Command::Completions { .. } | Command::Manual { .. } | Command::Supervise { .. } => Ok(0),
    }
}

fn supervise(command: &[std::ffi::OsString]) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else { return ExitCode::from(2) };
    match runner::supervise(program, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer::error(&format!("cannot watch over {}: {error}", program.display()));
            ExitCode::FAILURE
        }
    }
}

/// The folder that paths begin in.
pub(crate) fn cwd() -> Result<PathBuf, Failed> {
    std::env::current_dir().map_err(|error| Failed::new(format!("there is no current folder: {error}")))
}

pub(crate) fn loader(config: &Config, search: &Search) -> Result<Loader, Failed> {
    Ok(Loader::new(Box::new(Disk), &config.search(&search.search_paths), &cwd()?))
}

/// The block that the command line names.
pub(crate) fn load(loader: &mut Loader, block: &str) -> Result<Block, Failed> {
    loader.root(block).map_err(|problems| Failed::new(problems.to_string()))
}

fn check(options: &Check, config: &Config) -> Result<u8, Failed> {
    let mut loader = loader(config, &options.search)?;
    let problems = match loader.root(&options.block) {
        Ok(Block::Task(task)) => {
            flow::check_task(&loader, &task).into_iter().chain(loader.mistakes().to_vec()).collect()
        }
        Ok(_) => flow::check(&loader),
        Err(problems) => problems.0,
    };
    if options.json {
        let list: Vec<_> = problems
            .iter()
            .map(|problem| {
                let place = &problem.place;
                json!({ "file": &*place.file, "line": place.line, "column": place.column, "message": problem.message,
                    "fatal": problem.severity == flow::Severity::Error })
            })
            .collect();
        printer::result(&format!("{:#}", json!(list)));
    } else {
        problems.iter().for_each(|problem| printer::result(&problem.to_string()));
    }
    Ok(u8::from(!problems.is_empty()))
}

fn graph(options: &Graph, config: &Config) -> Result<u8, Failed> {
    let mut loader = loader(config, &options.search)?;
    let Block::Flow(id) = load(&mut loader, &options.flow)? else {
        return Err(Failed::new(format!("{} is no flow", options.flow)));
    };
    let flow = loader.flow(id);
    let picture = match options.format {
        Format::Svg => flow::draw::svg(&flow),
        Format::Mermaid => flow::draw::mermaid(&flow),
    };
    write(options.out.as_ref(), &picture)?;
    Ok(0)
}

/// Writes to a file, or to standard output.
pub(crate) fn write(out: Option<&PathBuf>, text: &str) -> Result<(), Failed> {
    let Some(path) = out else {
        printer::text(text);
        return Ok(());
    };
    fs::write(path, text).map_err(|error| Failed::new(format!("cannot write {}: {error}", path.display())))
}
