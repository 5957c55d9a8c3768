//! Package layers are made, found and deleted.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::place::{Place, text};

const MANIFEST: &str = "name: demo
version: 1.0.0
scripts:
  bootstrap: |
    echo said; echo complained >&2
    pwd > /opt/made
    echo \"$OOMOL_A $KEPT $LISTED ${DROPPED:-none}\" >> /opt/made
    rm .hidden
";

#[test]
fn from_its_creation_to_its_end() {
    let place = Place::new();
    let package = place.package("packages/demo", MANIFEST);
    let path = text(&package);
    assert_eq!(place.layer(&["get", path]), "NotInStore\n");
    let list = place.stage.write("list", "LISTED=listed\n");
    let words = ["package-layer", "create", path, "--retain-env-keys", "KEPT", "--env-file", text(&list)];
    let mut create = place.stage.bounded(&words);
    create.envs([("OOMOL_A", "a"), ("KEPT", "kept"), ("DROPPED", "dropped")]);
    let output = create.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("complained"), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "said\n");
    place.is_clean();

    let noted = place.noted(&package);
    let names = ["source_layer", "bootstrap_layer"].map(|key| noted[key].as_str().expect("a name"));
    assert_eq!(place.layers().len(), 2);
    let look = format!("cat /opt/made; cd {path}; ls -A . deep; stat -c %a /tmp");
    let expected =
        format!("{path}\na kept listed none\n.:\ndeep\nfile\npackage.oo.yaml\n\ndeep:\nfile\n1777\n");
    assert_eq!(place.inside(&names, &look), expected);
    assert!(package.join(".hidden").exists() && !fs::exists("/opt/made").expect("a look"));

    assert_eq!(place.layer(&["get", path]), "Exist\n");
    assert_eq!(place.layer(&["list"]), format!("Package: \"{path}\", Version: Some(\"1.0.0\")\n"));
    let other = place.package("packages/@scope/other", "version: 2.0.0\n");
    let folder = place.path("packages");
    let scanned = format!("{{\"{}\": \"NotInStore\", \"{path}\": \"Exist\"}}\n", text(&other));
    assert_eq!(place.layer(&["scan", "--search-paths", text(&folder)]), scanned);
    let to = place.path("scan.json");
    assert_eq!(place.layer(&["scan", "--search-paths", text(&folder), "--output", text(&to)]), "");
    assert_eq!(fs::read_to_string(&to).expect("a file"), scanned);
    let flow = place.stage.write("packages/demo/flows/f/flow.oo.yaml", "nodes: []\n");
    let query = place.stage.bounded(&["query", "package", text(&flow)]).output().expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&query.stdout), format!("package-status: \"{path}\":\"true\"\n"));

    // Once more does nothing; another version makes other layers.
    assert_eq!(place.layer(&["create", path]), "");
    assert_eq!(place.noted(&package), noted);
    place.package("packages/demo", "name: demo\nversion: 1.0.1\n");
    assert_eq!(place.layer(&["get", path]), "NotInStore\n");
    place.layer(&["create", path]);
    assert_eq!(place.layer(&["get", path]), "Exist\n");
    assert_eq!(place.layers(), [place.noted(&package)["source_layer"].as_str().expect("a name")]);
    place.layer(&["delete", path]);
    assert_eq!(place.layer(&["get", path]), "NotInStore\n");
    assert_eq!(place.layers(), [""; 0]);
    place.is_clean();
}

#[test]
fn by_name_and_version() {
    let place = Place::new();
    let package = place.package("demo", "name: demo\nversion: 1.0.0\n");
    let path = text(&package);
    assert_eq!(place.layer(&["get-external", "demo", "3.0.0"]), "NotInStore\n");
    place.layer(&["create-registry", "demo", "3.0.0", path]);
    assert_eq!(place.layer(&["get-registry", "demo", "3.0.0"]), "Exist\n");
    assert_eq!(place.layer(&["list"]), format!("External: demo@3.0.0, Path: \"{path}\"\n"));
    assert_eq!(place.layer(&["get", path]), "NotInStore\n");
    assert_eq!(place.layer(&["get", path, "--package-name", "demo", "--version", "3.0.0"]), "Exist\n");
    place.layer(&["delete-external", "demo", "3.0.0"]);
    assert_eq!((place.layer(&["list"]), place.layers()), (String::new(), Vec::new()));

    place.layer(&["create", path]);
    place.layer(&["mv", path]);
    assert_eq!(place.layer(&["list"]), format!("External: demo@1.0.0, Path: \"{path}\"\n"));
    assert_eq!(place.layer(&["get", path]), "Exist\n");
    assert_eq!(fs::read_dir(place.path("runtime/layer_dir")).expect("the store").count(), 0);
    let message = place.refused(&["mv", path]);
    assert!(message.contains("Package layer") && message.contains("doesn't exist"), "{message}");
    // What is shared stays until it is named.
    place.layer(&["delete-all"]);
    assert_eq!(place.layer(&["get", path]), "Exist\n");
    place.layer(&["delete-registry", "demo", "1.0.0"]);
    assert_eq!((place.layer(&["get", path]), place.layers()), ("NotInStore\n".to_owned(), Vec::new()));
    place.layer(&["create", path]);
    place.layer(&["delete-all"]);
    assert_eq!((place.layer(&["list"]), place.layers()), (String::new(), Vec::new()));
}

#[test]
fn several_at_once_make_one() {
    let place = Place::new();
    let package = place.package("demo", "version: 1.0.0\nscripts: {bootstrap: echo said}\n");
    let start = |_| {
        let mut create = place.stage.command(&["package-layer", "create", text(&package)]);
        create.stdout(Stdio::piped()).spawn().expect("the program starts")
    };
    let children: Vec<_> = (0..3).map(start).collect();
    let outputs = children.into_iter().map(|child| child.wait_with_output().expect("it ends"));
    let said: Vec<u8> = outputs
        .flat_map(|output| {
            assert!(output.status.success(), "{output:?}");
            output.stdout
        })
        .collect();
    assert_eq!((&*String::from_utf8_lossy(&said), place.layers().len()), ("said\n", 2));
    place.is_clean();
}

#[test]
fn a_script_that_fails_leaves_nothing() {
    let place = Place::new();
    let package = place
        .package("demo", "version: 1.0.0\nscripts: {bootstrap: \"echo before; false | true; echo after\"}\n");
    let output = place.try_layer(&["create", text(&package)]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stdout)), (Some(1), "before\n"));
    assert!(errors.contains("the bootstrap script of") && errors.contains("exit status: 1"), "{errors}");
    assert_eq!(
        (place.layers(), place.layer(&["get", text(&package)])),
        (Vec::new(), "NotInStore\n".to_owned())
    );
    place.is_clean();
}

#[test]
fn what_is_interrupted_leaves_nothing() {
    let place = Place::new();
    let package = place.package("demo", "version: 1.0.0\nscripts: {bootstrap: \"echo begun; sleep 300\"}\n");
    for signal in [Signal::TERM, Signal::KILL] {
        let mut create = place.stage.command(&["package-layer", "create", text(&package)]);
        let mut child = create.process_group(0).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        stdout.read_line(&mut line).expect("a line");
        assert_eq!((line.as_str(), place.layers().len()), ("begun\n", 2));
        let pid = Pid::from_child(&child);
        if signal == Signal::TERM {
            kill_process(pid, signal).expect("it runs");
            let status = child.wait().expect("it ends");
            assert_eq!(status.code(), Some(1));
        } else {
            kill_process_group(pid, signal).expect("it runs");
            child.wait().expect("it ends");
            // Whoever comes next removes what the dead one has left.
            assert_eq!(place.layer(&["list"]), "");
        }
        assert_eq!(place.layers(), [""; 0], "{signal:?}");
        place.is_clean();
    }
}

#[test]
fn what_gets_no_layer_is_told() {
    let place = Place::new();
    let cases = [
        ("a", "name: \"@connector/a\"\n", "it is a connector"),
        ("b", "a: [\n", "package.oo.yaml:2:1: this is not YAML"),
    ];
    for (name, manifest, part) in cases {
        let package = place.package(name, manifest);
        let message = place.refused(&["create", text(&package)]);
        assert!(message.contains(part), "{message}");
    }
    let message = place.refused(&["create", text(&place.path("nothing"))]);
    assert!(message.contains("has no package.oo.yaml"), "{message}");
    let package = place.package("c", "name: c\nversion: 1.0.0\n");
    let message = place.refused(&["export", text(&package), text(&place.path("out"))]);
    assert!(message.contains("Package layer") && message.contains("doesn't exist"), "{message}");
    assert_eq!(place.layers(), [""; 0]);
    let mut without = place.stage.bounded(&["package-layer", "list"]);
    let output = without.env("PATH", "/usr/bin:/bin").output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && errors.contains("Layer feature is not enabled"), "{errors}");
}
