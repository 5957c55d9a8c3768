//! Files that are not what they should be: refused, and nothing is left or touched.

use std::fs;
use std::io::Write as _;

use ovmlayer_layers::archive::{Dialect, FORMAT, Import};
use ovmlayer_layers::{Engine, LayerName};
use tree::codec::{Encoder, Format};
use tree::tar::Limits;

use crate::place::{Place, layer, layers};

/// An archive member by member, with right digests.
struct Made {
    bytes: Vec<u8>,
}

impl Made {
    fn new(layers: &str) -> Self {
        let manifest = format!("{{\"format\":{FORMAT},\"digest\":\"blake3\",\"layers\":[{layers}]}}\n");
        Self { bytes: Vec::new() }.file("ovmlayer.json", manifest.as_bytes())
    }

    /// Any name, as tars can spell it.
    fn member(mut self, name: &str, flag: u8, link: &str, contents: &[u8]) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        for (at, digits) in [(100, 7), (108, 7), (116, 7), (136, 11)] {
            block[at..at + digits].fill(b'0');
        }
        block[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        block[156] = flag;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        if flag == b'3' {
            // 1:3, /dev/null.
            block[329..336].copy_from_slice(b"0000001");
            block[337..344].copy_from_slice(b"0000003");
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
        self.bytes.extend_from_slice(contents);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, contents: &[u8]) -> Self {
        self.member(name, b'0', "", contents)
    }

    fn folder(self, name: &str) -> Self {
        self.member(name, b'5', "", b"")
    }

    fn sum(self, name: &str) -> Self {
        let placed = self.member(&format!("sums/{name}"), b'0', "", &[b'x'; 65]);
        let mut bytes = placed.bytes;
        let header_end = bytes.len() - 512;
        let digest = format!("{}\n", blake3::hash(&bytes[..header_end]).to_hex());
        bytes[header_end..header_end + 65].copy_from_slice(digest.as_bytes());
        Self { bytes }
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

fn one() -> Made {
    Made::new("\"l\"").folder("layers/l/")
}

/// Imports the bytes, which must fail and leave everything as it was; the messages of the error.
fn refused(place: &Place, engine: &Engine, bytes: &[u8], how: &Import) -> String {
    let file = place.path("file");
    fs::write(&file, bytes).unwrap();
    let error = engine.import(&file, how).unwrap_err();
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        said += &format!(": {error}");
        source = error.source();
    }
    assert_eq!(fs::read_dir(place.path("runtime/layer_dir")).unwrap().count(), 1, "{said}");
    assert_eq!(fs::read_to_string(place.path("secret/file")).unwrap(), "secret");
    assert_eq!(fs::read_dir(place.path("secret")).unwrap().count(), 1);
    place.assert_tidy();
    said
}

fn place() -> (Place, Engine) {
    let place = Place::new();
    let engine = place.engine();
    engine.create(&layer("other")).unwrap();
    fs::create_dir(place.path("secret")).unwrap();
    fs::write(place.path("secret/file"), "secret").unwrap();
    (place, engine)
}

#[test]
fn hostile_archives() {
    let (place, engine) = place();
    let secret = place.path("secret");
    let secret = secret.to_str().unwrap();
    let good = one().file("layers/l/file", b"x").sum("l").end();
    engine
        .import(
            &{
                fs::write(place.path("good"), &good).unwrap();
                place.path("good")
            },
            &Import::default(),
        )
        .unwrap();
    engine.delete(&layer("l")).unwrap();
    let mut damaged = good.clone();
    let at = damaged.windows(512).position(|block| block[0] == b'x' && block[1] == 0).unwrap();
    damaged[at] = b'y';
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "this is no archive of layers"),
        ("text", vec![b'a'; 2000], "it is no tar"),
        (
            "another tar",
            Made { bytes: Vec::new() }.file("etc/passwd", b"x").end(),
            "does not begin with `ovmlayer.json`",
        ),
        (
            "a newer format",
            Made { bytes: Vec::new() }.file("ovmlayer.json", b"{\"format\":2}").end(),
            "it has format 2",
        ),
        (
            "the same layer twice",
            Made::new("\"l\",\"l\"").folder("layers/l/").sum("l").end(),
            "names a layer twice",
        ),
        ("a name that leads out", Made::new("\"../l\"").end(), "cannot be the name of a layer"),
        ("a long list", Made::new(&"\"l\",".repeat(300_000)).end(), "longer than 1048576 bytes"),
        ("parent", one().file("layers/l/../../x", b"x").sum("l").end(), "has a `..` component"),
        ("absolute inside", one().file("layers/l//etc/x", b"x").sum("l").end(), "is absolute"),
        ("absolute", one().file("/layers/l/x", b"x").sum("l").end(), "lies outside its layer"),
        ("another layer", one().file("layers/other/x", b"x").sum("l").end(), "lies outside its layer"),
        ("a name that goes on", one().file("layers/l2/x", b"x").sum("l").end(), "lies outside its layer"),
        ("beside", one().file("layers/x", b"x").sum("l").end(), "lies outside its layer"),
        (
            "through a link",
            one().member("layers/l/d", b'2', secret, b"").file("layers/l/d/file", b"x").sum("l").end(),
            "stands in the archive twice",
        ),
        (
            "through a link that is there for long",
            (0..300)
                .fold(one().member("layers/l/d", b'2', secret, b""), |made, number| {
                    made.file(&format!("layers/l/{number}"), b"")
                })
                .file("layers/l/d/file", b"x")
                .sum("l")
                .end(),
            "`d`",
        ),
        (
            "link out",
            one().member("layers/l/h", b'1', "secret/file", b"").sum("l").end(),
            "lies outside its layer",
        ),
        (
            "link to another layer",
            one().member("layers/l/h", b'1', "layers/other/x", b"").sum("l").end(),
            "lies outside its layer",
        ),
        (
            "link to an absolute name",
            one().member("layers/l/h", b'1', "/etc/shadow", b"").sum("l").end(),
            "lies outside its layer",
        ),
        (
            "link through a link",
            one()
                .member("layers/l/d", b'2', secret, b"")
                .member("layers/l/h", b'1', "layers/l/d/file", b"")
                .sum("l")
                .end(),
            "cannot create a link to `d/file`",
        ),
        (
            "link to a whiteout",
            one().member("layers/l/h", b'1', "layers/l/.wh.x", b"").sum("l").end(),
            "nothing that can be linked to",
        ),
        (
            "twice",
            one().file("layers/l/x", b"1").file("layers/l/x", b"2").sum("l").end(),
            "stands in the archive twice",
        ),
        (
            "twice with a whiteout",
            one().file("layers/l/.wh.x", b"").file("layers/l/x", b"2").sum("l").end(),
            "stands in the archive twice",
        ),
        (
            "whiteout of the parent",
            one().file("layers/l/.wh...", b"").sum("l").end(),
            "is no whiteout of any name",
        ),
        ("beneath a whiteout", one().file("layers/l/.wh.x/y", b"").sum("l").end(), "lies beneath a whiteout"),
        ("whiteout with contents", one().file("layers/l/.wh.x", b"1").sum("l").end(), "is not an empty file"),
        ("the root as a file", one().file("layers/l", b"1").sum("l").end(), "the root"),
        ("no digest", one().end(), "it is not complete: layer `l`"),
        (
            "no second layer",
            Made::new("\"l\",\"m\"").folder("layers/l/").sum("l").end(),
            "it is not complete: layer `m`",
        ),
        ("a wrong digest", damaged, "the digest of layer `l` is wrong"),
        (
            "a digest of another kind",
            one().file("sums/l", b"short").end(),
            "the digest of layer `l` is wrong",
        ),
        ("more behind the last", one().sum("l").file("layers/l/x", b"1").end(), "comes after the last layer"),
        ("cut off", good[..good.len() - 1536].to_vec(), "the archive ends in the middle of"),
    ];
    for (summary, bytes, want) in table {
        let said = refused(&place, &engine, &bytes, &Import::default());
        assert!(said.contains(want), "{summary}: {said}");
    }
}

/// However an archive is cut, it is refused; compressed ones too.
#[test]
fn cut_archives() {
    let (place, engine) = place();
    let bytes = one().file("layers/l/file", &[7; 3000]).sum("l").end();
    for format in [Format::Plain, Format::Gzip, Format::Zstd, Format::Xz] {
        let mut encoder = Encoder::new(format, Vec::new(), 1).unwrap();
        encoder.write_all(&bytes).unwrap();
        let whole = encoder.finish().unwrap();
        // The zeros at the end of a plain tar say nothing.
        let most = if format == Format::Plain { whole.len() - 1536 } else { whole.len() };
        for length in (0..most).step_by(most / 9) {
            refused(&place, &engine, &whole[..length], &Import::default());
        }
    }
}

#[test]
fn bombs_are_bounded() {
    let (place, engine) = place();
    let limits = |limits: Limits| Import { limits, ..Import::default() };
    let zeros = one().file("layers/l/zeros", &vec![0; 8 << 20]).sum("l").end();
    let mut encoder = Encoder::new(Format::Zstd, Vec::new(), 1).unwrap();
    encoder.write_all(&zeros).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 10_000);
    let how = limits(Limits { total: 1 << 20, ..Limits::default() });
    let said = refused(&place, &engine, &bomb, &how);
    assert!(said.contains("more than 1048576 bytes"), "{said}");
    let many =
        (0..50).fold(one(), |made, number| made.file(&format!("layers/l/{number}"), b"")).sum("l").end();
    let said = refused(&place, &engine, &many, &limits(Limits { entries: 20, ..Limits::default() }));
    assert!(said.contains("more than 20 members"), "{said}");
    // A file of 8 EiB that takes no room in the archive.
    let record = |key: &str, value: &str| {
        let length = key.len() + value.len() + 3;
        // Both have two digits.
        format!("{} {key}={value}\n", length + 2)
    };
    let records = [
        record("GNU.sparse.major", "1"),
        record("GNU.sparse.minor", "0"),
        record("GNU.sparse.name", "layers/l/x"),
        record("GNU.sparse.realsize", "9000000000000000000"),
    ]
    .concat();
    let sparse = one().member("PaxHeaders/x", b'x', "", records.as_bytes()).file("x", b"0\n").sum("l").end();
    let said = refused(&place, &engine, &sparse, &Import::default());
    assert!(said.contains("more than 17592186044416 bytes in a sparse file"), "{said}");
}

#[test]
fn hostile_oci_layers() {
    let (place, engine) = place();
    let how =
        Import { dialect: Dialect::Oci, rename: Some(LayerName::new("l").unwrap()), ..Import::default() };
    let made = || Made { bytes: Vec::new() };
    let secret = place.path("secret");
    let secret = secret.to_str().unwrap();
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("parent", made().file("../x", b"x").end(), "has a `..` component"),
        ("absolute", made().file("/etc/x", b"x").end(), "is absolute"),
        ("whiteout of the parent", made().file("a/.wh...", b"").end(), "is no whiteout of any name"),
        ("whiteout with contents", made().file(".wh.x", b"1").end(), "is not an empty file"),
        ("whiteout folder", made().folder(".wh.x/").end(), "is not an empty file"),
        ("through a link", made().member("d", b'2', secret, b"").file("d/file", b"x").end(), "`d`"),
        (
            "opaque through a link",
            made().member("d", b'2', secret, b"").file("d/.wh..wh..opq", b"").end(),
            "`d`",
        ),
        ("link out", made().member("h", b'1', "../secret/file", b"").end(), "has a `..` component"),
        ("cut off", made().file("x", b"x").bytes[..700].to_vec(), "the archive ends in the middle of"),
    ];
    for (summary, bytes, want) in table {
        let said = refused(&place, &engine, &bytes, &how);
        assert!(said.contains(want), "{summary}: {said}");
    }
    // What means nothing is passed over; a device node is an entry like any other.
    let fine = made()
        .file(".wh..wh.plnk/1.2", b"aufs")
        .member("null", b'3', "", b"")
        .file("a/.wh.b", b"")
        .folder("a/")
        .folder("a/")
        .end();
    let file = place.path("fine");
    fs::write(&file, fine).unwrap();
    engine.import(&file, &how).unwrap();
    assert_eq!(engine.export(&layers(["l"]), &place.path("again"), Dialect::Oci).unwrap().entries, 4);
}
