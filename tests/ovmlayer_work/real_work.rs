//! Real work inside a layer, which then goes to another store and does the same there.

use std::fs;
use std::process::{Child, Command, Stdio};

use testkit::tool;

use crate::network;
use crate::settings::registries;
use crate::stage::{Stage, Who, note, well};

/// Installs with the package manager of each language. dpkg flushes every file; `eatmydata` spares the disk that.
const INSTALL: &str = "set -e
apt-get -q update
apt-get -q install -y --no-install-recommends eatmydata
eatmydata apt-get -q install -y --no-install-recommends python3 python3-pip python3-venv nodejs npm
python3 -m venv /opt/python
/opt/python/bin/pip install paho-mqtt
mkdir /opt/node
cd /opt/node
npm install esbuild
rm -rf /var/lib/apt/lists /root/.npm /root/.cache
rm /usr/share/doc/zsh/copyright
echo 'export PATH=/opt/python/bin:/opt/node/node_modules/.bin:$PATH' >> ~/.zshrc
";

/// What was installed works, by its names, which only the shell's start-up file makes known.
const USE: &str = r#"set -e
python -c 'import paho.mqtt, sys, sqlite3, ssl; print("python", sys.version_info[:2], paho.mqtt.__version__)'
pip --version | cut -d' ' -f1,2
print 'const answer: number = 6 * 7; console.log("esbuild", answer)' > /tmp/answer.ts
esbuild /tmp/answer.ts --minify | tee /tmp/answer.js
node /tmp/answer.js
npm --version
test ! -e /usr/share/doc/zsh/copyright
test -z "$(dpkg --audit)"
apt-get check
dpkg-query --show | sort | cksum
"#;

/// A block's way of talking: says over the broker what it is asked over the broker.
const ANSWERER: &str = "import sys, paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
def connected(client, *_):
    client.subscribe('question')
def subscribed(client, *_):
    print('ready', flush=True)
def asked(client, _, message):
    client.publish('answer', b'you asked: ' + message.payload, qos=1)
def sent(client, *_):
    client.disconnect()
client.on_connect, client.on_subscribe, client.on_message, client.on_publish = connected, subscribed, asked, sent
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_forever()
";

/// The other side of it, in another merge point.
const ASKER: &str = "import sys, paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
def connected(client, *_):
    client.subscribe('answer')
def subscribed(client, *_):
    client.publish('question', b'six times seven')
def answered(client, _, message):
    print(message.payload.decode(), flush=True)
    client.disconnect()
client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, answered
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_forever()
";

/// Of an ordinary user, who is allowed least; of root too when `OVMLAYER_REAL_WORK` is 2.
#[test]
fn work_moves_to_another_store() {
    work(&Who::user());
    if testkit::number("OVMLAYER_REAL_WORK", 1) > 1 {
        work(&Who::Root);
    }
}

fn work(who: &Who) {
    let first = Stage::new(who);
    first.ok("test system");
    first.ok("create work");
    first.ok("merge -l work -m busy");
    let settings = registries(&first);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    well(&first.script("busy", &settings, INSTALL).output().expect("a started program"));
    let expected = first.run("busy", USE);
    assert!(expected.contains("\nesbuild 42\n"), "{expected}");
    assert_eq!(first.ok("list layers --used"), "work\n");
    first.ok("unmerge busy");
    let archive = first.at("work.tar");
    first.ok(&format!("export -l work -dest {archive}"));
    first.ok("delete --all");
    assert_eq!(first.ok("list layers"), "");
    first.assert_clean();

    let second = Stage::new(who);
    fs::rename(&archive, second.at("work.tar")).expect("the archive, moved to the other store");
    second.ok(&format!("import {}", second.at("work.tar")));
    for (point, top) in [("again", "tmp_layer_1"), ("besides", "tmp_layer_2")] {
        second.ok(&format!("create {top}"));
        second.ok(&format!("merge -l work -l {top} -m {point}"));
    }
    assert_eq!(second.run("again", USE), expected, "what was installed says something else in another store");
    talk_over_a_broker(&second);
    for (point, top) in [("again", "tmp_layer_1"), ("besides", "tmp_layer_2")] {
        second.ok(&format!("unmerge {point}"));
        second.ok(&format!("delete {top}"));
    }
    second.ok(&format!("export --layer=work --dest={}", second.at("again.tar")));
    let [before, after] = ["work.tar", "again.tar"].map(|name| second.folder().join(name));
    let same = Command::new(tool("cmp")).args([&before, &after]).output().expect("cmp");
    well(&same);
    note(&format!(
        "the layer with Python and Node.js: {} bytes",
        fs::metadata(&after).expect("an archive").len()
    ));
    second.assert_clean();
}

/// Two executors, each in its merge point, and the broker on the machine.
fn talk_over_a_broker(stage: &Stage) {
    let broker = Broker::start(stage);
    for (name, program) in [("answerer.py", ANSWERER), ("asker.py", ASKER)] {
        stage.file(&format!("blocks/{name}"), program, 0o644);
    }
    let mount = format!("--mount=type=bind,src={},dst=/blocks,ro,nonrecursive", stage.at("blocks"));
    let command = |name: &str| format!("python /blocks/{name} 127.0.0.1 {}", broker.port);
    let mut answerer = stage.start("again", &[&mount], &command("answerer.py"));
    network::wait_for_line(&mut answerer, "ready");
    let asker = stage.script("besides", &[&mount], &command("asker.py")).output().expect("a started program");
    assert_eq!(well(&asker), "you asked: six times seven\n");
    assert!(answerer.wait().expect("the answerer's status").success(), "the answerer failed");
}

/// mosquitto on the loopback interface, until it is dropped.
struct Broker {
    process: Child,
    port: u16,
}

impl Broker {
    fn start(stage: &Stage) -> Self {
        let port = network::free_port();
        let settings = format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n");
        let settings = stage.file("mosquitto.conf", &settings, 0o644);
        let mut command = Command::new(tool("mosquitto"));
        command.args(["-v", "-c", &settings]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a started broker");
        network::wait_for_error_line(&mut process, "running");
        Self { process, port }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
