//! What shows layers: `inspect`, `diff`, `du`, `list`, `fsck`, `gc`, in words and as JSON.

use serde_json::{Value, json};

use crate::{Stage, scenarios};

scenarios!(
    changes_in_words_and_json,
    sizes,
    all_that_is_known_of_a_layer,
    lists_as_json,
    checks_and_cleaning
);

fn as_json(stage: &Stage<'_>, words: &str) -> Value {
    serde_json::from_str(&stage.does(&format!("{words} --json"))).expect("JSON and nothing else")
}

fn layer_with_changes(stage: &Stage<'_>) {
    stage.does("create l");
    stage.does("merge -l l -m m");
    stage.sh(
        "m",
        "echo x > /etc/new; echo y > /etc/os-release; rm /usr/bin/tty; rm -r /var/lib; mkdir /var/lib; \
         ln -s /etc /link; chmod 700 /home; touch /root/kept",
    );
}

fn changes_in_words_and_json(stage: &Stage<'_>) {
    layer_with_changes(stage);
    let want =
        "+ /etc/new\n~ /etc/os-release\n~ /home/\n+ /link\n+ /root/kept\n- /usr/bin/tty\n- /var/lib/*\n";
    assert_eq!(stage.does("diff l"), want);
    let changes = as_json(stage, "diff l");
    assert_eq!(changes[0], json!({ "path": "/etc/new", "change": "added", "kind": "file" }));
    assert_eq!(changes[5], json!({ "path": "/usr/bin/tty", "change": "removed", "kind": null }));
    assert_eq!(changes[6], json!({ "path": "/var/lib", "change": "emptied", "kind": "directory" }));
    assert!(stage.refuses("diff none").contains("there is no layer `none`"));
}

fn sizes(stage: &Stage<'_>) {
    layer_with_changes(stage);
    stage.sh("m", "head -c 100000 /dev/zero > /big; ln /big /again");
    stage.does("create empty");
    let counted = as_json(stage, "du");
    assert_eq!(counted["layers"][1]["name"], "l");
    let bytes = counted["layers"][1]["bytes"].as_u64().expect("a number");
    assert!((100_000..110_000).contains(&bytes), "{counted}");
    assert_eq!(counted["total"]["bytes"], bytes);
    let words = stage.does("du l --bytes");
    assert_eq!(words, format!("{:>12}  l\n", counted["layers"][1]["disk_bytes"].as_u64().expect("a number")));
    assert!(stage.does("du").ends_with("total\n"));
}

fn all_that_is_known_of_a_layer(stage: &Stage<'_>) {
    layer_with_changes(stage);
    let known = as_json(stage, "inspect l");
    assert_eq!(known["name"], "l");
    assert_eq!(known["store"], "runtime");
    assert_eq!(known["path"], stage.arg("runtime/layer_dir/l"));
    assert_eq!(known["whiteouts"], 1);
    assert_eq!(known["used_by"], json!([{ "point": "m", "position": 1, "top": true }]));
    assert!(stage.does("inspect l").contains("used by  m, as layer 1 from below, the top\n"));
    stage.does("unmerge m");
    assert!(stage.does("inspect l").ends_with("used by  nothing\n"));
}

fn lists_as_json(stage: &Stage<'_>) {
    for layer in ["a", "b", "moved"] {
        stage.does(&format!("create {layer}"));
    }
    stage.does("move moved");
    stage.does("merge -l moved -l a -m m");
    let layers = as_json(stage, "list layers");
    let field = |name: &str| -> Vec<_> {
        layers.as_array().expect("a list").iter().map(|layer| layer[name].clone()).collect()
    };
    assert_eq!(field("name"), ["a", "b", "moved"]);
    assert_eq!(field("store"), ["runtime", "runtime", "external"]);
    assert_eq!(field("used_by"), [json!(["m"]), json!([]), json!(["m"])]);
    let points = as_json(stage, "list merged-points");
    assert_eq!(points[0]["name"], "m");
    assert_eq!(points[0]["layers"], json!(["moved", "a"]));
    assert_eq!(points[0]["path"], stage.arg("runtime/merged/m"));
}

fn checks_and_cleaning(stage: &Stage<'_>) {
    layer_with_changes(stage);
    assert_eq!(stage.does("fsck"), "");
    assert_eq!(as_json(stage, "fsck"), json!([]));
    assert_eq!(stage.does("gc"), "0 removed\n");
    stage.make_folders("runtime/tmp/left".as_ref());
    let found = stage.try_run(["fsck"]);
    assert_eq!(found.status.code(), Some(1));
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(text.contains("runtime/tmp/left: left by a command that was killed"), "{text}");
    assert!(stage.does("fsck --repair").contains("(repaired)"));
    assert!(!stage.path("runtime/tmp/left").exists());
    assert_eq!(stage.sh("m", "cat /etc/new"), "x\n", "what is live is not touched");
}
