//! The cleartext signature framework, RFC 9580 section 7, read strictly: one message, nothing before it, nothing after.

use std::io::{BufReader, Read};

use pgp::armor::Dearmor;
use pgp::packet::{Packet, PacketParser, Signature};

use super::SignatureProblem;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";
const BEGIN_KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Debian signs with three keys at most; each signature costs a verification.
const SIGNATURE_LIMIT: usize = 32;

/// A clear-signed message, taken apart but not yet believed.
pub(super) struct Message {
    /// What the signatures are computed over: lines joined by CR LF, none after the last.
    pub(super) signed: String,
    /// The same lines, each ending in LF.
    pub(super) text: String,
    pub(super) signatures: Vec<Signature>,
}

/// Takes a message apart.
///
/// Blanks at line ends are not covered by a signature, so they are not part of the text either.
pub(super) fn parse(message: &[u8]) -> Result<Message, SignatureProblem> {
    let malformed = |detail: &str| SignatureProblem::Malformed { detail: detail.to_owned() };
    let message = std::str::from_utf8(message).map_err(|_| malformed("it is not UTF-8 text"))?;
    let message = message.replace("\r\n", "\n");
    if message.contains(|letter: char| letter.is_control() && letter != '\n' && letter != '\t') {
        return Err(malformed("it contains control characters"));
    }
    let mut lines = message.lines().map(|line| line.trim_end_matches([' ', '\t']));
    if lines.next() != Some(BEGIN_MESSAGE) {
        return Err(SignatureProblem::NotSigned);
    }
    loop {
        match lines.next() {
            Some("") => break,
            Some(line) if line.starts_with("Hash: ") => {}
            _ => return Err(malformed("its headers are not `Hash:` lines and an empty line")),
        }
    }
    let body = signed_lines(&mut lines)?;
    let signatures = signatures(&mut lines)?;
    if lines.any(|line| !line.is_empty()) {
        return Err(malformed("text follows the signature"));
    }
    let mut text = body.join("\n");
    text.push('\n');
    Ok(Message { signed: body.join("\r\n"), text, signatures })
}

fn signed_lines<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>, SignatureProblem> {
    let mut body = Vec::new();
    for line in lines {
        match line.strip_prefix("- ") {
            Some(escaped) => body.push(escaped),
            // "- " alone, its blank cut above, stands for an empty line.
            None if line == "-" => body.push(""),
            None if line == BEGIN_SIGNATURE => return Ok(body),
            None if line.starts_with('-') => {
                return Err(SignatureProblem::Malformed { detail: "a dash in it is not escaped".to_owned() });
            }
            None => body.push(line),
        }
    }
    Err(SignatureProblem::Malformed { detail: "it ends before the signature".to_owned() })
}

fn signatures<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<Signature>, SignatureProblem> {
    let malformed = |detail: String| SignatureProblem::Malformed { detail };
    let mut armour = format!("{BEGIN_SIGNATURE}\n");
    let mut ended = false;
    for line in lines {
        armour.push_str(line);
        armour.push('\n');
        ended = line == END_SIGNATURE;
        if ended {
            break;
        }
    }
    if !ended {
        return Err(malformed("the signature is cut off".to_owned()));
    }
    let binary = dearmor(&armour).map_err(malformed)?;
    let mut signatures = Vec::new();
    for packet in PacketParser::new(binary.as_slice()) {
        match packet {
            Ok(Packet::Signature(signature)) => signatures.push(signature),
            Ok(_) => return Err(malformed("there is something else among the signatures".to_owned())),
            // A signature of a kind from the future does not make the others worthless.
            Err(_) => {}
        }
        if signatures.len() > SIGNATURE_LIMIT {
            return Err(malformed(format!("it has more than {SIGNATURE_LIMIT} signatures")));
        }
    }
    if signatures.is_empty() {
        return Err(malformed("the signature block holds no signature".to_owned()));
    }
    Ok(signatures)
}

/// Decodes all armoured key blocks of a text, one after another, as `cat a.asc b.asc` makes them.
pub(super) fn dearmor_all(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither binary keys nor text".to_owned())?;
    let mut binary = Vec::new();
    for block in text.split(BEGIN_KEY).skip(1) {
        binary.extend(dearmor(&format!("{BEGIN_KEY}{block}"))?);
    }
    Ok(binary)
}

fn dearmor(text: &str) -> Result<Vec<u8>, String> {
    let mut binary = Vec::new();
    Dearmor::new(BufReader::new(text.as_bytes()))
        .read_to_end(&mut binary)
        .map_err(|error| format!("its armour cannot be decoded: {error}"))?;
    Ok(binary)
}
