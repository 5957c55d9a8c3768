//! The engine as a program, for tests that need other processes, users and namespaces.
//!
//! ```text
//! layers STORE [--boot ID] VERB ARGUMENT…     STORE is the default store; the configuration is in $HOME
//! ```

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use ovmlayer_layers::{Engine, Environment, Filter, LayerName, PointName, Setup};

type Done = Result<(), Box<dyn Error>>;

fn run(arguments: &[String]) -> Done {
    let mut env = Environment::of_process()?;
    let [store, rest @ ..] = arguments else { return Err("STORE VERB ARGUMENT…".into()) };
    env.default_store = store.into();
    let rest = match rest {
        [option, id, rest @ ..] if option == "--boot" => {
            env.boot_id.clone_from(id);
            rest
        }
        _ => rest,
    };
    let [verb, rest @ ..] = rest else { return Err("VERB ARGUMENT…".into()) };
    match (verb.as_str(), rest) {
        ("setup", [runtime, rootfs_path, more @ ..]) => {
            let setup = Setup::Stores {
                runtime: runtime.into(),
                external: more.first().map(PathBuf::from),
                read_only: more.iter().skip(1).map(PathBuf::from).collect(),
                rootfs_path: rootfs_path.into(),
                rootfs_tar: std::env::var_os("ROOTFS_TAR").map(PathBuf::from),
            };
            report(&Engine::setup(&env, &setup)?.notes)
        }
        ("dev", [tar, disk]) => {
            let setup = Setup::Dev { base_rootfs: tar.into(), layer_disk: disk.into() };
            report(&Engine::setup(&env, &setup)?.notes)
        }
        ("production", [tar]) => {
            report(&Engine::setup(&env, &Setup::Production { base_rootfs: tar.into() })?.notes)
        }
        ("test", []) => Ok(Engine::test_system(&env)?),
        (verb, rest) => with_engine(&Engine::open(&env)?, verb, rest),
    }
}

fn with_engine(engine: &Engine, verb: &str, rest: &[String]) -> Done {
    let names = |words: &[String]| words.iter().map(LayerName::new).collect::<Result<Vec<_>, _>>();
    match (verb, rest) {
        ("merge", [point, layers @ ..]) => {
            let merged = engine.merge(&names(layers)?, &PointName::new(point)?)?;
            report(&merged.warnings)
        }
        ("unmerge", [point]) => report(&[format!("{:?}", engine.unmerge(&PointName::new(point)?)?)]),
        ("points", []) => {
            let points = engine.merge_points()?;
            report(
                &points.iter().map(|point| format!("{} {:?}", point.name, point.layers)).collect::<Vec<_>>(),
            )
        }
        ("list", []) => report(&engine.list(Filter::All)?),
        ("list", [which]) => {
            report(&engine.list(if which == "used" { Filter::Used } else { Filter::Unused })?)
        }
        ("exec", [point, script]) => {
            let path = engine.join(&PointName::new(point)?)?;
            let status = Command::new("sh").args(["-c", script]).current_dir(path).status()?;
            if status.success() { Ok(()) } else { Err(status.to_string().into()) }
        }
        (verb, rest) => {
            engine.enter()?;
            inside(engine, verb, rest)
        }
    }
}

/// What an ordinary user does in a namespace of his own.
fn inside(engine: &Engine, verb: &str, rest: &[String]) -> Done {
    let names = |words: &[String]| words.iter().map(LayerName::new).collect::<Result<Vec<_>, _>>();
    match (verb, rest) {
        ("create", layers) => names(layers)?.iter().try_for_each(|name| Ok(engine.create(name)?)),
        ("delete", layers) => names(layers)?.iter().try_for_each(|name| {
            engine.delete(name)?;
            Ok(())
        }),
        ("delete-all", []) => report(&engine.delete_all()?),
        ("move", [name]) => report(&[format!("{:?}", engine.move_to_external(&LayerName::new(name)?)?)]),
        ("flatten", [name, layers @ ..]) => Ok(engine.flatten(&names(layers)?, &LayerName::new(name)?)?),
        ("import", layers) => {
            let staged = names(layers)?.into_iter().map(|name| {
                let staging = engine.stage()?;
                std::fs::write(staging.path().join("imported"), name.as_str())?;
                Ok::<_, Box<dyn Error>>((name, staging))
            });
            engine.publish(staged.collect::<Result<_, _>>()?)?;
            Ok(())
        }
        ("in-layer", [name, script]) => {
            let locked =
                engine.lock(&names(std::slice::from_ref(name))?, ovmlayer_layers::Access::Exclusive)?;
            let status =
                Command::new("sh").args(["-c", script]).current_dir(&locked[0].layer.path).status()?;
            if status.success() { Ok(()) } else { Err(status.to_string().into()) }
        }
        ("fsck", rest) => {
            let findings = engine.fsck(!rest.is_empty())?;
            let shown = findings.iter().map(|finding| {
                let end = if finding.repaired { " (repaired)" } else { "" };
                format!("{}: {}{end}", finding.path.display(), finding.problem)
            });
            report(&shown.collect::<Vec<_>>())
        }
        ("gc", []) => report(&[format!("{:?}", engine.gc()?)]),
        _ => Err(format!("unknown verb {verb}").into()),
    }
}

fn report<T: std::fmt::Display>(lines: &[T]) -> Done {
    let mut out = std::io::stdout();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

#[expect(clippy::print_stderr, reason = "an example is a program")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Err(error) = run(&arguments) else { return ExitCode::SUCCESS };
    eprint!("layers: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
