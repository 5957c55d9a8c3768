//! Compressed streams against gzip, xz and zstd, and their exact bytes.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tree::codec::{Encoder, Format, decoder};

const FORMATS: [Format; 3] = [Format::Gzip, Format::Xz, Format::Zstd];

/// Bytes that compress to some degree, the same for ever.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 if bytes.len() > 4096 => {
                let start = bytes.len() - 4096 + (state as usize >> 8) % 4000;
                bytes.extend_from_within(start..start + 40);
            }
            _ => bytes.extend_from_slice(b"usr/share/doc/"),
        }
    }
    bytes.truncate(length);
    bytes
}

fn encode(format: Format, contents: &[u8], threads: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(format, Vec::new(), threads).unwrap();
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}

fn decode(format: Format, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    decoder(format, bytes)?.read_to_end(&mut contents)?;
    Ok(contents)
}

/// What a program of the system makes of `input`.
fn filter(program: &str, options: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}; is its Debian package installed?"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {options:?}: {}", output.status);
    output.stdout
}

fn program(format: Format) -> &'static str {
    match format {
        Format::Gzip => "gzip",
        Format::Xz => "xz",
        Format::Zstd => "zstd",
        Format::Plain => "cat",
    }
}

/// Changing one of these changes the digest of everything compressed: a format break, to be told by [`Format::id`].
#[test]
fn digest_stability() {
    // More than one block of every codec; most of it is zeros, as xz would take long otherwise.
    let contents = [sample(600_000), vec![0; 16 << 20], sample(600_000)].concat();
    assert_eq!(hex::encode(&Sha256::digest(&contents)[..8]), "46a888c28254c521");
    let table = [
        (
            Format::Gzip,
            "gzip-4-1MiB libdeflate-sys 1.26.1",
            "1f2b679182a1729d5a212bd41a73cabb84f4521162a0a613478d98590c87af5d",
        ),
        (
            Format::Xz,
            "xz-6-16MiB liblzma-sys 0.4.9",
            "188ed6ac27366943539dc4249055a25b6c2e78bc8f189c506562440d1eaf7a90",
        ),
        (
            Format::Zstd,
            "zstd-9-mt zstd-sys 2.1.3+zstd.1.5.7",
            "8dc2bc30544ae4c7caabad5272536d051baaf82afa89c6500c7c417fd0ee0834",
        ),
    ];
    let mut got = Vec::new();
    for (format, id, _) in &table {
        assert_eq!(format.id(), *id);
        let one = encode(*format, &contents, 1);
        assert!(one == encode(*format, &contents, 3), "{format:?}: the number of threads changes the bytes");
        assert!(decode(*format, &one).unwrap() == contents, "{format:?}");
        got.push((*format, *id, hex::encode(Sha256::digest(&one))));
    }
    assert_eq!(got, table.map(|(format, id, digest)| (format, id, digest.to_owned())));
}

#[test]
fn other_programs_read_ours_and_we_read_theirs() {
    for length in [0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        let contents = sample(length);
        for format in FORMATS {
            let ours = encode(format, &contents, 2);
            assert!(filter(program(format), &["-dc"], &ours) == contents, "{format:?} {length}");
            let theirs = filter(program(format), &["-c"], &contents);
            assert!(decode(format, &theirs).unwrap() == contents, "{format:?} {length}");
            assert_eq!(Format::sniff(&ours), format);
        }
    }
}

/// Gzip members, xz streams and zstd frames may follow one another.
#[test]
fn several_streams_in_one() {
    for format in FORMATS {
        let bytes = [encode(format, b"one ", 1), encode(format, b"", 1), encode(format, b"two", 1)].concat();
        assert_eq!(decode(format, &bytes).unwrap(), b"one two", "{format:?}");
    }
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), encode(Format::Zstd, b"x", 1)].concat();
    assert_eq!(decode(Format::Zstd, &skippable).unwrap(), b"x");
    let padded = [encode(Format::Xz, b"x", 1), vec![0; 8]].concat();
    assert_eq!(decode(Format::Xz, &padded).unwrap(), b"x");
}

#[test]
fn damage_is_noticed() {
    let contents = sample(100_000);
    for format in FORMATS {
        let bytes = encode(format, &contents, 1);
        for length in [1, 5, 17, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(format, &bytes[..length]).is_err(), "{format:?} cut at {length}");
        }
        for position in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 6] {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            let got = decode(format, &damaged);
            assert!(got.is_err(), "{format:?} damaged at {position} of {}", bytes.len());
        }
        let trailing = [&bytes[..], b"rubbish"].concat();
        // gzip(1) ignores what follows the last member; xz and zstd refuse it.
        if format != Format::Gzip {
            assert!(decode(format, &trailing).is_err(), "{format:?}");
        }
    }
}

/// A stream that asks for more memory than any sane one is refused before the memory is taken.
#[test]
fn memory_is_bounded() {
    let greedy = filter("xz", &["-c", "--lzma2=dict=1GiB,mode=fast,nice=16,mf=hc3"], b"x");
    assert!(decode(Format::Xz, &greedy).is_err());
    let greedy = filter("zstd", &["-c", "--long=31", "-1"], &sample(1000));
    assert!(decode(Format::Zstd, &greedy).is_err());
    let largest = filter("xz", &["-c", "-9e"], b"x");
    assert_eq!(decode(Format::Xz, &largest).unwrap(), b"x");
    let largest = filter("zstd", &["-c", "--ultra", "-22"], b"x");
    assert_eq!(decode(Format::Zstd, &largest).unwrap(), b"x");
}

/// A sink that fails is reported, and nothing waits for ever.
#[test]
fn a_full_disk_is_reported() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let contents = sample(2 << 20);
    for format in [Format::Plain, Format::Gzip, Format::Xz, Format::Zstd] {
        let mut encoder = Encoder::new(format, Full(100_000), 2).unwrap();
        let written = encoder.write_all(&contents);
        let error = match written {
            Err(error) => error,
            Ok(()) => encoder.finish().err().unwrap(),
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{format:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// How the contents are cut into writes changes nothing.
    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(1usize..2_000_000, 0..6)) {
        let contents = sample(2_500_000);
        for format in [Format::Gzip, Format::Zstd] {
            let mut encoder = Encoder::new(format, Vec::new(), 2).unwrap();
            let mut rest = &contents[..];
            for &cut in &cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                encoder.write_all(now).unwrap();
                encoder.flush().unwrap();
                rest = later;
            }
            encoder.write_all(rest).unwrap();
            prop_assert!(encoder.finish().unwrap() == encode(format, &contents, 1), "{:?} {:?}", format, cuts);
        }
    }
}
