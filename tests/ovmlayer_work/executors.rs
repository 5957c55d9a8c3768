//! The scripts by which executors are put into layers, in CI and where an image starts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use testkit::base_rootfs;

use crate::container::Container;
use crate::stage::{Stage, Who, text, well};

/// As the Python executor's CI has it: `delete` comes before `create` on a new machine, one folder takes several copies,
/// bash and zsh are interactive. `install-python.sh` stands in for the download of an interpreter.
const PYTHON: &str = r#"set -xeuo pipefail
mp=merge-$(date -u '+%s')
EXECUTOR=python_executor
mkdir -p src/oocana/dist src/executor/dist
echo one > src/oocana/dist/one.whl
echo two > src/executor/dist/two.whl
cat > src/install-python.sh <<'SCRIPT'
#!/usr/bin/env bash
set -euo pipefail
test "$HOME" = /root
mkdir -p /opt/python/bin
printf '#!/bin/sh\necho installed "$@" | tee -a /opt/python/log\n' > /opt/python/bin/pip
chmod +x /opt/python/bin/pip
echo 'export PATH=/opt/python/bin:$PATH' >> ~/.bashrc
echo export PATH=/opt/python/bin:'$PATH' >> ~/.zshrc
SCRIPT
chmod +x src/install-python.sh
ovmlayer delete $EXECUTOR
ovmlayer create $EXECUTOR
ovmlayer cp --mode host2layer $PWD/src/oocana $EXECUTOR:/python-executor
ovmlayer cp --mode host2layer $PWD/src/executor $EXECUTOR:/python-executor
ovmlayer cp --mode host2layer $PWD/src/install-python.sh $EXECUTOR:/
ovmlayer merge -l $EXECUTOR -m $mp
ovmlayer run --all-devices --merged-point=$mp bash -c -i '/install-python.sh'
ovmlayer run --all-devices --merged-point=$mp zsh -c -i 'pip install /python-executor/oocana/dist/*.whl'
ovmlayer run --all-devices --merged-point=$mp zsh -c -i 'pip install /python-executor/executor/dist/*.whl'
ovmlayer run --all-devices --mount=type=bind,src=/tmp,dst=/tmp,rw,nonrecursive --merged-point=$mp zsh -i -c "test -d '$PWD/src'"
ovmlayer unmerge $mp
ovmlayer list layers
"#;

/// As the Node.js executor's CI has it: the layer's root takes a folder, and later shells find what an earlier one wrote
/// into a start-up file.
const NODE: &str = r#"set -euo pipefail
mkdir -p node-executor/node_modules/.bin
printf '#!/bin/sh\necho node executor $1\n' > node-executor/node_modules/.bin/node-executor
chmod +x node-executor/node_modules/.bin/node-executor
ovmlayer create executor
ovmlayer cp --mode host2layer "$PWD/node-executor" executor:/
ovmlayer merge -l executor -m merge_point
ovmlayer run --all-devices --merged-point=merge_point bash -c 'chmod 777 -R /tmp; export SHELL=/bin/zsh; echo "export PATH=/node-executor/node_modules/.bin:\$PATH" >> ~/.zshrc'
ovmlayer run --merged-point=merge_point --all-devices --workdir=/node-executor zsh -i -c 'node-executor $SHLVL; pwd'
ovmlayer run --all-devices --mount type=bind,src=$PWD,dst=/tmp/a,rw,nonrecursive --merged-point=merge_point zsh -i -c 'ls -d /tmp/a/node-executor'
ovmlayer unmerge merge_point
ovmlayer merge -l executor -m merge_point
ovmlayer run --all-devices --merged-point=merge_point zsh -c -i 'node-executor again'
ovmlayer unmerge merge_point
"#;

#[test]
fn ci_of_executors_as_root() {
    ci(&Who::Root);
}

#[test]
fn ci_of_executors_as_an_ordinary_user() {
    ci(&Who::user());
}

fn ci(who: &Who) {
    let stage = Stage::new(who);
    let installed = "installed install /python-executor/oocana/dist/one.whl\n\
                     installed install /python-executor/executor/dist/two.whl\n";
    assert_eq!(well(&stage.shell(PYTHON)), format!("{installed}python_executor\n"));
    let node = well(&stage.shell(NODE));
    assert_eq!(node, "node executor 1\n/node-executor\n/tmp/a/node-executor\nnode executor again\n");
    let content = stage.content("python_executor");
    for file in
        ["install-python.sh", "python-executor/oocana/dist/one.whl", "python-executor/executor/dist/two.whl"]
    {
        assert!(content.join(file).is_file(), "{file}");
    }
    let folder = fs::metadata(content.join("python-executor")).expect("a folder that was made for a copy");
    assert_eq!(folder.mode() & 0o7777, 0o755);
    // A second run of the whole on the same machine.
    assert_eq!(well(&stage.shell(PYTHON)), format!("{installed}executor\npython_executor\n"));
}

/// What the release workflow binds into the layer and runs there.
const INSTALL: &str = "#!/usr/bin/env bash
set -euxo pipefail
cd /root/layer-deps
grep -c node-executor package.json > /usr/local/lib/node-executor
xargs -n 1 echo < requirements.txt > /usr/local/lib/python-executor
";

/// As the workflow has it that builds the executor's layer for release: files bound into a folder that is missing, then
/// exported with long flags.
const RELEASE: &str = r#"set -euo pipefail
deps=$(dirname "$PWD")/layer-deps
ovmlayer create executor
ovmlayer merge -l executor -m m1
ovmlayer run --workdir=/root --mount type=bind,source=$deps/install-executor.sh,dst=/root/layer-deps/install-executor.sh,nonrecursive \
  --mount type=bind,source=$deps/package.json,dst=/root/layer-deps/package.json,nonrecursive \
  --mount type=bind,source=$deps/requirements.txt,dst=/root/layer-deps/requirements.txt,nonrecursive \
  --merged-point m1 "zsh" "-i" "-c" "/root/layer-deps/install-executor.sh"
ovmlayer unmerge m1
ovmlayer export --layer=executor --dest=$PWD/amd64-executor.tar
"#;

/// Builds the layer for release and puts it where an image has it.
fn release(image: &Container) {
    let stage = Stage::new(&Who::Root);
    stage.file("layer-deps/install-executor.sh", INSTALL, 0o755);
    stage.file("layer-deps/package.json", "{\"node-executor\": \"1\"}\n", 0o644);
    stage.file("layer-deps/requirements.txt", "python-executor\n\nsdk\n", 0o644);
    well(&stage.shell(RELEASE));
    assert!(
        !stage.content("executor").join("root/layer-deps").exists(),
        "targets of binds stay in the layer"
    );
    fs::copy(stage.folder().join("home/amd64-executor.tar"), image.path("/root/executor-layer.tar"))
        .expect("the layer in the image");
}

/// What the runtime image does at each start.
const ENTRYPOINT: &str = r#"set -eu
if [ ! -d "/opt/ovmlayer" ]; then
  ovmlayer setup dev --base-rootfs=/root/rootfs.tar --layer-disk=/root/tmp_overlay_disk > /dev/null 2>&1
elif [ -d "/opt/ovmlayer/layer_dir/base_rootfs/" ]; then
  echo "no setup"
else
  ovmlayer setup production --base-rootfs=/root/rootfs.tar > /dev/null
fi
if [ ! -d "/opt/ovmlayer/layer_dir/executor" ]; then
  ovmlayer import --rename executor /root/executor-layer.tar > /dev/null
fi
"#;

/// What a flow does in a started image.
const FLOW: &str = "ovmlayer test system > /dev/null
ovmlayer list layers | sort
ovmlayer create tmp_layer_1
ovmlayer merge -l executor -l tmp_layer_1 -m merge_1
ovmlayer run --all-devices --merged-point=merge_1 zsh -i -c 'cat /usr/local/lib/python-executor'
";

/// How a flow ends, unless its container does first.
const END: &str = "ovmlayer unmerge merge_1\novmlayer delete tmp_layer_1\n";

/// The image has the folder, a volume: `production`. Nothing of a container that ends without `unmerge` stands in the way
/// of the next one.
#[test]
fn a_runtime_image_starts_on_a_volume() {
    let image = Container::new();
    release(&image);
    fs::create_dir(image.path("/opt/ovmlayer")).expect("a volume");
    let works = "executor\npython-executor\nsdk\n";
    assert_eq!(image.run(&format!("{ENTRYPOINT}{FLOW}")), works);
    for folder in ["base_rootfs/etc", "executor", "tmp_layer_1"] {
        assert!(image.path("/opt/ovmlayer/layer_dir").join(folder).is_dir(), "{folder}");
    }
    // A new container may have nothing but the volume: without a configuration this is the place.
    let tidy = "rm -f /root/.ovmlayer_cfg.json\ntest -z \"$(ovmlayer list layers --used)\"\novmlayer delete tmp_layer_1\n";
    assert_eq!(image.run(&format!("{ENTRYPOINT}{tidy}{FLOW}{END}")), format!("no setup\n{works}"));
    // In a container whose process numbers are the machine's.
    assert_eq!(
        well(&image.start(&format!("{ENTRYPOINT}{FLOW}{END}ovmlayer gc >&2\novmlayer fsck >&2"))),
        format!("no setup\n{works}")
    );
}

/// Without the folder layers lie in a disk image, which is found again and never wiped.
#[test]
fn a_runtime_image_starts_with_a_disk() {
    let image = Container::new();
    release(&image);
    let works = "executor\npython-executor\nsdk\n";
    let kind = "stat -f -c %T /opt/ovmlayer\n";
    assert_eq!(image.run(&format!("{ENTRYPOINT}{FLOW}{END}{kind}")), format!("{works}ext2/ext3\n"));
    let facts = fs::metadata(image.path("/root/tmp_overlay_disk")).expect("a disk image");
    assert!(facts.blocks() * 512 < facts.len() / 2, "a sparse image: {facts:?}");
    // A new container with that image, in which setup is run again and again.
    fs::remove_dir(image.path("/opt/ovmlayer")).expect("the mount point, which is empty outside");
    let setup =
        "ovmlayer setup dev --base-rootfs=/root/rootfs.tar --layer-disk=/root/tmp_overlay_disk > /dev/null\n";
    assert_eq!(image.run(&format!("{ENTRYPOINT}{setup}{setup}{FLOW}{END}")), works);
    let devices = fs::read_dir("/sys/block").expect("block devices").flatten();
    let backing = devices.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    let folder = image.folder().display().to_string();
    let stay: Vec<String> = backing.filter(|file| file.starts_with(&folder)).collect();
    assert!(stay.is_empty(), "loop devices that stay: {stay:?}");
}

/// The dialect of `-d`, with a tar and later without, run again at each start of a container.
#[test]
fn stores_are_named_by_folder() {
    let image = Container::new();
    let with_tar =
        "ovmlayer setup -d /srv/store,rw --rootfs-tar=/root/rootfs.tar --rootfs-path=/srv/own-rootfs >&2\n";
    let without = "ovmlayer setup -d /srv/store,rw --rootfs-path /srv/own-rootfs >&2\n";
    let make = "ovmlayer create executor\novmlayer merge -l executor -m m1\n\
                ovmlayer run --merged-point=m1 zsh -c 'echo kept > /kept'\n";
    image.run(&format!("set -euo pipefail\nmkdir -p /srv/store\n{with_tar}{make}"));
    let read = "test -z \"$(ovmlayer list layers --used)\"\novmlayer merge -l executor -m m1\n\
                ovmlayer run --merged-point=m1 zsh -i -c 'cat /kept'\novmlayer unmerge m1\n";
    for _ in 0..2 {
        assert_eq!(image.run(&format!("set -euo pipefail\n{without}{without}{read}")), "kept\n");
    }
    // The tar again does not unpack over a root filesystem that is there.
    let marked = "echo mark > /srv/own-rootfs/mark\n";
    assert_eq!(
        image.run(&format!("set -euo pipefail\n{marked}{with_tar}{read}test -f /srv/own-rootfs/mark")),
        "kept\n"
    );
    read_only_stores(&image);
}

/// Layers shipped in an image, read only, below those of a writable store.
fn read_only_stores(image: &Container) {
    let both = "set -euo pipefail\nmkdir -p /srv/second\nmount --bind /srv/store /srv/store\n\
                mount -o remount,ro,bind /srv/store\n\
                ovmlayer setup -d /srv/store,ro -d /srv/second,rw --rootfs-path /srv/own-rootfs >&2\n";
    let over = "ovmlayer create top\novmlayer merge -l executor -l top -m m1\n\
                ovmlayer run --merged-point=m1 zsh -c 'cat /kept; echo changed > /kept'\novmlayer unmerge m1\n\
                ovmlayer list layers | sort\n";
    assert_eq!(image.run(&format!("{both}{over}")), "kept\nexecutor\ntop\n");
    let refused = image.start(&format!("{both}ovmlayer merge -l top -l executor -m m1"));
    assert_eq!(
        refused.status.code(),
        Some(1),
        "a layer that is only read was put on top: {}",
        text(&refused.stderr)
    );
    let shipped = fs::read_to_string(image.path("/srv/store/layer_dir/executor/kept"));
    assert_eq!(shipped.expect("the shipped file"), "kept\n");
}

/// Two containers on one volume at the same time: what one uses, the other must not take.
#[test]
fn a_volume_of_two_containers() {
    let first = Stage::bare(&Who::Root);
    first.set_up(&base_rootfs().folder, None);
    first.ok("create shared");
    first.ok("create top");
    first.ok("merge -l shared -l top -m m1");
    let other = Container::new();
    fs::copy(first.folder().join("home/.ovmlayer_cfg.json"), other.path("/root/.ovmlayer_cfg.json"))
        .expect("the configuration");
    // Another namespace, in which the first one's mount is taken away, as if it had never been seen.
    let script = format!(
        "umount --lazy {}/m1
ovmlayer list layers --used | sort
ovmlayer merge -l top -m m2 && echo merged top
ovmlayer delete top && echo deleted top
ovmlayer delete shared && echo deleted shared
ovmlayer create second
ovmlayer merge -l shared -l second -m m2 && echo merged second
ovmlayer unmerge m2
ovmlayer delete second
",
        first.at("runtime/merged")
    );
    assert_eq!(text(&other.start(&script).stdout), "shared\ntop\nmerged second\n");
    first.ok("unmerge m1");
    let script = "ovmlayer list layers --used; ovmlayer merge -l shared -l top -m m2 && ovmlayer unmerge m2 && echo free";
    assert_eq!(text(&other.start(script).stdout), "free\n");
    first.ok("delete --all");
}
