//! Signals that reach the program which runs a sandbox.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Root, for_everyone};

/// Longer than any test may take.
const FOREVER: &str = "60000";

/// A running sandbox, and what it prints.
struct Running {
    child: std::process::Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a script that prints `ready` when it is.
    fn start(root: &Root, grace: &str, script: &str) -> Self {
        Self::of(command(root, grace, script))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, output }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code, and what was printed until the last process inside was gone.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

fn command(root: &Root, grace: &str, script: &str) -> Command {
    let options = ["--pass-signals", grace, "--keep-session", "--env", "PATH=/bin"];
    root.command(&[&options[..], &["ROOT", "sh", "-c", script]].concat())
}

/// The machine's bash on the machine's root, interactive: it ignores SIGTERM.
fn interactive_shell(root: &Root, grace: &str, script: &str) -> Running {
    let options =
        ["--pass-signals", grace, "--keep-session", "--read-only", "--env", "PATH=/usr/bin:/bin", "/"];
    let bash = ["bash", "--norc", "-i", "-c", script];
    Running::of(root.command(&[&options[..], &bash].concat()))
}

#[test]
fn every_process_is_told_to_end() {
    let tests = [
        ("the command", "echo ready; exec sleep 1000", 143, ""),
        ("a handler", "sleep 1000 & trap 'echo bye; exit 7' TERM; echo ready; wait", 7, "bye\n"),
        (
            "in another session, longer than the command",
            "setsid sh -c 'sleep 1000 & trap \"sleep 0; echo late; exit\" TERM; echo ready; wait' & \
             exec sleep 1000",
            143,
            "late\n",
        ),
        (
            "what is stopped",
            "sleep 1000 & trap 'echo bye; exit 7' TERM; echo ready; kill -STOP $$; wait",
            7,
            "bye\n",
        ),
    ];
    for_everyone(|root| {
        for (summary, script, code, output) in tests {
            let running = Running::start(&root, FOREVER, script);
            running.signal(Signal::TERM);
            assert_eq!(running.end(), (Some(code), output.to_owned()), "{summary}");
        }
        for (signal, number) in [(Signal::HUP, 1), (Signal::INT, 2)] {
            let running = Running::start(&root, FOREVER, "echo ready; exec sleep 1000");
            running.signal(signal);
            assert_eq!(running.end(), (Some(128 + number), String::new()), "{signal:?}");
        }
    });
}

#[test]
fn what_does_not_end_is_killed() {
    for_everyone(|root| {
        let script = "trap '' TERM; (setsid sleep 1000 &) & sh -c 'echo ready; sleep 1000; sleep 1001'";
        let running = Running::start(&root, "50", script);
        running.signal(Signal::TERM);
        assert_eq!(running.end(), (Some(137), String::new()));
        // The command has ended in time, another process has not.
        let script = "trap 'exit 3' TERM; sh -c 'trap \"\" TERM; echo ready; sleep 1000' & wait";
        let running = Running::start(&root, "1000", script);
        running.signal(Signal::TERM);
        assert_eq!(running.end(), (Some(3), String::new()));
    });
}

#[test]
fn an_interactive_shell_is_no_obstacle() {
    for_everyone(|root| {
        let running = interactive_shell(&root, FOREVER, "sh -c 'echo ready; exec sleep 1000'; exit $?");
        running.signal(Signal::TERM);
        assert_eq!(running.end(), (Some(143), String::new()));
        let running = interactive_shell(&root, "50", "sh -c 'echo ready; exec sleep 1000'; sleep 1001");
        running.signal(Signal::TERM);
        assert_eq!(running.end(), (Some(137), String::new()));
    });
}

#[test]
fn other_signals_go_to_the_command_alone() {
    for_everyone(|root| {
        let script = "trap 'echo one; exit 4' USR1; \
                      sh -c 'trap \"echo wrong\" USR1; echo ready; sleep 1000 & wait' & wait";
        let running = Running::start(&root, FOREVER, script);
        running.signal(Signal::USR1);
        assert_eq!(running.end(), (Some(4), "one\n".to_owned()));
    });
}

#[test]
fn the_first_process_hears_nothing_from_inside() {
    for_everyone(|root| {
        let script = "trap 'echo wrong' TERM HUP USR1; \
                      for signal in TERM HUP USR1 KILL; do kill -$signal 1; done; echo ready; read x";
        let running = Running::start(&root, FOREVER, script);
        assert_eq!(running.end(), (Some(1), String::new()));
    });
}

#[test]
fn signals_ignored_outside_are_ignored_inside() {
    for_everyone(|root| {
        let script = "trap 'exit 5' USR1; echo ready; grep SigIgn /proc/self/status; sleep 1000 & wait";
        let command = command(&root, FOREVER, script);
        let mut nohup = Command::new("sh");
        nohup.args(["-c", "trap '' HUP PIPE QUIT; exec \"$0\" \"$@\""]).arg(command.get_program());
        let mut running = Running::of({
            nohup.args(command.get_args()).stdin(Stdio::null());
            nohup
        });
        let mut line = String::new();
        running.output.read_line(&mut line).unwrap();
        assert_eq!(line, "SigIgn:\t0000000000000005\n");
        running.signal(Signal::HUP);
        running.signal(Signal::USR1);
        assert_eq!(running.end(), (Some(5), String::new()));
    });
}
