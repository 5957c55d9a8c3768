//! Overlay mounts and the process that keeps one, as an ordinary user: part of the crate at work.
//!
//! ```text
//! mounts in-use UPPER                       whether an overlay has it as its upper
//! mounts mount TARGET UPPER WORK LOWER…     mount an overlay, print the mount table's view of it, and wait for input to end
//! mounts probe-trusted TARGET UPPER WORK LOWER…    try the same with attributes of the other kind
//! mounts hold LEASE TARGET UPPER WORK LOWER…    keep the same in a process of its own; prints its id
//! mounts holder LEASE                       who holds the lease
//! mounts join LEASE COMMAND…                run a command where the holder is
//! mounts release LEASE                      end the holder
//! mounts abilities FOLDER                   what can be kept in a folder, without and with namespaces of one's own
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use ovmlayer_sandbox::holder::{self, Held, Holder};
use ovmlayer_sandbox::overlay::{self, Overlay, Upper, Xattrs};
use ovmlayer_sandbox::{enter_user_namespace, file_system, mounts};

type Done = Result<(), Box<dyn Error>>;

/// The overlay of `TARGET UPPER WORK LOWER…`, and where to mount it.
fn overlay(arguments: &[String]) -> Result<(Overlay, &Path), Box<dyn Error>> {
    let [target, upper, work, lowers @ ..] = arguments else {
        return Err("TARGET UPPER WORK LOWER…".into());
    };
    let upper = Some(Upper { upper: upper.into(), work: work.into() });
    let lowers = lowers.iter().map(PathBuf::from).collect();
    let source = "example".to_owned();
    Ok((Overlay { source, xattrs: Xattrs::User, lowers, upper }, Path::new(target)))
}

fn holder_of(lease: &str) -> Result<Holder, Box<dyn Error>> {
    match holder::holder_of(&File::open(lease)?)? {
        Held::Here(holder) => Ok(holder),
        other => Err(format!("{other:?}").into()),
    }
}

fn run(arguments: &[String]) -> Done {
    let [verb, first, rest @ ..] = arguments else { return Err("VERB ARGUMENT…".into()) };
    match verb.as_str() {
        "in-use" => {
            enter_user_namespace()?;
            report(&overlay::upper_in_use(Path::new(first))?.to_string())
        }
        "mount" => {
            enter_user_namespace()?;
            let (overlay, target) = overlay(&arguments[1..])?;
            overlay.mount(target)?;
            let parent = target.parent().unwrap_or(Path::new("/"));
            report(&format!("{:?}", mounts::overlays_beneath(parent)?))?;
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
        "probe-trusted" => {
            enter_user_namespace()?;
            let (overlay, _) = overlay(&arguments[1..])?;
            Ok(Overlay { xattrs: Xattrs::Trusted, ..overlay }.probe()?)
        }
        "hold" => {
            let lease = File::options().read(true).write(true).create(true).truncate(false).open(first)?;
            let (overlay, target) = overlay(rest)?;
            let holder = holder::hold(&lease, || overlay.mount(target))?;
            report(&holder.pid().to_string())
        }
        "holder" => report(&match holder::holder_of(&File::open(first)?)? {
            Held::Here(holder) => holder.pid().to_string(),
            other => format!("{other:?}"),
        }),
        "join" => {
            holder_of(first)?.join()?;
            let [program, rest @ ..] = rest else { return Err("COMMAND…".into()) };
            let status = Command::new(program).args(rest).status()?;
            if status.success() { Ok(()) } else { Err(status.to_string().into()) }
        }
        "abilities" => {
            report(&format!("{:?}", file_system::abilities(Path::new(first))?))?;
            enter_user_namespace()?;
            report(&format!("{:?}", file_system::abilities(Path::new(first))?))
        }
        "release" => Ok(holder_of(first)?.release()?),
        other => Err(format!("unknown verb {other}").into()),
    }
}

fn report(message: &str) -> Done {
    let mut out = std::io::stdout();
    writeln!(out, "{message}")?;
    Ok(out.flush()?)
}

#[expect(clippy::print_stderr, reason = "an example is a program")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Err(error) = run(&arguments) else { return ExitCode::SUCCESS };
    eprint!("mounts: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
