//! Disk images, as root.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ovmlayer_sandbox::overlay::{Overlay, Upper, Xattrs};
use ovmlayer_sandbox::{disk, mounts};

use crate::place::{Place, read};

const SIZE: u64 = 64 << 20;

/// An image at a place, unmounted with the value.
struct Image {
    place: Place,
    path: PathBuf,
    targets: [PathBuf; 2],
}

impl Image {
    fn new() -> Self {
        let place = Place::new();
        let path = place.path().join("disk image");
        disk::create(&path, SIZE).unwrap();
        let targets = ["a", "b"].map(|name| place.directory(name));
        Self { place, path, targets }
    }

    /// The loop devices bound to it.
    fn devices(&self) -> String {
        let output =
            Command::new("losetup").args(["--noheadings", "-O", "NAME", "-j"]).arg(&self.path).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for target in &self.targets {
            let _ = mounts::unmount(target, true);
        }
    }
}

#[test]
fn an_image_is_sparse_and_keeps_what_is_written() {
    let image = Image::new();
    let metadata = fs::metadata(&image.path).unwrap();
    assert_eq!(metadata.len(), SIZE);
    assert!(metadata.blocks() * 512 < SIZE / 4, "{}", metadata.blocks());
    let target = &image.targets[0];
    for round in 0..3 {
        disk::mount(&image.path, target).unwrap();
        assert_eq!(fs::read_dir(target.join("lost+found")).unwrap().count(), 0);
        if round > 0 {
            assert_eq!(read(&target.join("file")), (round - 1).to_string());
        }
        fs::write(target.join("file"), round.to_string()).unwrap();
        mounts::unmount(target, false).unwrap();
    }
    // Programs of the machine that look at new devices may keep it a little longer, which nothing announces.
    while !image.devices().is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn an_image_has_one_device_however_often_it_is_mounted() {
    let image = Image::new();
    let [a, b] = &image.targets;
    disk::mount(&image.path, a).unwrap();
    let table = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let once = table();
    disk::mount(&image.path, a).unwrap();
    assert_eq!(table(), once);
    // By another name of the same file.
    let other = image.place.path().join("link");
    fs::hard_link(&image.path, &other).unwrap();
    disk::mount(&other, b).unwrap();
    fs::write(a.join("file"), "x").unwrap();
    assert_eq!(read(&b.join("file")), "x");
    assert_eq!(image.devices().lines().count(), 1);
}

#[test]
fn many_images_get_devices_at_once() {
    let image = Image::new();
    let copies: Vec<_> = (0..12).map(|n| image.place.path().join(format!("copy{n}"))).collect();
    for copy in &copies {
        fs::copy(&image.path, copy).unwrap();
    }
    // Each thread has a mount namespace of its own, with which its mount ends.
    std::thread::scope(|scope| {
        for copy in &copies {
            scope.spawn(move || {
                let place = Place::new();
                let target = place.directory("m");
                disk::mount(copy, &target).unwrap();
                fs::write(target.join("file"), copy.to_str().unwrap()).unwrap();
                assert_eq!(read(&target.join("file")), copy.to_str().unwrap());
                mounts::unmount(&target, false).unwrap();
            });
        }
    });
}

#[test]
fn an_overlay_can_be_written_on_it() {
    let image = Image::new();
    let [target, merged] = &image.targets;
    disk::mount(&image.path, target).unwrap();
    let [upper, work, lower] = ["upper", "work", "lower"].map(|name| {
        fs::create_dir(target.join(name)).unwrap();
        target.join(name)
    });
    for xattrs in [Xattrs::User, Xattrs::Trusted] {
        let upper = Some(Upper { upper: upper.clone(), work: work.clone() });
        let overlay = Overlay { source: "test".to_owned(), xattrs, lowers: vec![lower.clone()], upper };
        overlay.mount(merged).unwrap();
        fs::write(merged.join("file"), "x").unwrap();
        mounts::unmount(merged, false).unwrap();
    }
    assert_eq!(read(&upper.join("file")), "x");
}

#[test]
fn what_is_no_image_is_refused() {
    let image = Image::new();
    let error = disk::create(&image.path, SIZE).unwrap_err();
    assert!(error.to_string().starts_with("cannot create the disk image "), "{error}");
    let empty = image.place.path().join("empty");
    File::create(&empty).unwrap().set_len(SIZE).unwrap();
    let error = disk::mount(&empty, &image.targets[0]).unwrap_err();
    assert!(error.to_string().contains(&format!("`e2fsck -f {}`", empty.display())), "{error}");
    assert!(disk::mount(&image.place.path().join("missing"), &image.targets[0]).is_err());
    // Too small for a file system.
    let small = image.place.path().join("small");
    let error = disk::create(&small, 4096).unwrap_err();
    assert!(error.to_string().contains("`mkfs.ext4` says: "), "{error}");
    let names: Vec<_> = fs::read_dir(image.place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| Path::new(name).starts_with("small")), "{names:?}");
    assert_eq!(names.len(), 4, "{names:?}");
}
