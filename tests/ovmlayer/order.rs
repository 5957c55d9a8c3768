//! Layer order and the marks of overlayfs (contract 2.1, 2.2).

use std::fs;

use crate::{Stage, scenarios};

scenarios!(
    the_last_layer_is_the_top_and_is_written_to,
    the_root_filesystem_is_always_below,
    two_live_merge_points_share_their_lower_layers,
    a_layer_is_upper_first_and_lower_later,
    what_a_layer_removes_stays_removed_in_any_stack,
    a_name_of_a_merge_point_is_free_at_once,
    the_top_of_a_live_merge_point_is_refused_to_another,
);

fn the_last_layer_is_the_top_and_is_written_to(stage: &Stage<'_>) {
    for (layer, text) in [("low", "low"), ("middle", "middle"), ("top", "")] {
        stage.does(&format!("create {layer}"));
        if !text.is_empty() {
            stage.does(&format!("merge -l {layer} -m m"));
            stage.sh("m", &format!("echo {text} > /which; echo {text} > /only-{text}"));
            stage.does("unmerge m");
        }
    }
    stage.does("merge -l low -l middle -l top -m m");
    assert_eq!(
        stage.sh("m", "cat /which /only-low /only-middle; echo mine > /written"),
        "middle\nlow\nmiddle\n"
    );
    stage.does("unmerge m");
    assert!(stage.path("runtime/layer_dir/top/written").exists());
    stage.does("merge -l middle -l low -m m");
    assert_eq!(stage.sh("m", "cat /which"), "low\n", "the other way round");
    assert!(!stage.path("runtime/layer_dir/low/written").exists());
}

fn the_root_filesystem_is_always_below(stage: &Stage<'_>) {
    stage.does("create l1");
    stage.does("merge -l l1 -m m1");
    assert_eq!(stage.sh("m1", "cat /etc/os-release"), "ID=test\n");
    assert!(!stage.layers(&[]).contains(&"base_rootfs".to_owned()));
}

/// The injection flow of oocana's runtime layers.
fn two_live_merge_points_share_their_lower_layers(stage: &Stage<'_>) {
    for layer in ["src", "boot", "inj", "tmp"] {
        stage.does(&format!("create {layer}"));
    }
    stage.write("package/main", "source\n", 0o644);
    stage.ok(["cp", "--mode", "host2layer", &stage.arg("package"), "src:/app"]);
    stage.does("merge -l src -l boot -l tmp -m MP1");
    assert_eq!(stage.sh("MP1", "cat /app/package/main; echo one > /app/package/one"), "source\n");
    stage.does("merge -l src -l boot -l inj -m MP2");
    stage.sh(
        "MP2",
        "test ! -e /app/package/one && echo injected > /app/package/injected && rm /app/package/main",
    );
    assert_eq!(stage.sh("MP1", "cat /app/package/main"), "source\n", "the other one is not disturbed");
    assert_eq!(stage.layers(&["--used"]), ["boot", "inj", "src", "tmp"]);
    stage.does("unmerge MP2");
    stage.does("unmerge MP1");
    stage.does("merge -l src -l boot -l inj -l tmp -m MP1");
    assert_eq!(
        stage.sh("MP1", "cat /app/package/injected /app/package/one; ls /app/package"),
        "injected\none\ninjected\none\n"
    );
    assert_eq!(stage.does("list merged-points"), "MP1\n");
}

fn a_layer_is_upper_first_and_lower_later(stage: &Stage<'_>) {
    stage.does("create a");
    stage.does("create b");
    for round in 0..3 {
        stage.does("merge -l a -m m");
        stage.sh("m", &format!("mkdir -p /d{round}; echo {round} > /d{round}/f; mv /d{round}/f /d{round}/g"));
        stage.does("unmerge m");
        stage.does("merge -l a -l b -m m");
        stage.sh("m", &format!("test $(cat /d{round}/g) = {round} && rm -r /d{round} && mkdir /d{round}"));
        stage.does("unmerge m");
        stage.does("merge -l b -l a -m m");
        assert_eq!(stage.sh("m", &format!("cat /d{round}/g")), format!("{round}\n"));
        stage.does("unmerge m");
    }
}

fn what_a_layer_removes_stays_removed_in_any_stack(stage: &Stage<'_>) {
    stage.does("create low");
    stage.does("create top");
    stage.does("create other");
    stage.does("merge -l low -m m");
    stage.sh("m", "mkdir -p /app/deep; touch /app/file /app/deep/old; rm /etc/os-release");
    stage.does("unmerge m");
    stage.does("merge -l low -l top -m m");
    stage.sh(
        "m",
        "test ! -e /etc/os-release; rm /app/file; rm -r /app/deep; mkdir /app/deep; touch /app/deep/new",
    );
    stage.does("unmerge m");
    stage.does("merge -l low -l top -l other -m m");
    assert_eq!(
        stage.sh("m", "ls /app /app/deep; test ! -e /etc/os-release"),
        "/app:\ndeep\n\n/app/deep:\nnew\n"
    );
    stage.does("unmerge m");
    stage.does("merge -l top -l other -m m");
    assert_eq!(stage.sh("m", "cat /etc/os-release; ls /app"), "ID=test\ndeep\n");
}

fn a_name_of_a_merge_point_is_free_at_once(stage: &Stage<'_>) {
    stage.does("create a");
    stage.does("create b");
    for _ in 0..5 {
        stage.does("merge -l a -m m");
        stage.does("unmerge m");
        stage.does("merge -l b -m m");
        stage.does("unmerge m");
    }
    let works = fs::read_dir(stage.path("runtime/work")).expect("work folders");
    assert_eq!(works.count(), 0, "work folders go with their mounts");
}

fn the_top_of_a_live_merge_point_is_refused_to_another(stage: &Stage<'_>) {
    stage.does("create a");
    stage.does("create b");
    stage.does("merge -l a -m m");
    let errors = stage.refuses("merge -l b -l a -m other");
    assert!(errors.contains("`a`") && errors.contains("`m`"), "{errors}");
    assert!(stage.refuses("merge -l b -m m").contains("merge point `m` exists already"));
    assert!(stage.refuses("merge -l b -l none -m other").contains("there is no layer `none`"));
    assert!(stage.refuses("merge -l b -l b -m other").contains("named twice"));
    assert_eq!(stage.does("list merged-points"), "m\n", "nothing is left of what failed");
    assert_eq!(stage.layers(&["--unused"]), ["b"]);
}
