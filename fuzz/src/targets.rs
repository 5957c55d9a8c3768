//! What every parser is asked, and what must hold of its answers.

use std::cmp::Ordering;
use std::io::Read;

use archive::deb::Deb;
use archive::deb822;
use archive::dependency;
use archive::release::Release;
use archive::universe::{Origin, Universe};
use archive::version::{Version, compare};
use layers::archive::Sink;
use tree::tar::{Limits, Reader, Segment, Writer};
use tree::{Entry, EntryPath, Error, Kind};

/// No input may expand to more than this, in bytes.
const EXPANDED: u64 = 1 << 20;

/// A tar, as it is and with its checksums mended, which random changes would hardly ever get right.
pub fn tar(input: &[u8]) {
    read_tar(input);
    read_tar(&mended(input));
}

fn limits() -> Limits {
    let all = Limits { entries: 1000, total: EXPANDED, extensions: 64 << 10, ..Limits::default() };
    Limits { sparse: EXPANDED, segments: 1000, ..all }
}

/// What is accepted has good names only, and comes back the same from our own writer.
fn read_tar(input: &[u8]) {
    let limits = limits();
    let mut reader = Reader::with_limits(input, limits);
    let mut entries = Vec::new();
    while let Ok(Some(member)) = reader.next() {
        let mut contents = Vec::new();
        if reader.data().read_to_end(&mut contents).is_err() {
            break;
        }
        assert_eq!(contents.len() as u64, member.entry.kind.size(), "contents have the size of their entry");
        let path = &member.entry.path;
        assert_eq!(EntryPath::parse(path.as_bytes()).as_ref(), Ok(path), "paths are normal");
        entries.push((member.entry, contents));
    }
    if let Some(written) = write(&entries) {
        let mut reader = Reader::new(&written[..]);
        for (entry, contents) in &entries {
            let Ok(Some(member)) = reader.next() else { panic!("`{}` is not read again", entry.path) };
            assert_eq!(member.entry, *entry, "what was written is read again");
            let mut again = Vec::new();
            assert!(reader.data().read_to_end(&mut again).is_ok() && again == *contents, "so are contents");
        }
        assert!(matches!(reader.next(), Ok(None)), "and there is nothing more");
    }
}

/// The entries as a tar; `None` for what has no spelling there: attributes with `=` in their name, the earliest time.
fn write(entries: &[(Entry, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    for (entry, contents) in entries {
        if entry.metadata.mtime == i64::MIN {
            return None;
        }
        match writer.append(entry, &mut &contents[..]) {
            Ok(()) => {}
            Err(Error::XattrName { .. }) => return None,
            Err(error) => panic!("`{}` cannot be written: {error}", entry.path),
        }
    }
    match writer.finish() {
        Ok(written) => Some(written),
        Err(error) => panic!("the end cannot be written: {error}"),
    }
}

/// `input` with the checksum made right in every block that looks like a tar's header.
#[must_use]
pub fn mended(input: &[u8]) -> Vec<u8> {
    let mut mended = input.to_vec();
    for block in mended.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().copied().map(u32::from).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    mended
}

/// Takes layers and checks what it is given.
#[derive(Default)]
struct Checking {
    stored: u64,
}

impl Sink for Checking {
    fn entry(
        &mut self,
        entry: Entry,
        segments: Option<&[Segment]>,
        contents: &mut dyn Read,
    ) -> tree::Result<()> {
        normal(&entry.path);
        if let Kind::HardLink { target } = &entry.kind {
            normal(target);
            assert!(!target.is_root(), "nothing is a link to the layer itself");
        }
        let size = entry.kind.size();
        let whole = [Segment { offset: 0, length: size }];
        let mut end = 0;
        for segment in segments.unwrap_or(&whole) {
            assert!(segment.offset >= end, "segments are in order");
            end = segment.offset + segment.length;
            assert!(end <= size, "segments are within the file");
        }
        let want: u64 = segments.unwrap_or(&whole).iter().map(|segment| segment.length).sum();
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes).map_err(Error::Read)?;
        assert_eq!(bytes.len() as u64, want, "contents are those of the segments");
        self.stored += want;
        assert!(self.stored <= EXPANDED, "an archive expands to no more than it may");
        Ok(())
    }

    fn whiteout(&mut self, path: EntryPath) -> tree::Result<()> {
        assert!(!path.is_root(), "a layer does not remove the root");
        normal(&path);
        Ok(())
    }

    fn opaque(&mut self, path: &EntryPath) -> tree::Result<()> {
        normal(path);
        Ok(())
    }
}

fn normal(path: &EntryPath) {
    assert_eq!(EntryPath::parse(path.as_bytes()).as_ref(), Ok(path), "paths are normal");
}

/// Our archive of layers, as it is, and with its checksums and digests mended.
pub fn layers(input: &[u8]) {
    layers_accept(input);
    layers_accept(&summed(&mended(input)));
}

/// Whether this is an archive of layers.
pub fn layers_accept(input: &[u8]) -> bool {
    let Ok(mut reader) = layers::archive::Reader::open(input, limits()) else { return false };
    let mut sink = Checking::default();
    for _ in 0..reader.manifest().layers.len() {
        if reader.layer(&mut sink).is_err() {
            return false;
        }
    }
    reader.finish().is_ok()
}

/// `input` with the digest made right behind every header that looks like that of one.
fn summed(input: &[u8]) -> Vec<u8> {
    let mut summed = input.to_vec();
    for start in (0..input.len().saturating_sub(512 + 65)).step_by(512) {
        if summed[start..].starts_with(b"sums/") {
            let digest = format!("{}\n", blake3::hash(&summed[..start + 512]).to_hex());
            summed[start + 512..start + 512 + 65].copy_from_slice(digest.as_bytes());
        }
    }
    summed
}

/// A layer of an OCI image.
pub fn oci(input: &[u8]) {
    oci_accepts(input);
    oci_accepts(&mended(input));
}

/// Whether this is a layer of an OCI image.
pub fn oci_accepts(input: &[u8]) -> bool {
    layers::archive::read_oci(input, limits(), &mut Checking::default()).is_ok()
}

/// A package: what it gives is bounded, whatever it holds.
pub fn deb(input: &[u8]) {
    read_deb(input);
    // Members of a package stand at any even position; its tars are mended where they are.
    if let Some(start) = input.windows(5).position(|window| window == b"ustar") {
        let shift = start.saturating_sub(257) % 512;
        let (before, tars) = input.split_at(shift.min(input.len()));
        read_deb(&[before, &mended(tars)].concat());
    }
}

fn read_deb(input: &[u8]) {
    let Ok(package) = Deb::open(input) else { return };
    let control = package.control();
    assert!(control.get("control").is_some(), "there is always a control file");
    assert!(control.files().iter().all(|file| !file.name.contains('/')), "control files have plain names");
    assert!(control.conffiles().all(|line| !line.is_empty()));
    let Ok((_, mut data)) = package.into_data(EXPANDED) else { return };
    let mut total = 0;
    let mut contents = Vec::new();
    while let Ok(Some(_)) = data.next() {
        contents.clear();
        let Ok(length) = data.data().read_to_end(&mut contents) else { break };
        total += length as u64;
        assert!(total <= EXPANDED, "a package expands to no more than it may");
    }
}

/// Control data: every field lies in its stanza, relations are read or refused.
pub fn control(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for stanza in deb822::stanzas(text) {
        assert!(text.contains(stanza.text()), "a stanza is a part of its text");
        let _ = stanza.malformed_line();
        for field in stanza.fields() {
            assert!(stanza.get(field.name).is_some(), "a field is found by its name");
            let lines = deb822::value_lines(field.value).count();
            assert!(lines <= field.value.len() + 1);
            if let Ok(groups) = dependency::groups(field.value) {
                for alternative in groups.iter().flatten() {
                    assert!(!alternative.name.is_empty(), "a relation has a name");
                }
            }
        }
    }
}

/// Versions, one per line: comparing them is a total order that agrees with reading them.
pub fn version(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let versions: Vec<&str> = text.lines().take(6).collect();
    for a in &versions {
        assert_eq!(compare(a, a), Ordering::Equal, "`{a}` equals itself");
        for b in &versions {
            assert_eq!(compare(a, b), compare(b, a).reverse(), "`{a}` and `{b}` are in one order");
            if let (Ok(left), Ok(right)) = (a.parse::<Version>(), b.parse::<Version>()) {
                assert_eq!(left.cmp(&right), compare(a, b), "`{a}` and `{b}`");
                assert_eq!(left == right, compare(a, b) == Ordering::Equal, "`{a}` and `{b}`");
            }
            for c in &versions {
                if compare(a, b) != Ordering::Greater && compare(b, c) != Ordering::Greater {
                    assert_ne!(compare(a, c), Ordering::Greater, "`{a}`, `{b}`, `{c}` are in one order");
                }
            }
        }
    }
}

/// An index of packages: what is in it can be asked for.
pub fn packages(input: &[u8]) {
    let mut universe = Universe::new("amd64");
    let half = input.len() / 2;
    for (name, part) in [("release", input), ("security", &input[half..])] {
        if universe.add_index(Origin::new(name), part.to_vec()).is_err() {
            return;
        }
    }
    assert_eq!(universe.packages().count(), universe.len());
    for package in universe.packages() {
        assert!(universe.versions(package.name()).any(|other| other.version() == package.version()));
        assert!(universe.candidate(package.name()).is_some(), "what has versions has a candidate");
        assert!(universe.providers(package.name()).count() <= universe.len());
        let _ = (package.architecture(), package.multi_arch(), package.priority(), package.section());
        let _ = (package.is_essential(), package.is_protected(), package.source().name);
    }
}

/// The text of a release file.
pub fn release(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(release) = Release::parse(text) {
        let _ = release.has_architecture("amd64");
    }
}
