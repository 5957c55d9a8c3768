//! Packages of Python and Node.js: wheels, archives, locks.

use std::fs::{self, File};
use std::io::{Cursor, Seek as _, Write as _};
use std::path::Path;

use deps::Files;
use deps::npm::{self, Manifest, PackageLock, Places, PnpmLock, Selected};
use deps::python::{self, Requested, Scheme, Target};
use flate2::Compression;
use flate2::write::GzEncoder;
use tree::{Entry, EntryPath, Kind, Links, Metadata, Root, tar};
use zip::write::SimpleFileOptions;

use crate::targets::mended;

pub(crate) const WHEEL_WORDS: &[&str] = &[
    "PK\x01\x02",
    "PK\x03\x04",
    "PK\x05\x06",
    "PK\x06\x06",
    "p-1.dist-info/",
    "p-1.data/scripts/",
    "../",
    "/etc/passwd",
    "RECORD",
    "WHEEL",
    "Wheel-Version: 1.0\n",
    "[console_scripts]\n",
    "a = b:c\n",
    "sha256=",
    "#!python",
    "\x7fELF\x02\x01\x01",
    "\n",
];

pub(crate) const NPM_WORDS: &[&str] = &[
    "ustar\x0000",
    "package/",
    "package/package.json",
    ".gitignore",
    ".npmignore",
    "binding.gyp",
    "../",
    "/etc/passwd",
    "30 path=",
    "{\"bin\": {\"a\": \"../a\"}}",
    "\"scripts\"",
    "\"directories\"",
    "77777777777\0",
];

pub(crate) const LOCK_WORDS: &[&str] = &[
    "lock-version = \"1.0\"\n",
    "[[packages]]\n",
    "[[package]]\n",
    "version = 1\n",
    "marker = \"",
    " --hash=sha256:",
    "\\n",
    "lockfileVersion: '9.0'\n",
    "\"lockfileVersion\": 3",
    "importers:\n  .:\n",
    "packages:\n",
    "resolution: {integrity: sha512-",
    "hoistedLocations:\n",
    "node_modules/",
    "../",
    "@",
    "(",
    "{",
    "}",
    "[",
    "]",
    "'",
    "\"",
    ": ",
    "&a ",
    "*a",
    "---\n",
];

/// The name of every wheel here.
const NAME: &str = "p-1-py3-none-any.whl";

/// A wheel with a module, a script, a program and an entry point.
pub(crate) fn wheels() -> Vec<Vec<u8>> {
    let files = [
        ("p/__init__.py", "x = 1\n"),
        ("p/native.so", "\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0"),
        ("p-1.data/scripts/run", "#!python\n"),
        ("p-1.dist-info/WHEEL", "Wheel-Version: 1.0\n"),
        ("p-1.dist-info/entry_points.txt", "[console_scripts]\nq = p:main\n"),
    ];
    // The digests of these five, so that the parser gets to the end.
    let record = "p/__init__.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q,6\np/native.so,sha256=lCXZ-UhZmBqAGR3cDNDUlG5kcGBhdInYgdLvaAAonkM,20\np-1.data/scripts/run,sha256=NKJyCC0fONcaYytG9mysca37TZf8wBDISvRNAW-78pQ,9\n\
                  p-1.dist-info/WHEEL,sha256=hPnzolO11CFKQQfo-cfRSowPfsQIecdrr39HeOvVHcE,19\np-1.dist-info/entry_points.txt,sha256=_n2N5QG9x67VVpxfnZhWS_kA-Kw5OcPZIWG_HL-NE44,29\np-1.dist-info/RECORD,,\n";
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in files.into_iter().chain([("p-1.dist-info/RECORD", record)]) {
        if archive.start_file(name, options).is_err() || archive.write_all(text.as_bytes()).is_err() {
            return Vec::new();
        }
    }
    archive.finish().map(|cursor| vec![cursor.into_inner()]).unwrap_or_default()
}

/// The tar in an archive of a package, with a program and a script.
pub(crate) fn npm_archives() -> Vec<Vec<u8>> {
    let files = [
        ("package/package.json", "{\"bin\": {\"r\": \"./run.js\"}, \"scripts\": {\"install\": \"x\"}}"),
        ("package/run.js", "#!/usr/bin/env node\n"),
        ("package/.gitignore", "x\n"),
        ("package/node_modules/o/index.js", "1\n"),
    ];
    let mut writer = tar::Writer::new(Vec::new());
    for (name, text) in files {
        let Ok(path) = EntryPath::parse(name.as_bytes()) else { return Vec::new() };
        let kind = Kind::File { size: text.len() as u64 };
        let entry = Entry { path, kind, metadata: Metadata::new(0o644, 0) };
        if writer.append(&entry, &mut text.as_bytes()).is_err() {
            return Vec::new();
        }
    }
    writer.finish().map(|tar| vec![tar]).unwrap_or_default()
}

/// A lock of every kind.
pub(crate) fn locks() -> Vec<Vec<u8>> {
    let sha256 = "0a".repeat(32);
    let sha1 = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
    let pylock = format!(
        "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\nmarker = \"os_name == 'posix'\"\nwheels = \
         [{{ url = \"https://example.org/a-1-py3-none-any.whl\", hashes = {{ sha256 = \"{sha256}\" }} }}]\n"
    );
    let uv = format!(
        "version = 1\n[[package]]\nname = \"a\"\nsource = {{ registry = \"https://example.org\" }}\nwheels = \
         [{{ url = \"https://example.org/a.whl\", hash = \"sha256:{sha256}\" }}]\n"
    );
    let npm = format!(
        "{{\"lockfileVersion\": 3, \"packages\": {{\"\": {{\"dependencies\": {{\"a\": \"1\"}}}}, \"node_modules/a\": \
         {{\"version\": \"1.0.0\", \"integrity\": \"{sha1}\", \"cpu\": [\"x64\"], \"bin\": {{\"a\": \"a.js\"}}}}}}}}"
    );
    let pnpm = format!(
        "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: '1'\n        version: \
         1.0.0\npackages:\n  a@1.0.0:\n    resolution: {{integrity: {sha1}}}\n    cpu: [x64]\n"
    );
    let places = "hoistedLocations:\n  a@1.0.0: [node_modules/a]\n".to_owned();
    [pylock, uv, npm, pnpm, places].map(String::into_bytes).into()
}

/// An open file with these bytes.
fn file(bytes: &[u8]) -> Option<File> {
    let mut file = tempfile::tempfile().ok()?;
    file.write_all(bytes).ok()?;
    file.rewind().ok()?;
    Some(file)
}

/// A wheel: whatever is installed lies in the root, and what was installed whole is listed.
pub fn wheel(input: &[u8]) {
    wheel_accepts(input);
}

/// Whether this is a wheel that can be installed.
pub fn wheel_accepts(input: &[u8]) -> bool {
    let scheme = Scheme {
        library: "lib".into(),
        scripts: "bin".into(),
        data: "share".into(),
        headers: "include".into(),
        python: "/usr/bin/python3".into(),
    };
    let install = |files: &mut Files<'_>| {
        file(input).is_some_and(|file| python::install(NAME, file, &scheme, Requested::ByName, files).is_ok())
    };
    beneath_a_root(install, |root, accepted| {
        if !accepted {
            return;
        }
        let list = fs::read_to_string(root.join("lib/p-1.dist-info/RECORD"));
        let list = list.unwrap_or_else(|error| panic!("what is installed is listed: {error}"));
        let rows = list.lines().count();
        assert_eq!(rows, count(root), "every file is listed, once");
    })
}

/// The tar in an archive of a package, as it is and with its checksums mended: whatever is installed lies in the root.
pub fn npm(input: &[u8]) {
    npm_accepts(input);
    npm_accepts(&mended(input));
}

/// Whether this is the tar of a package that can be installed.
pub fn npm_accepts(input: &[u8]) -> bool {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    let Ok(archive) = encoder.write_all(input).and_then(|()| encoder.finish()) else { return false };
    let mut package = Selected {
        place: "node_modules/p".into(),
        name: "p".into(),
        version: "1.0.0".into(),
        integrity: None,
        is_native: false,
        direct: true,
        programs: [].into(),
    };
    let Some(manifest) = file(&archive).and_then(|file| Manifest::of_archive(&package, file).ok()) else {
        return false;
    };
    package.programs = manifest.programs;
    let install = |files: &mut Files<'_>| {
        let installed = file(&archive).map(|file| npm::install(&package, file, "lib", files));
        let linked = npm::link_programs(std::slice::from_ref(&package), "lib", Some("bin"), files);
        installed.is_some_and(|installed| installed.is_ok()) && linked.is_ok()
    };
    beneath_a_root(install, |_, _| {})
}

thread_local! {
    /// The folder that roots are in: making one costs more than most inputs.
    static OUTSIDE: Option<tempfile::TempDir> = tempfile::tempdir().ok();
}

/// Installs into a root in a folder: nothing may be in the folder but the root.
fn beneath_a_root(install: impl FnOnce(&mut Files<'_>) -> bool, check: impl FnOnce(&Path, bool)) -> bool {
    OUTSIDE.with(|outside| {
        let Some(outside) = outside else { return false };
        let inside = outside.path().join("root");
        // What the last input left.
        let _ = fs::remove_dir_all(&inside);
        if fs::create_dir(&inside).is_err() {
            return false;
        }
        let Ok(root) = Root::open(&inside, Links::Refuse) else { return false };
        let accepted = install(&mut Files::new(&root, 0));
        let names = fs::read_dir(outside.path()).map_or(0, Iterator::count);
        assert_eq!(names, 1, "something lies outside of the root");
        check(&inside, accepted);
        accepted
    })
}

/// How many files there are beneath a folder.
fn count(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder { count(&entry.path()) } else { 1 }
    };
    entries.flatten().map(of).sum()
}

/// A lock of any kind: what comes out of it is as bounded as it must be.
pub fn locks_of_packages(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    let target = Target { architecture: "amd64".into(), python: (3, 13), glibc: (2, 41) };
    for locked in python::read_lock("pylock.toml", text, &target, &[]).into_iter().flatten() {
        assert!(python::WheelName::parse(&locked.file).is_some(), "what is chosen is a wheel");
    }
    if let Ok(requirements) = python::requirements_of_lock("pylock.toml", text, &[]) {
        let is_requirement =
            |line: &str| line.starts_with(|c: char| c.is_ascii_alphanumeric()) && line.contains("==");
        assert!(requirements.lines().all(is_requirement), "a requirement is a requirement:\n{requirements}");
        assert!(!requirements.contains("\r"), "lines are lines");
    }
    let _ = python::check_uv_lock("uv.lock", text);
    let target = npm::Target { architecture: "amd64".into() };
    let manifest = "{\"dependencies\": {\"a\": \"1\"}}";
    let mut selected = Vec::new();
    if let Ok(lock) = PackageLock::parse("package-lock.json", text, manifest) {
        selected.extend(lock.select(&target, &[]).into_iter().flatten());
    }
    if let (Ok(lock), Ok(places)) =
        (PnpmLock::parse("pnpm-lock.yaml", text, manifest), Places::parse(".modules.yaml", PLACES))
    {
        selected.extend(lock.select(&target, &places).into_iter().flatten());
    }
    if let (Ok(lock), Ok(places)) =
        (PnpmLock::parse("pnpm-lock.yaml", PNPM, manifest), Places::parse(".modules.yaml", text))
    {
        selected.extend(lock.select(&target, &places).into_iter().flatten());
    }
    for package in selected {
        assert!(package.place.starts_with("node_modules/"), "{package:?}");
        assert!(
            EntryPath::parse(package.place.as_bytes())
                .is_ok_and(|path| path.as_bytes() == package.place.as_bytes())
        );
    }
}

const PLACES: &str = "hoistedLocations: {a@1.0.0: [node_modules/a]}\n";
const PNPM: &str = "lockfileVersion: '9.0'\nimporters: {.: {dependencies: {a: {specifier: '1', version: 1.0.0}}}}\npackages: \
    {a@1.0.0: {resolution: {integrity: sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=}}}\n";
