//! What someone removed, locked or spoiled: a clear message, nothing made worse, and a way out.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use testkit::{TestUser, run, tool};

use crate::content::{assert_same, content, lasting};
use crate::disk::{Kind, SmallDisk};
use crate::stage::{Stage, names};

/// Runs a test as root and as an ordinary user.
fn as_both(test: impl Fn(Option<&TestUser>)) {
    test(None);
    let user = TestUser::create();
    test(Some(&user));
}

/// A store with a lower layer and a top, and a file in the lower one.
fn two_layers(stage: &Stage<'_>) {
    let file = stage.write("greeting", "hello\n").display().to_string();
    stage.ok(["create", "low"]);
    stage.ok(["cp", "--mode", "host2layer", &file, "low:/tags"]);
    stage.ok(["create", "top"]);
}

fn merge(stage: &Stage<'_>) {
    stage.ok(["merge", "-l", "low", "-l", "top", "-m", "p"]);
}

fn well(stage: &Stage<'_>) {
    assert_eq!(stage.ok(["run", "--merged-point=p", "sh", "-c", "echo well"]), "well\n");
}

/// What a failed command said; a status that is none of ours, or a panic, is a fault.
fn refusal(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 125)), "{}: {message}", output.status);
    assert!(!message.contains("panicked"), "{message}");
    message
}

/// A message has all of these words.
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not in the message:\n{message}");
    }
}

#[test]
fn a_layer_removed_under_a_live_merge_point() {
    as_both(|user| {
        for removed in ["low", "top"] {
            let stage = Stage::new(user);
            two_layers(&stage);
            merge(&stage);
            fs::remove_dir_all(stage.layer(removed)).expect("a layer goes");
            let other = if removed == "low" { "top" } else { "low" };
            assert!(stage.layers().iter().any(|name| name == other));
            assert_eq!(stage.points(), ["p"]);
            assert!(stage.list(["list", "layers", "--used"]).iter().any(|name| name == other));
            // What the kernel shows of a removed folder is its own affair; our part is to end.
            let output = stage.output(["run", "--merged-point=p", "echo", "well"]);
            assert!(output.status.success() || !refusal(&output).is_empty());
            stage.ok(["unmerge", "p"]);
            let message = stage.fails(["merge", "-l", "low", "-l", "top", "-m", "p"]);
            says(&message, &[&format!("there is no layer `{removed}`")]);
            stage.ok(["fsck", "--repair"]);
            stage.fsck_is_clean(removed);
            stage.ok(["create", removed]);
            merge(&stage);
            well(&stage);
            stage.ok(["unmerge", "p"]);
        }
    });
}

#[test]
fn a_layer_removed_before_the_merge() {
    as_both(|user| {
        let stage = Stage::new(user);
        two_layers(&stage);
        fs::remove_dir_all(stage.layer("low")).expect("a layer goes");
        let message = stage.fails(["merge", "-l", "low", "-l", "top", "-m", "p"]);
        says(&message, &["there is no layer `low`"]);
        assert_eq!(stage.points(), Vec::<String>::new());
        for folder in ["work", "merged", "lease"] {
            assert_eq!(names(&stage.runtime().join(folder)), Vec::<String>::new(), "{folder}");
        }
        says(&stage.fails(["export", "-l", "low", "-dest", "out.tar"]), &["there is no layer `low`"]);
        assert!(!stage.path("out.tar").exists());
        stage.ok(["delete", "low"]);
        assert_eq!(stage.layers(), ["top"]);
    });
}

#[test]
fn a_root_filesystem_that_is_gone() {
    as_both(|user| {
        let stage = Stage::new(user);
        two_layers(&stage);
        let rootfs = stage.path("rootfs");
        fs::rename(&rootfs, stage.path("elsewhere")).expect("the root goes");
        let message = stage.fails(["merge", "-l", "low", "-l", "top", "-m", "p"]);
        says(&message, &["root filesystem", &rootfs.display().to_string()]);
        assert_eq!(stage.layers(), ["low", "top"]);
        assert_eq!(stage.points(), Vec::<String>::new());
        fs::rename(stage.path("elsewhere"), &rootfs).expect("the root comes back");
        merge(&stage);
        well(&stage);
        stage.ok(["unmerge", "p"]);
    });
}

#[test]
fn a_store_that_is_read_only() {
    as_both(|user| {
        for kind in Kind::ALL {
            read_only_store(user, kind);
        }
    });
}

fn remount(disk: &SmallDisk, how: &str) {
    run(Command::new(tool("mount")).args(["-o", &format!("remount,{how}")]).arg(disk.path()));
}

fn read_only_store(user: Option<&TestUser>, kind: Kind) {
    let disk = SmallDisk::new(kind, 16);
    let stage = Stage::bare(user).runtime_in(&disk.path());
    stage.own(&disk.path());
    stage.setup();
    two_layers(&stage);
    stage.ok(["create", "live"]);
    let archive = stage.path("low.tar").display().to_string();
    stage.ok(["export", "-l", "low", "-dest", &archive]);
    stage.ok(["merge", "-l", "live", "-m", "p"]);
    remount(&disk, "ro");
    let before = content(stage.runtime());

    assert_eq!(stage.layers(), ["live", "low", "top"]);
    assert_eq!(stage.list(["list", "layers", "--used"]), ["live"]);
    assert_eq!(stage.points(), ["p"]);
    let again = stage.path("again.tar").display().to_string();
    stage.ok(["export", "-l", "low", "-dest", &again]);
    assert!(
        fs::read(&again).expect("an archive") == fs::read(&archive).expect("an archive"),
        "archives differ"
    );
    for words in [
        &["inspect", "low"][..],
        &["diff", "low"],
        &["du"],
        &["cp", "--mode", "layer2host", "low:/tags", "."],
    ] {
        stage.ok(words);
    }
    let run = stage.output(["run", "--merged-point=p", "sh", "-c", "echo well; echo more > /tags/more"]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "well\n", "reading in a merge point works: {said}");
    assert!(!run.status.success(), "the command's own write fails");
    says(&said.to_lowercase(), &["read-only"]);

    let greeting = stage.path("greeting").display().to_string();
    let store = stage.runtime().display().to_string();
    let refused: &[&[&str]] = &[
        &["create", "other"],
        &["delete", "low"],
        &["import", "--rename", "other", &archive],
        &["import", &archive],
        &["merge", "-l", "low", "-l", "top", "-m", "q"],
        &["move", "low"],
        &["cp", "--mode", "host2layer", &greeting, "top:/tags"],
        &["cp", "--mode", "host2merged", &greeting, "p:/tags"],
        &["flatten", "-l", "low", "-l", "top", "flat"],
    ];
    for words in refused {
        let message = refusal(&stage.output(*words));
        assert!(message.to_lowercase().contains("read-only"), "{words:?}: {message}");
        assert!(message.contains(&store), "{words:?} does not name the store: {message}");
    }
    assert_same(&content(stage.runtime()), &before, "a store that is read-only");
    assert_eq!(names(&stage.external().join("layer_dir")), Vec::<String>::new(), "half a move");

    remount(&disk, "rw");
    well(&stage);
    stage.ok(["unmerge", "p"]);
    merge(&stage);
    well(&stage);
    stage.ok(["unmerge", "p"]);
    stage.ok(["delete", "--all"]);
}

#[test]
fn a_further_store_for_reading_only() {
    as_both(|user| {
        let disk = SmallDisk::new(Kind::Ext4, 16);
        let shipped = Stage::bare(user).runtime_in(&disk.path());
        shipped.own(&disk.path());
        shipped.setup();
        two_layers(&shipped);
        let folder = shipped.runtime().to_owned();
        remount(&disk, "ro");
        let before = content(&folder);
        let stage = Stage::bare(user);
        let (own, further) =
            (format!("{},rw", stage.runtime().display()), format!("{},ro", folder.display()));
        stage.ok([
            "setup",
            "-d",
            &own,
            "-d",
            &further,
            "--rootfs-path",
            &stage.path("rootfs").display().to_string(),
        ]);
        assert_eq!(stage.layers(), ["low", "top"]);
        stage.ok(["create", "mine"]);
        stage.ok(["merge", "-l", "low", "-l", "mine", "-m", "p"]);
        assert_eq!(stage.ok(["run", "--merged-point=p", "cat", "/tags/greeting"]), "hello\n");
        stage.ok(["unmerge", "p"]);
        says(&stage.fails(["merge", "-l", "top", "-m", "p"]), &["`top`", &folder.display().to_string()]);
        says(&stage.fails(["delete", "low"]), &["read-only", &folder.display().to_string()]);
        stage.ok(["delete", "--all"]);
        assert_eq!(stage.layers(), ["low", "top"], "what cannot be deleted stays");
        assert_same(&content(&folder), &before, "a further store");
    });
}

#[test]
fn a_spoiled_configuration() {
    // What the file holds then, and what the message must say of it.
    let cases: &[(&str, &str, &[&str])] = &[
        ("nothing", "", &["line 1"]),
        ("no JSON", "runtime = here\n", &["line 1"]),
        ("cut off", "{\n  \"format\": 1,\n  \"runt", &["line 3"]),
        ("another kind of value", "{\n  \"format\": 1,\n  \"runtime\": 7\n}\n", &["line 3"]),
        ("a list", "[]\n", &["line 1"]),
        ("a newer one", "{\"format\": 99}\n", &["99"]),
        ("bytes that are no text", "\u{0}\u{1}", &["line 1"]),
    ];
    as_both(|user| {
        let stage = Stage::new(user);
        two_layers(&stage);
        let path = stage.home().join(".ovmlayer_cfg.json");
        let sound = fs::read(&path).expect("the configuration");
        let kept = lasting(content(stage.runtime()));
        for (summary, text, words) in cases {
            fs::write(&path, text).expect("a spoiled configuration");
            for command in
                [&["list", "layers"][..], &["create", "other"], &["delete", "--all"], &["test", "system"]]
            {
                let message = stage.fails(command);
                assert!(message.contains(&path.display().to_string()), "{summary}, {command:?}: {message}");
                assert!(words.iter().all(|word| message.contains(word)), "{summary}, {command:?}: {message}");
            }
            assert_same(&lasting(content(stage.runtime())), &kept, summary);
        }
        fs::write(&path, "{").expect("a spoiled configuration");
        stage.setup();
        assert_eq!(stage.layers(), ["low", "top"], "`setup` makes a new one");
        assert!(!sound.is_empty());
    });
}

#[test]
fn a_spoiled_store_record() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("nothing", "", &["line 1"]),
        ("cut off", "{\n\"format\": 1,\n\"xatt", &["line 3"]),
        ("another kind of value", "{\n\"format\": \"one\"\n}", &["line 2"]),
        ("a newer one", "{\"format\": 99}", &["99"]),
    ];
    as_both(|user| {
        let stage = Stage::new(user);
        two_layers(&stage);
        let path = stage.runtime().join("store.json");
        let sound = fs::read(&path).expect("the record");
        let kept = lasting(content(&stage.runtime().join("layer_dir")));
        for (summary, text, words) in cases {
            fs::write(&path, text).expect("a spoiled record");
            for command in [&["list", "layers"][..], &["create", "other"], &["delete", "--all"]] {
                let message = stage.fails(command);
                assert!(message.contains(&path.display().to_string()), "{summary}, {command:?}: {message}");
                assert!(words.iter().all(|word| message.contains(word)), "{summary}, {command:?}: {message}");
            }
            assert_same(&lasting(content(&stage.runtime().join("layer_dir"))), &kept, summary);
        }
        fs::write(&path, "{\"form").expect("a spoiled record");
        stage.ok(["fsck", "--repair"]);
        stage.fsck_is_clean("a repaired record");
        assert_eq!(stage.layers(), ["low", "top"]);
        merge(&stage);
        well(&stage);
        stage.ok(["unmerge", "p"]);
        assert!(!sound.is_empty());
    });
}

#[test]
fn a_spoiled_lease() {
    as_both(|user| {
        for text in ["", "{", "{\"format\": 1}", "[1, 2]"] {
            let stage = Stage::new(user);
            two_layers(&stage);
            stage.make(&stage.runtime().join("lease"));
            for name in ["p.json", "q.json", ".hidden", "no lease"] {
                let path = stage.runtime().join("lease").join(name);
                fs::write(&path, text).expect("a spoiled lease");
                stage.own(&path);
            }
            // It never blocks.
            assert_eq!(stage.layers(), ["low", "top"]);
            assert_eq!(stage.list(["list", "layers", "--used"]), Vec::<String>::new(), "{text}");
            assert_eq!(stage.points(), Vec::<String>::new(), "{text}");
            merge(&stage);
            well(&stage);
            stage.ok(["unmerge", "p"]);
            stage.ok(["fsck", "--repair"]);
            stage.fsck_is_clean(text);
            stage.ok(["delete", "low"]);
        }
        // One of a newer version may be live in a way that is not known here.
        let stage = Stage::new(user);
        two_layers(&stage);
        let path = stage.runtime().join("lease/p.json");
        fs::write(&path, "{\"format\": 99}").expect("a newer lease");
        stage.own(&path);
        let message = stage.fails(["delete", "low"]);
        says(&message, &["99", &path.display().to_string()]);
        assert_eq!(stage.layers(), ["low", "top"]);
    });
}

#[test]
fn strangers_among_the_layers() {
    as_both(|user| {
        let stage = Stage::new(user);
        two_layers(&stage);
        stage.write("outside/file", "precious\n");
        let layers = stage.runtime().join("layer_dir");
        for name in ["file", ".hidden_file", "-file"] {
            fs::write(layers.join(name), "a file\n").expect("a stranger");
        }
        for name in [".hidden", "-l", " space", "new\nline", "a:b"] {
            fs::create_dir(layers.join(name)).expect("a stranger");
        }
        symlink(stage.path("outside"), layers.join("link")).expect("a stranger");
        symlink(stage.path("nowhere"), layers.join("dangling")).expect("a stranger");
        symlink(layers.join("low"), layers.join("alias")).expect("a stranger");

        assert_eq!(stage.layers(), ["low", "top"]);
        assert_eq!(stage.list(["list", "layers", "--unused"]), ["low", "top"]);
        for name in ["file", "link", "dangling", "alias"] {
            stage.fails(["merge", "-l", "low", "-l", name, "-m", "p"]);
            stage.fails(["merge", "-l", name, "-l", "top", "-m", "p"]);
            stage.fails(["export", "-l", name, "-dest", "out.tar"]);
            stage.fails(["create", name]);
            let greeting = stage.path("greeting").display().to_string();
            stage.fails(["cp", "--mode", "host2layer", &greeting, &format!("{name}:/tags")]);
        }
        assert!(!stage.path("out.tar").exists());
        stage.ok(["du"]);
        merge(&stage);
        well(&stage);
        stage.ok(["unmerge", "p"]);
        // It says so, and touches none of them.
        let strange = names(&layers);
        let output = stage.output(["fsck", "--repair"]);
        assert_eq!(output.status.code(), Some(1), "a stranger is not put right");
        let found = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        for name in ["/file", "/link", "/dangling", "/.hidden", "/-l"] {
            assert!(found.contains(name), "`{name}` is not in what fsck found:\n{found}");
        }
        stage.ok(["gc"]);
        assert_eq!(names(&layers), strange);
        stage.ok(["delete", "--all"]);
        assert_eq!(stage.layers(), Vec::<String>::new());
        assert_eq!(
            fs::read_to_string(stage.path("outside/file")).expect("what a link leads to"),
            "precious\n"
        );
    });
}
