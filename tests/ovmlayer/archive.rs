//! `export` and `import` as a user meets them (contract 2.4); the format has tests of its own.

use std::fs;
use std::process::Command;

use testkit::{run, tool};

use crate::{Stage, scenarios};

scenarios!(
    several_layers_travel_in_one_file,
    an_import_replaces_a_layer,
    a_used_layer_is_not_replaced,
    the_name_of_the_file_says_the_compression,
    layers_of_images,
    a_damaged_file_changes_nothing,
    an_imported_layer_can_be_written_to,
);

/// Layers `low` and `top`, of which `top` removes and replaces.
fn two_layers(stage: &Stage<'_>) {
    stage.does("create low");
    stage.does("create top");
    stage.does("merge -l low -m m");
    stage.sh(
        "m",
        "mkdir -p /app/data; echo low > /app/file; touch /app/data/old /app/gone; ln /app/file /app/same",
    );
    stage.does("unmerge m");
    stage.does("merge -l low -l top -m m");
    stage.sh("m", "rm /app/gone /etc/os-release; rm -r /app/data; mkdir /app/data; touch /app/data/new; chmod 4711 /app/file");
    stage.does("unmerge m");
}

const LOOK: &str =
    "cd /app; ls . data; cat file; stat -c '%a %h' file same; test -e /etc/os-release || echo gone";
const SEEN: &str = ".:\ndata\nfile\nsame\n\ndata:\nnew\nlow\n4711 1\n644 2\ngone\n";

fn two_layers_are_as_they_were(stage: &Stage<'_>) {
    stage.does("merge -l low -l top -m m");
    assert_eq!(stage.sh("m", LOOK), SEEN);
    stage.does("unmerge m");
}

fn several_layers_travel_in_one_file(stage: &Stage<'_>) {
    two_layers(stage);
    let archive = stage.arg("layers.tar");
    stage.ok(["export", "-l", "low", "-l", "top", "-dest", &archive]);
    let first = fs::read(&archive).expect("an archive");
    stage.does("delete --all");
    stage.ok(["import", &archive]);
    assert_eq!(stage.layers(&[]), ["low", "top"]);
    two_layers_are_as_they_were(stage);
    stage.ok(["export", "-l", "low", "-l", "top", "-dest", &archive]);
    assert!(fs::read(&archive).expect("an archive") == first, "the same layers give the same bytes");
    assert!(stage.fails(["import", "--rename", "one", &archive]).contains("rename"));
    assert_eq!(stage.does("fsck"), "");
}

fn an_import_replaces_a_layer(stage: &Stage<'_>) {
    two_layers(stage);
    stage.does("export -l low -dest low.tar");
    stage.does("merge -l low -m m");
    stage.sh("m", "echo changed > /app/file; touch /more");
    stage.does("unmerge m");
    stage.does("import low.tar");
    stage.does("merge -l low -m m");
    assert_eq!(stage.sh("m", "cat /app/file; test -e /more || echo gone"), "low\ngone\n");
}

fn a_used_layer_is_not_replaced(stage: &Stage<'_>) {
    two_layers(stage);
    stage.does("export -l low -dest low.tar");
    stage.does("merge -l low -l top -m m");
    let errors = stage.refuses("import low.tar");
    assert!(errors.contains("layer `low`") && errors.contains("ovmlayer unmerge m"), "{errors}");
    assert_eq!(stage.sh("m", LOOK), SEEN);
    // A lower layer can be read while it is used.
    stage.does("export -l low -dest again.tar");
    assert!(
        fs::read(stage.path("low.tar")).expect("a file")
            == fs::read(stage.path("again.tar")).expect("a file")
    );
}

fn the_name_of_the_file_says_the_compression(stage: &Stage<'_>) {
    two_layers(stage);
    let table: [(&str, &[u8]); 3] =
        [("l.tar", b"ovmlayer"), ("l.tar.gz", &[0x1f, 0x8b]), ("l.tar.zst", &[0x28, 0xb5, 0x2f, 0xfd])];
    for (name, magic) in table {
        stage.ok(["export", "-l", "low", "-l", "top", "--dest", name]);
        let bytes = fs::read(stage.path(name)).expect("an archive");
        assert!(bytes.starts_with(magic), "{name}: {:?}", &bytes[..8]);
        // What is in it is seen from the contents.
        fs::rename(stage.path(name), stage.path("renamed")).expect("another name");
        stage.does("delete low");
        stage.does("import renamed");
        two_layers_are_as_they_were(stage);
    }
}

fn layers_of_images(stage: &Stage<'_>) {
    two_layers(stage);
    stage.does("export -l top --format oci --dest top.tar.gz");
    let names = String::from_utf8(run(Command::new(tool("tar")).arg("-tf").arg(stage.path("top.tar.gz"))))
        .expect("text");
    assert!(names.lines().any(|name| name.ends_with("app/.wh.gone")), "{names}");
    stage.does("delete top");
    stage.does("import --format oci --rename top top.tar.gz");
    two_layers_are_as_they_were(stage);
    assert!(stage.refuses("export -l low -l top --format oci --dest x.tar").contains("one"));
    assert_eq!(stage.try_run(["import", "--format", "oci", "top.tar.gz"]).status.code(), Some(1));
}

fn a_damaged_file_changes_nothing(stage: &Stage<'_>) {
    two_layers(stage);
    stage.does("export -l low -l top -dest layers.tar.zst");
    let bytes = fs::read(stage.path("layers.tar.zst")).expect("an archive");
    stage.does("delete low");
    for (summary, damaged) in [
        ("cut short", bytes[..bytes.len() / 2].to_vec()),
        ("no archive", b"nothing of the kind".to_vec()),
        ("empty", Vec::new()),
    ] {
        fs::write(stage.path("damaged"), damaged).expect("a file");
        let errors = stage.refuses("import damaged");
        assert!(errors.contains("damaged"), "{summary}: {errors}");
        assert_eq!(stage.layers(&[]), ["top"], "{summary}");
        assert_eq!(stage.does("fsck"), "", "{summary}");
    }
    assert!(stage.refuses("import nowhere.tar").contains("nowhere.tar"));
}

fn an_imported_layer_can_be_written_to(stage: &Stage<'_>) {
    two_layers(stage);
    stage.does("export -l low -dest low.tar");
    stage.does("import --rename copy low.tar");
    stage.does("merge -l copy -m m");
    stage.sh("m", "mv /app/file /moved; echo new > /app/file");
    stage.does("unmerge m");
    stage.does("merge -l low -l copy -m m");
    assert_eq!(stage.sh("m", "cat /moved /app/file /app/same"), "low\nnew\nlow\n");
}
