//! Creating, deleting, listing, merging and unmerging: what is an error and what is none (contract 1.1, 2.6, 6).

use crate::{Stage, scenarios};

scenarios!(
    deleting_a_missing_layer_is_no_error,
    deleting_a_used_layer_is_refused,
    delete_all_takes_everything_but_the_setup,
    lists_are_names_and_nothing_else,
    a_layer_is_created_once,
    unmerging_an_unknown_point_is_no_error,
    a_moved_layer_can_be_used_as_before,
    flattened_layers_equal_the_stack,
);

fn deleting_a_missing_layer_is_no_error(stage: &Stage<'_>) {
    assert_eq!(stage.does("delete python_executor"), "");
    stage.does("create python_executor");
    stage.does("delete python_executor");
    assert_eq!(stage.layers(&[]), [""; 0]);
}

fn deleting_a_used_layer_is_refused(stage: &Stage<'_>) {
    stage.does("create low");
    stage.does("create top");
    stage.does("merge -l low -l top -m m");
    for layer in ["low", "top"] {
        let errors = stage.refuses(&format!("delete {layer}"));
        assert!(
            errors.contains(&format!("layer `{layer}`")) && errors.contains("ovmlayer unmerge m"),
            "{errors}"
        );
    }
    stage.does("unmerge m");
    stage.does("delete low");
    stage.does("delete top");
}

fn delete_all_takes_everything_but_the_setup(stage: &Stage<'_>) {
    stage.does("delete --all");
    for layer in ["a", "b", "moved"] {
        stage.does(&format!("create {layer}"));
    }
    stage.does("move moved");
    stage.does("merge -l moved -l a -m m");
    stage.does("merge -l moved -l b -m n");
    stage.does("delete --all");
    assert_eq!(stage.layers(&[]), ["moved"], "the external store may be shared");
    assert_eq!(stage.does("list merged-points"), "");
    stage.does("create a");
    stage.does("merge -l a -m m");
    assert_eq!(stage.sh("m", "cat /etc/os-release"), "ID=test\n");
}

fn lists_are_names_and_nothing_else(stage: &Stage<'_>) {
    assert_eq!(stage.does("list layers"), "");
    for layer in ["layer_2", "layer_1", "with@1.0+x"] {
        stage.does(&format!("create {layer}"));
    }
    stage.does("merge -l layer_1 -m m");
    assert_eq!(stage.does("list layers"), "layer_1\nlayer_2\nwith@1.0+x\n");
    assert_eq!(stage.does("list layers --used"), "layer_1\n");
    assert_eq!(stage.does("list layers --unused"), "layer_2\nwith@1.0+x\n");
}

fn a_layer_is_created_once(stage: &Stage<'_>) {
    stage.does("create a");
    assert!(stage.refuses("create a").contains("there is a layer `a` already"));
    stage.does("move a");
    assert!(stage.refuses("create a").contains("there is a layer `a` already"), "in the external store");
}

fn unmerging_an_unknown_point_is_no_error(stage: &Stage<'_>) {
    let result = stage.try_run(["unmerge", "none"]);
    assert!(result.status.success() && result.stdout.is_empty());
    assert_eq!(String::from_utf8_lossy(&result.stderr), "there is no merge point `none`\n");
}

fn a_moved_layer_can_be_used_as_before(stage: &Stage<'_>) {
    for layer in ["a", "b"] {
        stage.does(&format!("create {layer}"));
    }
    stage.does("merge -l a -m m");
    stage.sh("m", "echo moved > /file; rm /etc/os-release");
    assert!(stage.refuses("move a").contains("ovmlayer unmerge m"));
    stage.does("unmerge m");
    stage.does("move a");
    stage.does("move a");
    assert_eq!(stage.layers(&[]), ["a", "b"]);
    assert!(!stage.path("runtime/layer_dir/a").exists());
    stage.does("merge -l a -l b -m m");
    assert_eq!(stage.sh("m", "cat /file; test ! -e /etc/os-release && echo gone"), "moved\ngone\n");
    stage.does("unmerge m");
    assert!(stage.refuses("merge -l b -l a -m m").contains("cannot be the last one"));
    stage.does("delete a");
    assert_eq!(stage.layers(&[]), ["b"]);
}

fn flattened_layers_equal_the_stack(stage: &Stage<'_>) {
    for (layer, script) in [
        ("a", "mkdir /app; echo a > /app/a; echo a > /app/both; rm /etc/os-release"),
        ("b", "echo b > /app/b; echo b > /app/both; rm /app/a"),
    ] {
        stage.does(&format!("create {layer}"));
        let below = if layer == "b" { "-l a" } else { "" };
        stage.does(&format!("merge {below} -l {layer} -m m"));
        stage.sh("m", script);
        stage.does("unmerge m");
    }
    stage.does("flatten -l a -l b both");
    stage.does("create top");
    stage.does("merge -l both -l top -m m");
    assert_eq!(stage.sh("m", "cd /app; cat *; ls; test ! -e /etc/os-release"), "b\nb\nb\nboth\n");
    assert!(stage.refuses("flatten -l a both").contains("there is a layer `both` already"));
}
