//! The corpus through mosquitto instead of the broker that is built in.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::corpus::{check_all, flows};
use crate::stage::Stage;

/// Flows of every kind that goes through the broker.
const SAMPLE: [&str; 11] = [
    "chain",
    "concurrency",
    "executor-dies",
    "mixed-streams",
    "node-run-block",
    "program",
    "run-block",
    "run-block-refused",
    "service",
    "streaming-in-order",
    "subflow",
];

/// mosquitto on the loopback interface, until it is dropped.
pub(crate) struct Mosquitto {
    pub(crate) process: Child,
    pub(crate) address: String,
    _stage: Stage,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        drop(listener);
        let stage = Stage::new();
        let settings =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n");
        let settings = stage.write("mosquitto.conf", &settings);
        let mut command = Command::new(testkit::tool("mosquitto"));
        let mut process =
            command.arg("-v").arg("-c").arg(settings).stderr(Stdio::piped()).spawn().expect("mosquitto");
        let errors = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut lines = errors.lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("running"))), "mosquitto does not run");
        // Somebody has to read what it says, or it waits.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address: format!("127.0.0.1:{port}"), _stage: stage }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn flows_do_the_same_through_mosquitto() {
    let broker = Mosquitto::start();
    let mut flows = flows();
    if std::env::var_os("OOCANA_CORPUS_MOSQUITTO").is_none() {
        flows.retain(|flow| SAMPLE.iter().any(|name| flow.ends_with(name)));
    }
    check_all(&flows, &["--broker", &broker.address, "--reporter"]);
    println!("soak: flows through mosquitto: {}", flows.len());
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let stage = Stage::new();
    let run = stage.run(&crate::stage::corpus().join("flows/empty"), &["--broker", "127.0.0.1:1"]);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("the broker 127.0.0.1:1 is not there"), "{}", run.stderr);
}
