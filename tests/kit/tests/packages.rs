//! The packages that the builder makes, read by the program that defines the format.
#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test fails the test")]

use std::path::Path;
use std::process::Command;

use ovmlayer_testkit::{Compression, DebBuilder, Member, MemberKind, output, repack, run, tool};

fn sample(compression: Compression) -> DebBuilder {
    DebBuilder::new("sample", "1:2.0-1")
        .depends("libc6 (>= 2.36)")
        .compression(compression)
        .file_with("usr/bin/sample", 0o4755, 0, 50, "#!/bin/sh\n")
        .symlink("usr/bin/link", "sample")
        .hard_link("usr/bin/twin", "usr/bin/sample")
        .conffile("etc/sample.conf", "a = 1\n")
        .dir_with("var/lib/sample/", 0o2775, 7, 8)
        .file(&format!("usr/share/{}/long", "x".repeat(120)), "long\n")
        .script("postinst", "#!/bin/sh\nexit 0\n")
        .triggers("interest-noawait /usr/share/sample\n")
}

fn dpkg_deb(option: &str, deb: &Path) -> String {
    String::from_utf8(run(Command::new(tool("dpkg-deb")).arg(option).arg(deb))).unwrap()
}

#[test]
fn dpkg_deb_reads_every_compression() {
    let folder = tempfile::tempdir().unwrap();
    for compression in Compression::ALL {
        let deb = sample(compression).write_to(folder.path());
        assert_eq!(deb.file_name().unwrap(), "sample_2.0-1_amd64.deb");
        assert_eq!(
            run(Command::new(tool("dpkg-deb")).arg("-f").arg(&deb).arg("Depends")),
            b"libc6 (>= 2.36)\n"
        );
        let listing = dpkg_deb("--contents", &deb);
        for expected in [
            "-rwsr-xr-x 0/50",
            "./usr/bin/link -> sample",
            "./usr/bin/twin link to ./usr/bin/sample",
            "/long\n",
        ] {
            assert!(listing.contains(expected), "{compression:?}: no {expected:?} in\n{listing}");
        }
        let info = dpkg_deb("--info", &deb);
        for expected in ["conffiles", "postinst", "triggers"] {
            assert!(info.contains(expected), "{compression:?}: no {expected:?} in\n{info}");
        }
        let unpacked = folder.path().join(format!("{compression:?}"));
        run(Command::new(tool("dpkg-deb")).arg("--extract").arg(&deb).arg(&unpacked));
        assert_eq!(std::fs::read_to_string(unpacked.join("etc/sample.conf")).unwrap(), "a = 1\n");
    }
}

#[test]
fn repacking_keeps_what_is_inside() {
    let folder = tempfile::tempdir().unwrap();
    let deb = sample(Compression::Xz).write_to(folder.path());
    let again = folder.path().join("again.deb");
    std::fs::write(&again, repack(&deb, Compression::Zstd)).unwrap();
    for option in ["--ctrl-tarfile", "--fsys-tarfile"] {
        let tar = |path: &Path| run(Command::new(tool("dpkg-deb")).arg(option).arg(path));
        assert_eq!(tar(&deb), tar(&again), "{option}");
    }
}

#[test]
fn hostile_names_are_written_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let deb = DebBuilder::new("hostile", "1")
        .compression(Compression::None)
        .member(Member::file("../escape", "x"))
        .member(Member::file("/absolute", "x"))
        .member(Member::new("./link", MemberKind::Symlink(b"/etc".to_vec())))
        .member(Member::file("./link/through", "x"))
        .member(Member::new("./node", MemberKind::CharDevice { major: 1, minor: 3 }))
        .write_to(folder.path());
    let tar = folder.path().join("data.tar");
    std::fs::write(&tar, run(Command::new(tool("dpkg-deb")).arg("--fsys-tarfile").arg(&deb))).unwrap();
    let listing =
        run(Command::new(tool("tar")).args(["--list", "--verbose", "--absolute-names", "--file"]).arg(&tar));
    let listing = String::from_utf8(listing).unwrap();
    for expected in [" ../escape\n", " /absolute\n", "./link -> /etc\n", "./link/through\n", " 1,3 "] {
        assert!(listing.contains(expected), "no {expected:?} in\n{listing}");
    }
}

#[test]
fn an_expanding_file_is_small_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let size = 256 << 20;
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let deb = DebBuilder::new("bomb", "1").compression(compression).expanding_file("zeros", size).build();
        assert!(deb.len() < 3 << 20, "{compression:?}: {} bytes", deb.len());
        let path = folder.path().join("bomb.deb");
        std::fs::write(&path, &deb).unwrap();
        let listing = dpkg_deb("--contents", &path);
        assert!(listing.contains("268435456"), "{compression:?}:\n{listing}");
    }
}

#[test]
fn a_control_file_of_100_mb_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let deb = DebBuilder::new("long", "1")
        .compression(Compression::Zstd)
        .huge_control(100_000_000)
        .write_to(folder.path());
    assert!(std::fs::metadata(&deb).unwrap().len() < 1 << 20);
    let field = output(Command::new(tool("dpkg-deb")).arg("-f").arg(&deb).arg("Description"));
    assert!(field.stdout.len() > 100_000_000, "{} bytes", field.stdout.len());
}
