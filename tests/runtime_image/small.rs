//! A small image with all that the runtime image has: a root of a few programs, a layer of files, `ovmlayer` and `oocana`.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::Value;
use testkit::{Package, Program, SigningKey, TinySite, machine_architecture, our_program, toolbox};

use crate::stage::Unpacked;

/// The layer on it; one of its files is in the root already.
const LAYER: &str = r#"
format = 1
kind = "layer"
description = "a tool"
architectures = ["amd64", "arm64"]
output = "{arch}-executor.tar"

[layer]
name = "executor"

[[steps]]
files = [
    { path = "/usr/local/bin/tool", content = "the layer's\n", mode = "0755" },
    { path = "/usr/local/share/tool/one", content = "1\n" },
    { path = "/usr/local/share/tool/two", content = "2\n" },
]
"#;

/// The settings are those of `recipes/oocana-runtime.toml`.
const IMAGE: &str = r#"
[[steps]]
run = { script = "mkdir -p /opt/ovmlayer" }

[[steps]]
files = [
    { path = "/usr/local/bin/tool", content = "the root's\n" },
    { path = "/etc/passwd", content = "root:x:0:0:root:/root:/bin/sh\n" },
    { path = "/etc/setting", content = "as shipped\n" },
    { path = "/usr/share/old/file", content = "old\n" },
    { path = "/usr/share/slim/file", content = "slim\n" },
    { path = "/root/.ovmlayer_cfg.json", content = """
{"format":1,"runtime":"/opt/ovmlayer","read_only":["/usr/lib/ovmlayer/store"],"rootfs":"/usr/lib/ovmlayer/rootfs"}
""" },
]

[[steps]]
slim = ["/usr/share/slim"]
"#;

/// The image, built twice.
pub(crate) struct Small {
    pub(crate) unpacked: Unpacked,
    pub(crate) layout: PathBuf,
    /// What both builds printed.
    pub(crate) printed: [Value; 2],
    _program: Program<'static>,
}

/// The image, made once.
pub(crate) fn small() -> &'static Small {
    static SMALL: LazyLock<Small> = LazyLock::new(build);
    &SMALL
}

fn build() -> Small {
    let key = SigningKey::generate();
    let site = TinySite::new([Package::from_deb(toolbox().build())], &key);
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    program.write("executor-layer.toml", LAYER);
    program.write("runtime.toml", recipe());
    let options = site.options();
    let build = |jobs: &str| {
        let words = ["build", "--json", "./runtime.toml", "--arch", machine_architecture(), "--jobs", jobs];
        let printed = program.succeed(words.into_iter().chain(options.iter().map(String::as_str)));
        serde_json::from_str::<Value>(&printed).expect("JSON")[0].clone()
    };
    let printed = [build("1"), build("3")];
    let layout = program.dist().join("runtime");
    Small { unpacked: Unpacked::new(&layout), layout, printed, _program: program }
}

/// A recipe of the tiny site, with the tables of the real recipe that matter.
fn recipe() -> String {
    let real: toml::Table = include_str!("../../recipes/oocana-runtime.toml").parse().expect("TOML");
    let mut image = real["image"].as_table().expect("a table").clone();
    for other in ["rootfs", "labels"] {
        image.remove(other);
    }
    image["with-layers"] = toml::Value::Array(vec!["./executor-layer.toml".into()]);
    let tiny = TinySite::recipe(&[]).replace("\"rootfs\"", "\"image\"").replace("output = \"out.tar\"\n", "");
    let program = |name: &str| format!("component.{name} = {:?}\n", our_program(name));
    let image = toml::to_string(&toml::Table::from_iter([("image".to_owned(), image.into())])).expect("TOML");
    let (head, rest) = tiny.split_once("\n\n").expect("a head");
    format!("{head}\n{}{}\n{image}\n{rest}\n{IMAGE}", program("oocana"), program("ovmlayer"))
}
