//! The machine's network inside: a server that the machine reaches, and names.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Child;
use std::thread;

use crate::stage::{Stage, Who};

/// A server that answers `one` and `two` with what it was told, and then ends. Ready means that it listens.
const SERVER: &str = "zmodload zsh/net/tcp
ztcp -l $PORT || exit 3
listener=$REPLY
print ready
for round in one two; do
  ztcp -a $listener || exit 4
  connection=$REPLY
  read -u $connection line
  print -u $connection -r -- \"$round: $line\"
  ztcp -c $connection
done
print done
exit 7";

#[test]
fn root_serves_the_machine() {
    serves(&Who::Root);
}

#[test]
fn an_ordinary_user_serves_the_machine() {
    serves(&Who::user());
}

fn serves(who: &Who) {
    let stage = Stage::new(who);
    stage.ok("create l1");
    stage.ok("merge -l l1 -m m1");
    let port = free_port();
    let mut server = stage.start("m1", &["--env", &format!("PORT={port}")], SERVER);
    let mut lines = wait_for_line(&mut server, "ready");
    assert_eq!(ask(port, "from the machine"), "one: from the machine\n");
    // From another merge point on the same network.
    stage.ok("create l2");
    stage.ok("merge -l l1 -l l2 -m m2");
    let client = format!(
        "zmodload zsh/net/tcp; ztcp 127.0.0.1 {port}; print -u $REPLY inside; read -u $REPLY line; print -r -- $line"
    );
    assert_eq!(stage.run("m2", &client), "two: inside\n");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("the rest of the server's output");
    assert_eq!(rest, "done\n");
    assert_eq!(server.wait().expect("the server's status").code(), Some(7), "the command's own status");
    names_resolve(&stage);
    stage.ok("unmerge m2");
    stage.ok("unmerge m1");
}

/// The machine's settings are inside, also where the layer has a dangling link, and stay the machine's own.
fn names_resolve(stage: &Stage) {
    for name in ["resolv.conf", "hosts"] {
        let machine = fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        assert_eq!(stage.run("m2", &format!("cat /etc/{name}")), machine, "/etc/{name} inside");
    }
    assert!(stage.run("m2", "getent hosts localhost").contains("localhost"));
    stage.ok("create l3");
    stage.ok("merge -l l3 -m m3");
    let (link, machine) = ("/etc/resolv.conf", fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    stage.ok("unmerge m3");
    let content = stage.content("l3").join("etc");
    fs::create_dir_all(&content).expect("a folder in a layer");
    let _ = fs::remove_file(content.join("resolv.conf"));
    std::os::unix::fs::symlink("../run/nowhere/stub-resolv.conf", content.join("resolv.conf"))
        .expect("a link");
    stage.give(&content);
    stage.ok("merge -l l3 -m m3");
    assert_eq!(stage.run("m3", &format!("cat {link}")), machine, "a dangling link");
    stage.ok("unmerge m3");
    assert_eq!(
        fs::read_link(content.join("resolv.conf")).expect("the layer's own link").to_str(),
        Some("../run/nowhere/stub-resolv.conf")
    );
}

fn ask(port: u16, line: &str) -> String {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a server inside");
    writeln!(connection, "{line}").expect("a question");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A port of the loopback interface that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Reads a process's standard output up to a line, and gives what reads the rest.
pub(crate) fn wait_for_line(process: &mut Child, wanted: &str) -> impl BufRead + use<> {
    let mut output = BufReader::new(process.stdout.take().expect("standard output"));
    let mut seen = String::new();
    while !seen.lines().any(|line| line == wanted) {
        assert_ne!(output.read_line(&mut seen).expect("a line"), 0, "it ended before {wanted:?}:\n{seen}");
    }
    output
}

/// Reads a process's standard error until a line ends with a word; the rest is read and forgotten.
pub(crate) fn wait_for_error_line(process: &mut Child, wanted: &str) {
    let mut errors = BufReader::new(process.stderr.take().expect("standard error"));
    let mut seen = String::new();
    while !seen.trim_end().ends_with(wanted) {
        assert_ne!(errors.read_line(&mut seen).expect("a line"), 0, "it ended before {wanted:?}:\n{seen}");
    }
    thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
}
