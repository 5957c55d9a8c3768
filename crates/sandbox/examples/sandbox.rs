//! Runs one command inside a root directory, as root or as an ordinary user: the crate at work.
//!
//! ```text
//! sandbox [OPTION…] ROOT COMMAND…
//!   --host-network          keep the machine's network
//!   --defer-fsync           answer fsync and its like with success
//!   --bind FROM TO          show FROM at TO, writable      --bind-ro FROM TO   read-only
//!   --file TO TEXT          show a file with these contents
//!   --memory AT MODE        an empty directory in memory
//!   --create-targets        make missing targets in the root
//!   --placeholders          the same, tell which, and remove them afterwards
//!   --resolver              the machine's resolv.conf and hosts
//!   --env NAME=VALUE        a variable                     --work-in PATH      where to start
//!   --user UID:GID          not as root                    --read-only         the root itself
//!   --all-capabilities      as much root as can be         --sys               show /sys
//!   --bind-plain FROM TO    FROM without what is below it  --sys-writable      the same, writable
//!   --all-devices           the machine's /dev             --whole-proc        nothing in /proc is hidden
//!   --shared                host name, IPC and control groups of the machine
//!   --keep-session          the caller's terminal          --keep-limits       the caller's limits
//!   --pass-signals MS       to what runs inside, with so many milliseconds to end
//!   --memory-limit BYTES    of all together                --cpus N --pids N   likewise
//!   --seccomp FILE          a profile as container engines have them
//!   --lines                 print the output line by line, with a mark
//!   --input TEXT            standard input
//!   --cancel-on LINE        end the command when it prints LINE (with --lines)
//!   --times N               run it N times             --threads N         N at a time
//!   --foreign ARCH QEMU     run programs for ARCH by this static qemu
//! sandbox --checks          tell what this machine can do
//! sandbox --ids             print the id maps
//! sandbox --here …          as the first, without entering a user namespace (root only)
//! ```

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ovmlayer_sandbox::foreign::{self, Registration, Support};
use ovmlayer_sandbox::{
    Architecture, Bind, Cancel, Capabilities, Devices, Error, IdMap, Input, Limits, Namespaces, Network,
    Output, Sandbox, SeccompProfile, Stdio, exit_code, make_placeholders, probe, remove_placeholders,
};

struct Options {
    root: PathBuf,
    sandbox: Sandbox,
    command: Vec<String>,
    lines: bool,
    input: Option<String>,
    cancel_on: Option<String>,
    cancel: Cancel,
    times: usize,
    threads: usize,
    placeholders: bool,
    _registration: Option<Registration>,
}

fn parse(arguments: impl Iterator<Item = String>, ids: Option<&IdMap>) -> Result<Options, String> {
    let cancel = Cancel::new().map_err(|error| error.to_string())?;
    let mut sandbox = Sandbox::new("/").cancel(&cancel);
    let mut registration = None;
    let (mut lines, mut input, mut cancel_on, mut times, mut threads) = (false, None, None, 1, 1);
    let mut placeholders = false;
    let mut limits = Limits::default();
    let mut arguments = arguments.peekable();
    while let Some(option) = arguments.next_if(|argument| argument.starts_with("--")) {
        let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value"));
        sandbox = match option.as_str() {
            "--host-network" => sandbox.network(Network::Host),
            "--defer-fsync" => sandbox.deferred_fsync(true),
            "--bind" => sandbox.bind(value()?, value()?),
            "--bind-ro" => sandbox.bind_read_only(value()?, value()?),
            "--file" => sandbox.file(value()?, value()?),
            "--memory" => {
                let target = value()?;
                sandbox.memory(target, u32::from_str_radix(&value()?, 8).map_err(|e| e.to_string())?)
            }
            "--resolver" => sandbox.resolver(true),
            "--placeholders" => {
                placeholders = true;
                sandbox.create_targets(true)
            }
            "--create-targets" => sandbox.create_targets(true),
            "--env" => {
                let variable = value()?;
                let (name, value) = variable.split_once('=').ok_or("--env takes NAME=VALUE")?;
                sandbox.env(name, value)
            }
            "--work-in" => sandbox.work_in(value()?),
            "--user" => {
                let user = value()?;
                let (uid, gid) = user.split_once(':').ok_or("--user takes UID:GID")?;
                let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
                sandbox.user(number(uid)?, number(gid)?)
            }
            "--bind-plain" => sandbox.bind_as(Bind { recursive: false, ..Bind::new(value()?, value()?) }),
            "--all-devices" => sandbox.devices(Devices::All),
            "--whole-proc" => sandbox.guard_proc(false),
            "--sys-writable" => sandbox.sys_writable(true),
            "--shared" => sandbox.namespaces(Namespaces::SHARED),
            "--keep-session" => sandbox.keep_session(true),
            "--keep-limits" => sandbox.keep_limits(true),
            "--pass-signals" => {
                let grace = value()?.parse().map_err(|_| "--pass-signals takes a number")?;
                sandbox.pass_signals(Duration::from_millis(grace))
            }
            "--seccomp" => {
                let json = std::fs::read(value()?).map_err(|error| error.to_string())?;
                sandbox.seccomp(SeccompProfile::parse(&json).map_err(|error| chain(&error))?)
            }
            "--memory-limit" => {
                limits.memory = Some(value()?.parse().map_err(|_| "--memory-limit takes a number")?);
                sandbox.limits(limits)
            }
            "--cpus" => {
                limits.cpus = Some(value()?.parse().map_err(|_| "--cpus takes a number")?);
                sandbox.limits(limits)
            }
            "--pids" => {
                limits.pids = Some(value()?.parse().map_err(|_| "--pids takes a number")?);
                sandbox.limits(limits)
            }
            "--read-only" => sandbox.read_only(true),
            "--all-capabilities" => sandbox.capabilities(Capabilities::All),
            "--sys" => sandbox.sys(true),
            "--lines" => {
                lines = true;
                sandbox
            }
            "--input" => {
                input = Some(value()?);
                sandbox
            }
            "--cancel-on" => {
                cancel_on = Some(value()?);
                sandbox
            }
            "--times" => {
                times = value()?.parse().map_err(|_| "--times takes a number")?;
                sandbox
            }
            "--threads" => {
                threads = value()?.parse().map_err(|_| "--threads takes a number")?;
                sandbox
            }
            "--foreign" => {
                let ids = ids.ok_or("--foreign needs a namespace")?;
                registration = register(&value()?, &value()?, ids)?;
                sandbox
            }
            other => return Err(format!("unknown option {other}")),
        };
    }
    let root = arguments.next().ok_or("ROOT is missing")?;
    let command = arguments.collect();
    let folder = root.clone();
    sandbox = sandbox.root(root);
    Ok(Options {
        root: folder.into(),
        sandbox,
        command,
        lines,
        input,
        cancel_on,
        cancel,
        times,
        threads,
        placeholders,
        _registration: registration,
    })
}

/// Registers qemu where that is needed.
fn register(architecture: &str, qemu: &str, ids: &IdMap) -> Result<Option<Registration>, String> {
    let architecture = Architecture::from_name(architecture).ok_or("no such architecture")?;
    let support =
        foreign::support(architecture, ids).required(architecture).map_err(|error| chain(&error))?;
    if support != Support::OwnNamespace {
        return Ok(None);
    }
    let interpreter = File::open(qemu).map_err(|error| format!("cannot open {qemu}: {error}"))?;
    foreign::register(architecture, interpreter.as_fd(), ids).map(Some).map_err(|error| chain(&error))
}

fn checks() -> ExitCode {
    for check in probe::checks(&[&std::env::temp_dir()]) {
        report(&format!("{:?} {}: {}", check.state, check.name, check.found));
        if let Some(remedy) = check.remedy {
            report(&format!("     {remedy}"));
        }
    }
    ExitCode::SUCCESS
}

fn run(options: &Options) -> Result<std::process::ExitStatus, Error> {
    let mut line = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        if options.cancel_on.as_deref() == Some(&line) {
            options.cancel.cancel();
        }
        report(&format!("| {line}"));
    };
    let mut stdio = if options.lines { Stdio::lines(&mut line) } else { Stdio::inherit() };
    if let Some(input) = &options.input {
        stdio = stdio.input(Input::Bytes(input.clone().into_bytes()));
    } else if !options.lines {
        stdio = stdio.error(Output::Inherit);
    }
    if !options.placeholders {
        return options.sandbox.run(&options.command, stdio);
    }
    let placeholders = options.sandbox.missing_targets()?;
    for placeholder in &placeholders {
        report(&format!("missing: {}", placeholder.path.display()));
    }
    make_placeholders(&options.root, &placeholders)?;
    let outcome = options.sandbox.run(&options.command, stdio);
    remove_placeholders(&options.root, &placeholders)?;
    outcome
}

#[expect(clippy::print_stderr, reason = "an example is a program")]
fn complain(message: &str) -> ExitCode {
    eprintln!("sandbox: {message}");
    ExitCode::from(125)
}

#[expect(clippy::print_stdout, reason = "an example is a program")]
fn report(message: &str) {
    println!("{message}");
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some("--checks") {
        return checks();
    }
    let here = first.as_deref() == Some("--here");
    let ids = match (!here).then(ovmlayer_sandbox::enter_user_namespace).transpose() {
        Ok(ids) => ids,
        Err(error) => return complain(&chain(&error)),
    };
    if first.as_deref() == Some("--ids") {
        report(&format!("{ids:?}"));
        return ExitCode::SUCCESS;
    }
    let options = match parse(std::env::args().skip(if here { 2 } else { 1 }), ids.as_ref()) {
        Ok(options) => options,
        Err(message) => return complain(&message),
    };
    if options.threads == 1 {
        return ExitCode::from(repeat(&options));
    }
    let codes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(|| repeat(&options))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(125)).collect::<Vec<_>>()
    });
    ExitCode::from(codes.into_iter().max().unwrap_or(0))
}

/// The highest exit code of all runs.
fn repeat(options: &Options) -> u8 {
    let code = |_| {
        let outcome = run(options);
        if let Err(error) = &outcome {
            complain(&chain(error));
        }
        exit_code(&outcome)
    };
    (0..options.times).map(code).max().unwrap_or(0)
}
