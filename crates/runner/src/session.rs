//! A session: folders, the broker, the block, the run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use flow::{Block, Disk, Loader, Problems, package_root};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::engine::{Engine, Places, Setup};
use crate::event::Event;
use crate::log::Log;
use crate::mqtt::{Bridge, Broker, Bus};
use crate::process::Launcher;
use crate::report::{Field, Reporter, error_stack, now};
use crate::scope::{Scope, digits};
use crate::{Error, Happening, Observer, Options, Outcome};

/// What is written into the temporary folder of a run that went well, so that the next one removes it.
const MARK: &str = ".oocana_result.json";

/// Runs a block to its end and tells `observer` what happens.
#[must_use]
pub fn run(options: &Options, observer: &mut dyn Observer) -> Outcome {
    let session: Arc<str> = options.session.clone().unwrap_or_else(crate::uuid).into();
    let outcome = try_run(options, &session, observer);
    let mut outcome = outcome.unwrap_or_else(|error| Outcome { error: Some(error), ..Outcome::default() });
    outcome.session = session.to_string();
    outcome
}

fn try_run(options: &Options, session: &Arc<str>, observer: &mut dyn Observer) -> Result<Outcome, Error> {
    let (sender, events) = channel();
    let signal = watch_signals(&sender)?;
    // What a killed supervisor had to watch comes to this process, which then sees to it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(system("watch processes"))?;
    let bus = open_bus(options, session, &sender)?;
    let log = Log::open(&options.oocana_dir.join("sessions").join(&**session), options.verbose);
    let as_text = options.wire.report_to_console && options.verbose;
    let reporter = Reporter { bus: Arc::clone(&bus), session: Arc::clone(session), as_text };
    report_start(options, &reporter, observer);
    let mut loader = Loader::new(Box::new(Disk), &options.search, &options.cwd);
    let block = loader.root(&options.block).inspect_err(|problems| {
        report_failure(options, &reporter, problems, observer);
        bus.close();
    })?;
    let places = make_places(options, session)?;
    let temporary_dir = places.temporary_dir.clone();
    let nodes = match &block {
        Block::Flow(id) => loader.flow(*id).nodes.len(),
        _ => 0,
    };
    observer.happened(&Happening::Started { session, nodes });
    for problem in loader.mistakes() {
        observer.happened(&Happening::Warning(&problem.to_string()));
    }
    let scope = root_scope(options, &loader, &block);
    let launcher = Launcher::new(options.supervisor.clone(), sender.clone());
    let setup = Setup {
        options,
        places,
        loader,
        bus: Arc::clone(&bus),
        reporter,
        launcher,
        events,
        sender,
        signal,
        log,
        observer,
    };
    let outcome = Engine::new(setup).run(block, scope);
    bus.close();
    if outcome.error.is_none() {
        // A folder that cannot be marked is kept, which does no harm.
        let _ = fs::write(temporary_dir.join(MARK), "0");
    }
    Ok(outcome)
}

fn system(doing: &str) -> impl FnOnce(rustix::io::Errno) -> Error {
    let doing = doing.to_owned();
    move |error| Error::System { doing, why: error.to_string() }
}

/// From now on signals that end programs are events.
fn watch_signals(sender: &Sender<Event>) -> Result<Arc<AtomicI32>, Error> {
    let error =
        |error: io::Error| Error::System { doing: "watch for signals".to_owned(), why: error.to_string() };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(error)?;
    let seen = Arc::new(AtomicI32::new(0));
    let (own, sender) = (Arc::clone(&seen), sender.clone());
    let watch = move || {
        for signal in signals.forever() {
            own.store(signal, Ordering::Relaxed);
            let _ = sender.send(Event::Signal(signal));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(error)?;
    Ok(seen)
}

fn open_bus(options: &Options, session: &str, events: &Sender<Event>) -> Result<Arc<dyn Bus>, Error> {
    let Some(address) = &options.wire.broker else {
        let broker = Broker::start(events.clone());
        let broker = broker
            .map_err(|error| Error::System { doing: "open a port".to_owned(), why: error.to_string() })?;
        return Ok(Arc::new(broker));
    };
    // Two sessions of one id must not throw each other out.
    let client = format!("oocana-scheduler-{session}-{}", crate::random::short());
    let bridge = Bridge::start(address, &client, options.wire.reporter, events.clone());
    let bridge =
        bridge.map_err(|error| Error::Broker { address: address.clone(), why: error.to_string() })?;
    Ok(Arc::new(bridge))
}

fn session_fields(options: &Options) -> Vec<(&'static str, Field<'_>)> {
    vec![
        ("path", Field::Text(&options.block)),
        ("partial", Field::Json(options.nodes.is_some().into())),
        ("cache", Field::Json(options.use_cache.into())),
    ]
}

fn report_start(options: &Options, reporter: &Reporter, observer: &mut dyn Observer) {
    let mut fields = vec![("create_at", now())];
    fields.extend(session_fields(options));
    if let Some(text) = reporter.session("SessionStarted", &fields) {
        observer.happened(&Happening::Report(&text));
    }
}

fn report_failure(options: &Options, reporter: &Reporter, problems: &Problems, observer: &mut dyn Observer) {
    let text = problems.to_string();
    let mut fields = vec![("finish_at", now())];
    fields.extend(session_fields(options));
    fields.push(("error", Field::Text(&text)));
    fields.push(("_error", Field::Json(error_stack(std::slice::from_ref(&text)))));
    if let Some(text) = reporter.session("SessionFinished", &fields) {
        observer.happened(&Happening::Report(&text));
    }
}

/// Makes the folders of a session.
fn make_places(options: &Options, session: &Arc<str>) -> Result<Places, Error> {
    let session_dir = options.session_dir.clone().unwrap_or_else(|| std::env::temp_dir().join(&**session));
    let temporary_dir = temporary_dir(options);
    if temporary_dir.join(MARK).exists() {
        // What the last run has left; a folder that cannot be removed is used as it is.
        let _ = fs::remove_dir_all(&temporary_dir);
    }
    for folder in [&session_dir, &temporary_dir, &options.project_data] {
        fs::create_dir_all(folder).map_err(|error| Error::System {
            doing: format!("make the folder {}", folder.display()),
            why: error.to_string(),
        })?;
    }
    Ok(Places { session: Arc::clone(session), session_dir, temporary_dir })
}

/// The folder for temporary files of a block: the name of its folder, and what tells it from others of that name.
fn temporary_dir(options: &Options) -> PathBuf {
    let path = options.cwd.join(&options.block);
    let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
    let name =
        folder.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    options.temp_root.join(format!("{name}-{}", digits(&path.to_string_lossy(), 8)))
}

/// The scope of what is run: its package, or else where the runner was started.
fn root_scope(options: &Options, loader: &Loader, block: &Block) -> Scope {
    let path = match block {
        Block::Flow(id) => Some(loader.flow(*id).path.clone()),
        Block::Task(task) => task.path.clone(),
        Block::Service(service) => Some(service.service.path.clone()),
    };
    let package = path.as_deref().and_then(package_root).filter(|path| path.is_dir()).map(Path::to_owned);
    let path = package.unwrap_or_else(|| options.cwd.clone());
    Scope { path, data_dir: options.project_data.clone() }.redirected(options)
}
