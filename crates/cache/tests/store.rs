//! The cache and its working folders as other rooms see them, with two processes where that is the point.

#![expect(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::fs;
use std::io::Write;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use ovmlayer_cache::{Cache, Claim, Digest, Error, Scratch};

fn text(mut file: fs::File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn contents_come_back_under_their_digest() {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(&base.path().join("cache")).unwrap();
    let digest = Digest::of(b"hello");
    assert!(cache.file(&digest).unwrap().is_none());
    let mut writer = cache.insert().unwrap();
    writer.write_all(b"hel").unwrap();
    writer.write_all(b"lo").unwrap();
    assert_eq!(writer.commit(Some(digest)).unwrap(), digest);
    assert_eq!(text(cache.file(&digest).unwrap().unwrap()), "hello");
    cache.discard(&digest).unwrap();
    assert!(!cache.contains(&digest).unwrap());
}

#[test]
fn a_wrong_digest_or_a_dropped_writer_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(base.path()).unwrap();
    let promised = Digest::of(b"promised");
    let mut writer = cache.insert().unwrap();
    writer.append(b"something else").unwrap();
    let error = writer.commit(Some(promised)).unwrap_err();
    assert!(matches!(error, Error::Mismatch { expected, .. } if expected == promised), "{error}");
    cache.insert().unwrap().append(b"dropped").unwrap();
    assert_eq!(names(&base.path().join("temporary")), Vec::<String>::new());
    assert_eq!(names(&base.path().join("files")), Vec::<String>::new());
}

#[test]
fn records_are_replaced_whole_and_keyed_by_any_text() {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(base.path()).unwrap();
    let key = "http://mirror/../../dists/trixie/InRelease";
    assert_eq!(cache.record("release", key).unwrap(), None);
    cache.put_record("release", key, b"one, and longer").unwrap();
    cache.put_record("release", key, b"two").unwrap();
    assert_eq!(cache.record("release", key).unwrap().unwrap(), b"two");
    assert_eq!(cache.record("../release", key).unwrap(), None);
}

#[test]
fn another_format_is_refused_with_what_to_do() {
    let base = tempfile::tempdir().unwrap();
    Cache::open(base.path()).unwrap();
    fs::write(base.path().join("version"), "99\n").unwrap();
    let error = Cache::open(base.path()).unwrap_err().to_string();
    assert!(error.contains("format `99`") && error.contains("--cache-dir"), "{error}");
}

#[test]
fn an_interrupted_download_continues_and_a_wrong_one_starts_again() {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(base.path()).unwrap();
    let digest = Digest::of(b"first second");
    let Claim::Mine(mut partial) = cache.partial(&digest).unwrap() else { panic!("should be ours") };
    partial.append(b"first ").unwrap();
    assert!(cache.try_partial(&digest).unwrap().is_none(), "it is being downloaded");
    drop(partial);

    let Claim::Mine(mut partial) = cache.partial(&digest).unwrap() else { panic!("should be ours") };
    assert_eq!(partial.len(), 6);
    partial.append(b"other").unwrap();
    assert!(matches!(partial.commit(), Err(Error::Mismatch { .. })));

    let Claim::Mine(mut partial) = cache.partial(&digest).unwrap() else { panic!("should be ours") };
    assert!(partial.is_empty());
    partial.append(b"junk").unwrap();
    partial.restart().unwrap();
    partial.append(b"first second").unwrap();
    assert_eq!(text(partial.commit().unwrap()), "first second");
    assert!(matches!(cache.partial(&digest).unwrap(), Claim::Present(_)));
    assert_eq!(names(&base.path().join("partial")), Vec::<String>::new());
}

#[test]
fn eight_threads_that_want_one_file_fetch_it_once() {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(base.path()).unwrap();
    let digest = Digest::of(b"wanted by all");
    let fetched = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match cache.partial(&digest).unwrap() {
                Claim::Present(file) => assert_eq!(text(file), "wanted by all"),
                Claim::Mine(mut partial) => {
                    fetched.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    partial.append(b"wanted by all").unwrap();
                    partial.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(fetched.into_inner(), 1);
}

#[test]
fn insertions_of_dead_owners_are_reclaimed_and_those_of_living_ones_are_not() {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(base.path()).unwrap();
    let living = cache.insert().unwrap();
    fs::write(base.path().join("temporary/999999-7"), "left by a killed build").unwrap();
    assert_eq!(names(&base.path().join("temporary")).len(), 2);
    Cache::open(base.path()).unwrap();
    assert_eq!(names(&base.path().join("temporary")).len(), 1);
    living.commit(None).unwrap();
}

/// What `a_killed_owner_leaves_its_folder_to_the_next` runs in another process.
#[test]
fn child_that_waits_to_be_killed() {
    let Some(parent) = std::env::var_os("SCRATCH_PARENT") else { return };
    let scratch = Scratch::new(Path::new(&parent), "child").unwrap();
    fs::write(scratch.path().join("file"), "x").unwrap();
    println!("ready");
    std::io::stdin().read_exact(&mut [0]).unwrap();
}

#[test]
fn a_killed_owner_leaves_its_folder_to_the_next() {
    let base = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_waits_to_be_killed", "--nocapture"])
        .env("SCRATCH_PARENT", base.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().contains("ready")));

    let ours = Scratch::new(base.path(), "ours").unwrap();
    assert_eq!(names(base.path()).len(), 2, "the child lives, its folder stays");
    child.kill().unwrap();
    child.wait().unwrap();
    let next = Scratch::new(base.path(), "next").unwrap();
    assert_eq!(names(base.path()).len(), 2, "the child is dead: {:?}", names(base.path()));
    assert!(ours.path().exists() && next.path().exists());
    drop(ours);
    next.close().unwrap();
    assert_eq!(names(base.path()), Vec::<String>::new());
}

#[test]
fn other_folders_are_never_reclaimed() {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir(base.path().join("somebody's")).unwrap();
    fs::write(base.path().join(".ovmlayer-scratch-a-file"), "").unwrap();
    Scratch::new(base.path(), "../x").unwrap().close().unwrap();
    assert_eq!(names(base.path()), [".ovmlayer-scratch-a-file", "somebody's"]);
}

/// What `a_full_disk_names_the_path_and_the_setting` runs on a file system of 256 KiB.
#[test]
fn child_that_fills_its_disk() {
    let Some(root) = std::env::var_os("FULL_CACHE") else { return };
    let cache = Cache::open(Path::new(&root)).unwrap();
    let digest = Digest::of(b"anything");
    let Claim::Mine(mut partial) = cache.partial(&digest).unwrap() else { panic!("should be ours") };
    let block = [7; 10_000];
    let error = (0..100).find_map(|_| partial.append(&block).err()).unwrap();
    let path = Path::new(&root).join("partial").join(digest.to_string());
    assert!(matches!(&error, Error::NoSpace { path: full, .. } if *full == path), "{error}");
    let message = error.to_string();
    assert!(message.contains("no space left") && message.contains("XDG_CACHE_HOME"), "{message}");
    // What was taken before the disk was full still counts, and no more than that.
    assert_eq!(fs::metadata(&path).unwrap().len(), partial.len());
    let mut writer = cache.insert().unwrap();
    let error = std::io::copy(&mut std::io::repeat(7).take(1 << 20), &mut writer).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("XDG_CACHE_HOME"), "{error}");
    drop(writer);
    assert_eq!(names(&Path::new(&root).join("temporary")), Vec::<String>::new());
    println!("filled");
}

#[test]
fn a_full_disk_names_the_path_and_the_setting() {
    let base = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=256k none \"$FULL_CACHE\" && exec \"$0\" --exact child_that_fills_its_disk --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("FULL_CACHE", base.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("filled"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
