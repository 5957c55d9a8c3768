//! `fetch`: released components into a folder.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cache::Cache;
use http::{Cancel, Http};
use recipe::build::Interrupt;
use releases::{COMPONENTS, Component, Event, Fetched, Github, Secret, Wanted};
use sandbox::Architecture;
use serde_json::json;

use crate::cli::{Cli, Fetch};
use crate::progress::Shown;
use crate::{printer, signals};

/// GitHub's own API.
const GITHUB: &str = "https://api.github.com";

pub(super) fn run(cli: &Cli, fetch: &Fetch) -> Result<ExitCode, Box<dyn Error>> {
    let wanted: Vec<Wanted> =
        COMPONENTS.into_iter().filter_map(|component| wanted(fetch, component)).collect();
    if wanted.is_empty() {
        return Err("there is nothing to fetch: every component is `none`".into());
    }
    let architectures = architectures(fetch)?;
    let cache = match &fetch.cache_dir {
        Some(path) => Cache::open(path)?,
        None => Cache::open(&Cache::default_path()?)?,
    };
    let interrupt = Interrupt::new()?;
    signals::watch(&interrupt)?;
    let cancel = Cancel::from_flag(Arc::clone(interrupt.flag()));
    let variable = |name: &str| set(name);
    let api = fetch.api_url.clone().or_else(|| set("GITHUB_API_URL")).unwrap_or_else(|| GITHUB.to_owned());
    let github = Github::new(&api, Http::new(options(fetch, variable)?, cancel)?);
    let shown = Shown::new(cli.progress, cli.verbose);
    let fetched =
        releases::fetch(&github, &wanted, &architectures, &fetch.out, &cache, &|event| tell(&shown, event));
    shown.finish();
    print(&fetched?, cli.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Those that were asked for, each once.
fn architectures(fetch: &Fetch) -> Result<Vec<String>, &'static str> {
    let mut architectures = fetch.arch.clone();
    if architectures.is_empty() {
        let machine = Architecture::machine()
            .filter(|machine| matches!(machine, Architecture::Amd64 | Architecture::Arm64));
        let machine =
            machine.ok_or("nothing is released for this machine: say `--arch amd64` or `--arch arm64`")?;
        architectures.push(machine.name().to_owned());
    }
    architectures.sort();
    architectures.dedup();
    Ok(architectures)
}

/// A variable of the environment that is set to something.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn options(fetch: &Fetch, variable: impl Fn(&str) -> Option<String>) -> Result<http::Options, http::Failure> {
    let mut options =
        http::Options { proxies: http::Proxies::of_environment(variable)?, ..Default::default() };
    for path in &fetch.ca {
        options.extra_roots.extend(http::Roots::read(path)?);
    }
    if let Some(seconds) = fetch.timeout {
        options.connect_timeout = Duration::from_secs(seconds);
        options.stall_timeout = Duration::from_secs(seconds);
    }
    Ok(options)
}

/// What the command line says about a component; none when it is to be left out.
fn wanted(fetch: &Fetch, component: Component) -> Option<Wanted> {
    let tag = match component.name {
        "oocana" => &fetch.oocana,
        "ovmlayer" => &fetch.ovmlayer,
        _ => &fetch.rootfs,
    };
    let tag = match tag.as_str() {
        "none" => return None,
        "latest" | "" => None,
        tag => Some(tag.to_owned()),
    };
    let named = fetch.repository.iter().rev().find(|(name, _)| name == component.name);
    let repository =
        named.map_or_else(|| component.repository.to_owned(), |(_, repository)| repository.clone());
    let own = format!("GITHUB_TOKEN_{}", component.name.to_uppercase());
    let token = [own.as_str(), "GH_TOKEN", "GITHUB_TOKEN"].into_iter().find_map(set);
    Some(Wanted { component, repository, tag, token: token.map(Secret::new) })
}

fn tell(shown: &Shown, event: Event<'_>) {
    match event {
        Event::Resolved { component, tag } => {
            let json = json!({"event": "resolved", "component": component, "tag": tag});
            shown.tell(&format!("{component}: {tag}"), &json);
        }
        Event::Fetching { asset, size } => {
            let json = json!({"event": "fetching", "asset": asset, "bytes": size});
            shown.tell(&format!("fetching {asset}, {size} bytes"), &json);
        }
        Event::Retrying { asset, failure } => {
            let json = json!({"event": "retrying", "what": asset, "failure": failure});
            shown.tell(&format!("trying again with {asset}: {failure}"), &json);
        }
        _ => {}
    }
}

fn print(fetched: &[Fetched], json: bool) -> Result<(), serde_json::Error> {
    if json {
        let list: Vec<_> = fetched
            .iter()
            .map(|file| {
                json!({
                    "component": file.component,
                    "tag": file.tag,
                    "architecture": file.architecture,
                    "path": file.path,
                    "size": file.size,
                    "sha256": file.digest.to_string(),
                })
            })
            .collect();
        printer::result(&serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    for file in fetched {
        printer::result(&format!("{}  {}  {}", file.digest, file.path.display(), file.tag));
    }
    Ok(())
}
