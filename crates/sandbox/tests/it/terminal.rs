//! A sandbox at a terminal: keys, size, job control.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{Root, for_everyone};

/// Somebody at a terminal.
struct Person {
    terminal: File,
    child: Child,
    seen: String,
}

impl Person {
    /// Starts a program with a new terminal as the one that controls it.
    fn start(command: &Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let open = || Stdio::from(File::options().read(true).write(true).open(Path::new(&name)).unwrap());
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("PS1", "$ ")
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap();
        Self { terminal: terminal.into(), child, seen: String::new() }
    }

    /// Reads until this appears after all that was waited for so far.
    fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            match self.terminal.read(&mut buffer) {
                Ok(length) if length > 0 => self.seen.push_str(&String::from_utf8_lossy(&buffer[..length])),
                end => panic!("the terminal ended ({end:?}) before {text:?}: {:?}", self.seen),
            }
        }
        let at = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..at);
    }

    fn keys(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads to the end; the exit code and what was not waited for.
    fn end(mut self) -> (Option<i32>, String) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = self.terminal.read(&mut buffer) {
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        (self.child.wait().unwrap().code(), self.seen)
    }
}

const OPTIONS: [&str; 7] =
    ["--pass-signals", "1000000", "--keep-session", "--env", "PATH=/bin", "--env", "PS1=> "];

fn command(root: &Root, words: &[&str]) -> Command {
    root.command(&[&OPTIONS[..], &["ROOT"], words].concat())
}

#[test]
fn a_typed_key_reaches_the_command_once_and_ends_nothing() {
    for_everyone(|root| {
        let script = "trap 'echo int' INT; trap 'echo quit' QUIT; stty -echo; \
                      setsid sh -c 'trap \"echo wrong\" INT QUIT; echo ready; while :; do sleep 1000 & wait; done' & \
                      while :; do read line && echo \"got $line\" && [ \"$line\" = q ] && exit 4; done";
        let mut person = Person::start(&command(&root, &["sh", "-c", script]));
        person.wait_for("ready\r\n");
        person.keys("\x03");
        person.wait_for("int\r\n");
        person.keys("\x1c");
        person.wait_for("quit\r\n");
        person.keys("q\n");
        assert_eq!(person.end(), (Some(4), "got q\r\n".to_owned()));
        let mut person = Person::start(&command(&root, &["sh", "-c", "echo ready; exec sleep 1000"]));
        person.wait_for("ready\r\n");
        person.keys("\x03");
        assert_eq!(person.end().0, Some(130));
    });
}

#[test]
fn the_terminal_has_a_name() {
    for_everyone(|root| {
        let person = Person::start(&command(&root, &["sh", "-c", "tty && echo x >/dev/tty"]));
        assert_eq!(person.end(), (Some(0), "/dev/console\r\nx\r\n".to_owned()));
    });
}

#[test]
fn the_size_of_the_terminal_follows() {
    for_everyone(|root| {
        let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 1000 & wait; done";
        let mut person = Person::start(&command(&root, &["sh", "-c", script]));
        person.wait_for("ready\r\n");
        let size = Winsize { ws_row: 41, ws_col: 123, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&person.terminal, size).unwrap();
        assert_eq!(person.end(), (Some(0), "41 123\r\n".to_owned()));
    });
}

#[test]
fn a_shell_inside_controls_its_jobs() {
    for_everyone(|root| {
        // The machine's bash, editing no lines.
        let words = [
            &OPTIONS[..],
            &["--env", "PATH=/usr/bin:/bin", "--read-only", "/", "bash", "--norc", "--noediting", "-i"],
        ]
        .concat();
        let mut person = Person::start(&root.command(&words));
        person.wait_for("> ");
        person.keys("sh -c 'trap \"echo again\" CONT; echo started; while :; do sleep 1000 & wait; done'\n");
        person.wait_for("\r\nstarted\r\n");
        person.keys("\x1a");
        person.wait_for("Stopped");
        person.wait_for("> ");
        person.keys("fg\n");
        person.wait_for("again\r\n");
        person.keys("\x03");
        person.wait_for("> ");
        person.keys("exit 5\n");
        assert_eq!(person.end().0, Some(5));
    });
}

#[test]
fn a_shell_outside_stops_and_continues_it() {
    for_everyone(|root| {
        let inside = "trap 'echo continued' CONT; echo ready; until [ \"$line\" = q ]; do read line && echo got $line; done; exit 6";
        let run = command(&root, &["sh", "-c", inside]);
        let words = run.get_args().map(|word| word.to_str().unwrap().replace('\'', "'\\''"));
        let words = words.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let file = root.beside().join("run");
        std::fs::write(&file, format!("exec {} {words}\n", run.get_program().to_str().unwrap())).unwrap();
        let mut shell = Command::new("dash");
        shell.arg("-i");
        let mut person = Person::start(&shell);
        person.wait_for("$ ");
        person.keys(&format!("sh {}\n", file.display()));
        person.wait_for("ready\r\n");
        person.keys("\x1a");
        person.wait_for("Stopped");
        person.wait_for("$ ");
        person.keys("fg\n");
        person.wait_for("continued\r\n");
        person.keys("x\n");
        person.wait_for("got x\r\n");
        person.keys("q\n");
        person.wait_for("$ ");
        person.keys("echo code $?\nexit\n");
        person.wait_for("code 6\r\n");
        assert_eq!(person.end().0, Some(0));
    });
}
