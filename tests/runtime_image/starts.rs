//! How containers of the image start.

use std::fs;

use tempfile::TempDir;

use crate::small::small;
use crate::stage::{Container, Settings, succeeded};

/// Makes a layer on the image's own, in which a file of each lower tree is removed and a folder replaced.
const MAKE: &str = "
ovmlayer test system
ovmlayer create mine
ovmlayer merge -l executor -l mine -m m
ovmlayer run --merged-point m sh -ec '
    rm /usr/share/old/file /usr/local/share/tool/one
    cat /usr/local/bin/tool
    rm -r /usr/local/share/tool; mkdir /usr/local/share/tool; echo new > /usr/local/share/tool/new'
ovmlayer unmerge m
";

/// The same layer, in another start, beneath a new one.
const LOOK: &str = "
ovmlayer list layers
ovmlayer create top
ovmlayer merge -l executor -l mine -l top -m m
ovmlayer run --merged-point m sh -ec 'for path in /usr/share/old/* /usr/local/share/tool/*; do echo $path; done; cat /etc/setting'
ovmlayer unmerge m
ovmlayer delete top
";

const SEEN: &str = "executor\nmine\n/usr/share/old/*\n/usr/local/share/tool/new\nas shipped\n";

fn volume() -> TempDir {
    tempfile::Builder::new().prefix("runtimevolume").tempdir().expect("a folder")
}

fn privileged(volume: &TempDir) -> Settings<'_> {
    Settings { privileged: true, volume: Some(volume.path()), ..Settings::default() }
}

#[test]
fn on_an_empty_volume_and_again() {
    let volume = volume();
    let first = Container::new(&small().unpacked);
    assert_eq!(
        first.script(privileged(&volume), "echo $$"),
        ("1\n".to_owned(), String::new()),
        "the command is process 1"
    );
    assert_eq!(first.script(privileged(&volume), MAKE), ("the layer's\n".to_owned(), String::new()));
    assert_eq!(first.script(privileged(&volume), LOOK).0, SEEN, "the same container");
    let other = Container::new(&small().unpacked);
    assert_eq!(other.script(privileged(&volume), LOOK).0, SEEN, "a new container on the same volume");
    let left = fs::read_dir(volume.path().join("layer_dir")).expect("layers").count();
    assert_eq!(left, 1, "nothing of the image is in the volume");
}

#[test]
fn on_a_root_that_is_read_only() {
    let volume = volume();
    let container = Container::new(&small().unpacked);
    let settings = Settings { read_only: true, ..privileged(&volume) };
    assert_eq!(container.script(settings, MAKE), ("the layer's\n".to_owned(), String::new()));
    assert_eq!(container.script(settings, LOOK).0, SEEN);
}

#[test]
fn two_at_once_on_one_volume() {
    let volume = volume();
    let containers = [0, 1, 2].map(|_| Container::new(&small().unpacked));
    let script = |number: usize| {
        format!(
            "ovmlayer create l{number}; ovmlayer merge -l executor -l l{number} -m m{number}
             ovmlayer run --merged-point m{number} sh -ec 'echo {number} > /mine; cat /usr/local/share/tool/two /mine'
             ovmlayer unmerge m{number}"
        )
    };
    let settings = privileged(&volume);
    std::thread::scope(|scope| {
        for (number, container) in containers.iter().enumerate() {
            scope.spawn(move || {
                let (out, errors) = container.script(settings, &script(number));
                assert_eq!((out.as_str(), errors.as_str()), (format!("2\n{number}\n").as_str(), ""));
            });
        }
    });
    let (listed, _) = containers[0].script(settings, "ovmlayer list layers");
    assert_eq!(listed, "executor\nl0\nl1\nl2\n");
}

/// The root of a container is an overlay, which cannot be the top of another one.
#[test]
fn without_a_volume_the_store_gets_a_file_system_of_its_own() {
    let container = Container::new(&small().unpacked);
    let settings = Settings { privileged: true, ..Settings::default() };
    let (out, errors) = container.script(settings, MAKE);
    assert_eq!(out, "the layer's\n");
    assert!(errors.contains("overlayfs cannot write to `/opt/ovmlayer` (overlay)"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn without_rights_one_warning_and_flows_run_without_layers() {
    let volume = volume();
    let flow = tempfile::tempdir().expect("a folder");
    fs::write(flow.path().join("flow.oo.yaml"), FLOW).expect("a flow");
    let container = Container::new(&small().unpacked);
    let binds = [(flow.path(), "/srv/flow")];
    let mut settings = Settings { volume: Some(volume.path()), binds: &binds, ..Settings::default() };
    let run_flow = ["oocana", "run", "/srv/flow/flow.oo.yaml", "--json", "--progress", "off"];
    let result = container.start(settings, &run_flow);
    let (out, errors) = succeeded("the flow", &result);
    let outcome: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(outcome["status"], "succeeded", "{outcome}");
    assert_eq!(errors.matches("layers cannot be used in this container").count(), 1, "{errors}");
    // With them, nothing is said.
    settings.privileged = true;
    let (_, errors) = succeeded("the flow", &container.start(settings, &run_flow));
    assert_eq!(errors, "");
}

const FLOW: &str = "
nodes:
- node_id: a
  task:
    executor: {name: shell}
    inputs_def: [{handle: command}, {handle: cwd}, {handle: envs}]
    outputs_def: [{handle: stdout}, {handle: stderr}]
  inputs_from:
  - {handle: command, value: echo hello}
  - {handle: cwd, value: null}
  - {handle: envs, value: null}
";

#[test]
fn what_the_command_ends_with_is_what_the_container_ends_with() {
    let volume = volume();
    let container = Container::new(&small().unpacked);
    for (command, status) in
        [(&["/usr/bin/sh", "-c", "exit 7"][..], 7), (&["no-such-program"], 127), (&["/etc/setting"], 126)]
    {
        let result = container.start(privileged(&volume), command);
        let errors = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(status), "{command:?}: {errors}");
    }
    // A container that ends with a merge point leaves a volume that the next one can use.
    container.script(privileged(&volume), "ovmlayer create k; ovmlayer merge -l k -m m");
    let (listed, _) = container.script(
        privileged(&volume),
        "ovmlayer list layers; ovmlayer list merged-points; ovmlayer merge -l k -m m",
    );
    assert_eq!(listed, "executor\nk\n");
}
