//! `run`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use runner::{Error, LayerOptions, Options, Outcome, Payload, WireOptions};
use serde_json::{Map, Value, json};

use crate::cli::Run;
use crate::config::{Config, expand};
use crate::printer;
use crate::progress::Display;

use super::package_layer::surroundings;
use super::{Failed, cwd};

/// How long a block without source may take, in seconds, unless somebody says otherwise.
const REMOTE_TIME: u64 = 1800;

/// Exit statuses.
const STARVED: u8 = 3;
const FAILED: u8 = 255;
const NO_BROKER: u8 = 1;
const USAGE: u8 = 2;

pub(super) fn run(run: Run, config: &Config) -> Result<u8, Failed> {
    if run.dry_run {
        dry_run(&run, config);
        return Ok(0);
    }
    let (is_json, allow_starved) = (run.json, run.allow_starved);
    let mut display = Display::new(run.progress);
    let options = options(run, config)?;
    let outcome = runner::run(&options, &mut display);
    display.clear();
    if is_json {
        printer::text(&outcome_json(&outcome));
    }
    Ok(tell(&outcome, allow_starved))
}

/// Says what went wrong; the exit status.
fn tell(outcome: &Outcome, allow_starved: bool) -> u8 {
    let Some(error) = &outcome.error else {
        for node in &outcome.starved {
            let text = format!("node `{}` never ran: {}", node.place, node.why);
            if allow_starved { printer::warning(&text) } else { printer::error(&text) }
        }
        if outcome.starved.is_empty() || allow_starved {
            return 0;
        }
        printer::hint("`oocana check` tells what is wrong; `--allow-starved` lets it pass");
        return STARVED;
    };
    match error {
        Error::Load(problems) => problems.0.iter().for_each(|problem| printer::error(&problem.to_string())),
        other => printer::error(&other.to_string()),
    }
    match error {
        Error::Broker { .. } => NO_BROKER,
        Error::NoSuchNode { .. } | Error::NoNodes(_) => USAGE,
        _ => FAILED,
    }
}

fn outcome_json(outcome: &Outcome) -> String {
    let status = match &outcome.error {
        Some(Error::Cancelled(_)) => "cancelled",
        Some(_) => "failed",
        None if outcome.starved.is_empty() => "succeeded",
        None => "starved",
    };
    let nodes: Map<String, Value> = outcome
        .nodes
        .iter()
        .map(|(place, count)| {
            (place.clone(), json!({ "started": count.started, "succeeded": count.succeeded }))
        })
        .collect();
    let starved: Vec<Value> =
        outcome.starved.iter().map(|node| json!({ "node": node.place, "why": node.why })).collect();
    let error = outcome.error.as_ref().map(|error| match error {
        Error::Block { place, error } => json!({ "node": place, "message": error }),
        other => json!({ "node": null, "message": other.to_string() }),
    });
    let mut payload = Payload::new();
    payload.text("{\"session\":").json(&outcome.session).text(",\"status\":").json(&status);
    payload.text(",\"outputs\":").map(outcome.outputs.iter().map(|(name, value)| (name.as_str(), value)));
    payload.text(",\"nodes\":").json(&nodes).text(",\"starved\":").json(&starved);
    payload.text(",\"error\":").json(&error).text("}\n");
    payload.to_text()
}

fn dry_run(run: &Run, config: &Config) {
    let search: Vec<String> =
        config.search(&run.search.search_paths).iter().map(|path| path.display().to_string()).collect();
    printer::result(&format!("bind_paths: {}", run.inside.bind_paths.join(" ")));
    printer::result(&format!("search_paths: {}", search.join(",")));
}

fn options(run: Run, config: &Config) -> Result<Options, Failed> {
    let cwd = cwd()?;
    let variables = variables(run.env_file.as_deref(), config)?;
    let known = |name: &str| {
        let listed = variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        std::env::var(name).ok().or(listed).filter(|value| !value.is_empty())
    };
    let own = std::env::current_exe()
        .map_err(|error| Failed::new(format!("this program is not to be found: {error}")))?;
    let layers = layers(&run, &own, config, &cwd)?;
    let folder =
        |path: Option<std::path::PathBuf>| path.map(|path| cwd.join(expand(&path.to_string_lossy())));
    let temp_root = folder(run.temp_root).unwrap_or_else(std::env::temp_dir);
    let mut supervisor = own_words(config);
    supervisor.push("supervise".into());
    Ok(Options {
        inputs: json_map("--inputs", run.inputs.as_deref())?,
        nodes_inputs: nodes_inputs(run.nodes_inputs.as_deref())?,
        search: config.search(&run.search.search_paths),
        session: run.session,
        wire: WireOptions {
            broker: run.broker.or_else(|| config.run.broker.clone()),
            reporter: run.reporter.or(config.run.reporter).unwrap_or(false),
            report_to_console: run.report_to_console,
        },
        verbose: run.verbose,
        debug: run.debug.or(config.run.debug).unwrap_or(false),
        wait_for_client: run.wait_for_client,
        use_cache: run.use_cache,
        nodes: run.nodes,
        session_dir: folder(run.session_dir),
        project_data: folder(run.project_data).unwrap_or_else(|| temp_root.clone()),
        pkg_data_root: folder(run.pkg_data_root).unwrap_or_else(|| temp_root.clone()),
        temp_root,
        oocana_dir: config.oocana_dir(),
        connector_url: run.connector_base_url.or_else(|| known("OOCANA_CONNECTOR_BASE_URL")),
        remote_url: run.remote_block_url.or_else(|| known("OOCANA_REMOTE_BLOCK_URL")),
        remote_timeout: run.remote_block_timeout.unwrap_or(REMOTE_TIME),
        token: known("OOMOL_TOKEN"),
        vault_url: known("OOMOL_VAULT_ADDR"),
        variables,
        supervisor: (own, supervisor),
        layers,
        block: run.block,
        cwd,
    })
}

/// Words that come first when this program starts itself.
fn own_words(config: &Config) -> Vec<OsString> {
    config.file.iter().flat_map(|path| [OsString::from("--config"), path.into()]).collect()
}

/// How executors run in layers, when there is an `ovmlayer` that can do its work.
fn layers(run: &Run, own: &Path, config: &Config, cwd: &Path) -> Result<Option<LayerOptions>, Failed> {
    if packages::Ovmlayer::find().is_err() {
        return Ok(None);
    }
    let with = surroundings(&run.inside, run.env_file.as_deref(), config)?;
    let mut words = own_words(config);
    words.push("in-layer".into());
    for bind in &with.binds {
        words.extend(["--bind-paths".into(), bind.to_mount()]);
    }
    for key in &with.retain {
        words.extend([OsString::from("--retain-env-keys"), key.into()]);
    }
    if let Some(path) = with.env_file {
        words.extend(["--env-file".into(), path.into()]);
    }
    let absolute = |path: &Path| flow::clean(&cwd.join(expand(&path.to_string_lossy())));
    let configured = config.run.exclude_packages.iter().map(|path| absolute(path.as_ref()));
    let exclude = run.exclude_packages.iter().map(|path| absolute(path)).chain(configured).collect();
    let default_package = run.default_package.as_deref().map(absolute);
    Ok(Some(LayerOptions { command: (own.to_owned(), words), exclude, default_package }))
}

/// The variables of the file with variables that are not set already.
fn variables(named: Option<&Path>, config: &Config) -> Result<Vec<(String, String)>, Failed> {
    let Some(path) = named.map(Path::to_owned).or_else(|| config.global.env_file.as_deref().map(expand))
    else {
        return Ok(Vec::new());
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failed::new(format!("cannot read the variables in {}: {error}", path.display())))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='));
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), unquote(value.trim()).to_owned()));
    Ok(pairs.filter(|(name, _)| std::env::var_os(name).is_none()).collect())
}

fn unquote(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

fn json_map(flag: &str, text: Option<&str>) -> Result<Map<String, Value>, Failed> {
    let Some(text) = text else { return Ok(Map::new()) };
    serde_json::from_str(text)
        .map_err(|error| Failed::usage(format!("{flag} must be a JSON object: {error}")))
}

fn nodes_inputs(text: Option<&str>) -> Result<BTreeMap<String, Map<String, Value>>, Failed> {
    let map = json_map("--nodes-inputs", text)?;
    let pairs = map.into_iter().map(|(node, values)| match values {
        Value::Object(values) => Ok((node, values)),
        other => {
            Err(Failed::usage(format!("--nodes-inputs: `{node}` must be an object by handle, not {other}")))
        }
    });
    pairs.collect()
}
