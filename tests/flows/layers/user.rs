//! Layers of an ordinary user, who needs nothing of root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Program, TestUser, await_no_process_about, base_rootfs, our_program, run, tool};

use super::place::text;
use crate::stage::root;

const MANIFEST: &str = "name: demo\nversion: 1.0.0\nscripts: {bootstrap: 'id -u > /opt/made'}\n";

const FLOW: &str = "nodes:
- node_id: look
  task: {executor: {name: nodejs, options: {entry: look.mjs}}, outputs_def: [{handle: seen}]}
outputs_def: [{handle: seen}]
outputs_from: [{handle: seen, from_node: [{node_id: look, output_handle: seen}]}]
";

const LOOK: &str = "import { readFileSync, writeFileSync } from 'node:fs';

export default function (_inputs, context) {
  writeFileSync(`${context.pkgDataDir}/kept`, 'kept');
  writeFileSync('/opt/written', 'x');
  return { seen: [readFileSync('/opt/made', 'utf8'), process.cwd(), process.getuid()] };
}
";

/// A user with a copy of all that runs: the folder of the build may be closed to others.
struct Home<'u> {
    oocana: Program<'u>,
    ovmlayer: Command,
}

impl<'u> Home<'u> {
    fn new(user: &'u TestUser) -> Self {
        let oocana = Program::new(env!("CARGO_BIN_EXE_oocana"));
        let at = |name: &str| oocana.folder().join(name);
        for name in ["home/.oomol-studio/oocana", "tmp", "bin", "node", "rc", "demo/flows/f", "kept"] {
            fs::create_dir_all(at(name)).expect("a folder");
        }
        let node = root().join("executors/node");
        let parts = ["bin", "dist", "package.json"].map(|name| node.join(name));
        run(Command::new(tool("cp")).arg("-r").args(parts).arg(at("node")));
        run(Command::new(tool("cp")).args([our_program("ovmlayer"), at("bin")]));
        run(Command::new(tool("cp")).args([&base_rootfs().tar, &at("rootfs.tar")]));
        let programs = format!("{}:{}", text(&at("node/bin")), text(&at("bin")));
        let binds = ["/usr", text(&at("node"))].map(|path| format!("src={path},dst={path},ro,recursive\n"));
        for (name, content) in [
            ("demo/package.oo.yaml", MANIFEST),
            ("demo/flows/f/flow.oo.yaml", FLOW),
            ("demo/flows/f/look.mjs", LOOK),
            ("rc/.zshrc", &format!("export PATH={programs}:$PATH\n")),
            ("home/.oomol-studio/oocana/layer.json", r#"{"base_rootfs":["executor"]}"#),
            ("binds", &binds.concat()),
        ] {
            fs::write(at(name), content).expect("a file");
        }
        let variables = [("HOME", at("home")), ("TMPDIR", at("tmp")), ("PATH", path(&programs))];
        let mut ovmlayer = user.command(tool("env"));
        ovmlayer.args(variables.iter().map(|(name, value)| format!("{name}={}", text(value))));
        ovmlayer.arg(at("bin/ovmlayer"));
        let oocana = variables.iter().fold(oocana, |oocana, (name, value)| oocana.env(name, value));
        Self { oocana: oocana.as_user(user), ovmlayer }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.oocana.folder().join(name)
    }

    fn ovmlayer(&self, words: &[&str]) -> String {
        let mut command = Command::new(self.ovmlayer.get_program());
        command.args(self.ovmlayer.get_args()).args(words).current_dir(self.oocana.folder());
        String::from_utf8_lossy(&run(&mut command)).into_owned()
    }
}

fn path(programs: &str) -> PathBuf {
    Path::new(&format!("{programs}:/usr/bin:/bin")).to_owned()
}

#[test]
fn an_ordinary_user_runs_flows_in_layers() {
    let user = TestUser::create();
    let home = Home::new(&user);
    let [tar, rootfs, runtime] = ["rootfs.tar", "rootfs", "runtime"].map(|name| home.at(name));
    let setup =
        ["setup", "--runtime", text(&runtime), "--rootfs-path", text(&rootfs), "--rootfs-tar", text(&tar)];
    home.ovmlayer(&setup);
    home.ovmlayer(&["create", "executor"]);
    home.ovmlayer(&["cp", "--mode", "host2layer", text(&home.at("rc/.zshrc")), "executor:/root"]);

    let [flow, binds, kept] = ["demo/flows/f", "binds", "kept"].map(|name| home.at(name));
    for round in ["made", "found"] {
        let words =
            ["run", text(&flow), "--json", "--bind-path-file", text(&binds), "--project-data", text(&kept)];
        let outcome: Value = serde_json::from_str(&home.oocana.succeed(words)).expect("JSON");
        // Inside, the user is root.
        let seen = json!(["0\n", text(&home.at("demo")), 0]);
        assert_eq!(outcome["outputs"]["seen"], seen, "{round}: {outcome}");
        assert_eq!(fs::read_to_string(home.at("kept/kept")).expect("what it keeps"), "kept");
        await_no_process_about(home.oocana.folder(), round, |_| false);
        let layers = home.ovmlayer(&["list", "layers"]);
        assert_eq!(layers.lines().count(), 3, "the executor, the package and what its script made: {layers}");
    }
    assert!(!fs::exists("/opt/written").expect("a look"), "a block wrote to this machine");
}
