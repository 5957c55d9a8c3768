//! Packets of MQTT 3.1.1 (<https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html>; sections are given by number).

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};

/// The most bytes that may follow the fixed header (2.2.3).
pub const MAX_LENGTH: usize = 268_435_455;

/// The most bytes of anything but `PUBLISH`: nobody needs long ones, and they are kept in memory.
const MAX_SMALL: usize = 1 << 20;

/// A packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Somebody wants to begin (3.1).
    Connect {
        /// Who it is.
        client_id: String,
    },
    /// The broker's answer (3.2): 0 is yes.
    ConnAck {
        /// The return code.
        code: u8,
    },
    /// A message (3.3).
    Publish {
        /// Its topic.
        topic: String,
        /// The number to acknowledge; `None` at QoS 0.
        id: Option<u16>,
        /// Its bytes.
        payload: Bytes,
    },
    /// A message has arrived (3.4).
    PubAck(u16),
    /// Somebody wants messages (3.8).
    Subscribe {
        /// The number to acknowledge.
        id: u16,
        /// Of these topics.
        topics: Vec<String>,
    },
    /// The broker's answer (3.9).
    SubAck {
        /// The number of the request.
        id: u16,
        /// Whether all topics were granted.
        granted: bool,
    },
    /// Somebody wants no more messages (3.10).
    Unsubscribe {
        /// The number to acknowledge.
        id: u16,
        /// Of these topics.
        topics: Vec<String>,
    },
    /// The broker's answer (3.11).
    UnsubAck(u16),
    /// Somebody is still there (3.12).
    PingReq,
    /// The broker too (3.13).
    PingResp,
    /// Somebody goes (3.14).
    Disconnect,
}

/// What is wrong with a packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The length takes more than four bytes (2.2.3).
    #[error("the length of a packet is not written as MQTT has it")]
    Length,
    /// The packet ends before its content does.
    #[error("a packet ends too early")]
    Short,
    /// Something that is not allowed where it stands.
    #[error("a packet of type {kind} is wrong: {why}")]
    Malformed {
        /// The type, from 0 to 15.
        kind: u8,
        /// What is wrong.
        why: &'static str,
    },
    /// A packet that is not for `PUBLISH` and larger than any needs to be.
    #[error("a packet of type {kind} has {length} bytes")]
    TooLong {
        /// The type, from 0 to 15.
        kind: u8,
        /// Its length.
        length: usize,
    },
}

/// Reads one packet from a connection; `None` at its end.
///
/// # Errors
/// When the connection breaks, or what comes is no packet.
pub fn read(from: &mut impl Read) -> io::Result<Option<Packet>> {
    let mut byte = [0];
    if from.read(&mut byte)? == 0 {
        return Ok(None);
    }
    let first = byte[0];
    let mut length = 0;
    for shift in [0, 7, 14, 21, 28] {
        if shift == 28 {
            return Err(invalid(&Fault::Length));
        }
        from.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_SMALL && first >> 4 != 3 {
        return Err(invalid(&Fault::TooLong { kind: first >> 4, length }));
    }
    // Memory that is not written to costs nothing, so one that lies about its length gains nothing.
    let mut body = Vec::with_capacity(length);
    if from.take(length as u64).read_to_end(&mut body)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    parse(first, Bytes::from(body)).map(Some).map_err(|fault| invalid(&fault))
}

fn invalid(fault: &Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.to_string())
}

/// Parses a packet: the first byte of its header, and all that follows the length.
///
/// # Errors
/// When it is none.
pub fn parse(first: u8, body: Bytes) -> Result<Packet, Fault> {
    let (kind, flags) = (first >> 4, first & 0x0f);
    let mut body = Body { kind, bytes: body };
    let packet = match kind {
        1 => connect(&mut body)?,
        2 => {
            body.byte()?;
            Packet::ConnAck { code: body.byte()? }
        }
        3 => return publish(flags, body),
        4 => Packet::PubAck(body.number()?),
        8 => Packet::Subscribe { id: body.number()?, topics: body.topics(true)? },
        9 => {
            let id = body.number()?;
            let granted = !std::mem::take(&mut body.bytes).contains(&0x80);
            Packet::SubAck { id, granted }
        }
        10 => Packet::Unsubscribe { id: body.number()?, topics: body.topics(false)? },
        11 => Packet::UnsubAck(body.number()?),
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => Packet::Disconnect,
        5..=7 => return Err(body.malformed("QoS 2 is not supported here")),
        _ => return Err(body.malformed("there is no such type")),
    };
    // 2.2.2: the flags of all but `PUBLISH` are fixed.
    if flags != if matches!(kind, 8 | 10) { 2 } else { 0 } {
        return Err(body.malformed("its flags are not those of its type"));
    }
    if body.bytes.is_empty() { Ok(packet) } else { Err(body.malformed("something follows its content")) }
}

fn connect(body: &mut Body) -> Result<Packet, Fault> {
    let protocol = body.text()?;
    let level = body.byte()?;
    if (protocol.as_str(), level) != ("MQTT", 4) {
        return Err(body.malformed("it is not of MQTT 3.1.1"));
    }
    let flags = body.byte()?;
    body.number()?;
    let client_id = body.text()?;
    // 3.1.3: a will, a name, a password; nothing here needs them, but they may be there.
    if flags & 0x04 != 0 {
        body.text()?;
        body.binary()?;
    }
    for flag in [0x80, 0x40] {
        if flags & flag != 0 {
            body.binary()?;
        }
    }
    Ok(Packet::Connect { client_id })
}

fn publish(flags: u8, mut body: Body) -> Result<Packet, Fault> {
    let qos = (flags >> 1) & 3;
    if qos > 1 {
        return Err(body.malformed("QoS 2 is not supported here"));
    }
    let topic = body.text()?;
    if topic.is_empty() || topic.contains(['#', '+']) {
        return Err(body.malformed("a message has a topic without wildcards"));
    }
    let id = if qos == 1 { Some(body.number()?) } else { None };
    Ok(Packet::Publish { topic, id, payload: body.bytes })
}

struct Body {
    kind: u8,
    bytes: Bytes,
}

impl Body {
    fn malformed(&self, why: &'static str) -> Fault {
        Fault::Malformed { kind: self.kind, why }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        if self.bytes.is_empty() { Err(Fault::Short) } else { Ok(self.bytes.get_u8()) }
    }

    fn number(&mut self) -> Result<u16, Fault> {
        if self.bytes.len() < 2 { Err(Fault::Short) } else { Ok(self.bytes.get_u16()) }
    }

    fn binary(&mut self) -> Result<Bytes, Fault> {
        let length = usize::from(self.number()?);
        if self.bytes.len() < length { Err(Fault::Short) } else { Ok(self.bytes.split_to(length)) }
    }

    /// 1.5.3: UTF-8 without the null character.
    fn text(&mut self) -> Result<String, Fault> {
        let bytes = self.binary()?;
        match String::from_utf8(bytes.into()) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(self.malformed("a text is not UTF-8")),
        }
    }

    fn topics(&mut self, with_qos: bool) -> Result<Vec<String>, Fault> {
        let mut topics = Vec::new();
        while !self.bytes.is_empty() {
            topics.push(self.text()?);
            if with_qos && self.byte()? > 2 {
                return Err(self.malformed("there is no such QoS"));
            }
        }
        if topics.is_empty() { Err(self.malformed("there is no topic in it")) } else { Ok(topics) }
    }
}

/// `CONNECT` with a clean session.
#[must_use]
pub fn write_connect(client_id: &str, keep_alive: u16) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.extend_from_slice(&[4, 2]);
    body.extend_from_slice(&keep_alive.to_be_bytes());
    put_text(&mut body, client_id);
    packet(0x10, &body)
}

/// `CONNACK`; 0 is yes.
#[must_use]
pub fn write_connack(code: u8) -> Vec<u8> {
    packet(0x20, &[0, code])
}

/// The beginning of a `PUBLISH`, which `length` bytes of payload follow; `id` for QoS 1. `None` when it would be too large.
#[must_use]
pub fn write_publish(topic: &str, id: Option<u16>, length: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    if let Some(id) = id {
        body.extend_from_slice(&id.to_be_bytes());
    }
    let total = body.len() + length;
    if total > MAX_LENGTH {
        return None;
    }
    let mut bytes = vec![0x30 | if id.is_some() { 2 } else { 0 }];
    put_length(&mut bytes, total);
    bytes.extend_from_slice(&body);
    Some(bytes)
}

/// `PUBACK`.
#[must_use]
pub fn write_puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// `SUBSCRIBE` at QoS 1.
#[must_use]
pub fn write_subscribe(id: u16, topics: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for topic in topics {
        put_text(&mut body, topic);
        body.push(1);
    }
    packet(0x82, &body)
}

/// `SUBACK` that grants QoS 0 for each of `count` topics.
#[must_use]
pub fn write_suback(id: u16, count: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.resize(2 + count, 0);
    packet(0x90, &body)
}

/// `UNSUBACK`.
#[must_use]
pub fn write_unsuback(id: u16) -> Vec<u8> {
    packet(0xb0, &id.to_be_bytes())
}

/// `PINGREQ`.
#[must_use]
pub fn write_pingreq() -> Vec<u8> {
    packet(0xc0, &[])
}

/// `PINGRESP`.
#[must_use]
pub fn write_pingresp() -> Vec<u8> {
    packet(0xd0, &[])
}

/// `DISCONNECT`.
#[must_use]
pub fn write_disconnect() -> Vec<u8> {
    packet(0xe0, &[])
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    put_length(&mut bytes, body.len());
    bytes.extend_from_slice(body);
    bytes
}

/// 2.2.3: seven bits a byte, the lowest first.
fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

/// 1.5.3: a text after its length; one that is longer than a text may be is cut, which only a topic could be.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes.extend_from_slice(&u16::try_from(end).unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(bytes: &[u8]) -> Packet {
        let mut rest = bytes;
        let packet = read(&mut rest).expect("a packet").expect("not the end");
        assert!(rest.is_empty(), "all of it is read");
        packet
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(back(&write_connect("me", 60)), Packet::Connect { client_id: "me".into() });
        assert_eq!(back(&write_connack(5)), Packet::ConnAck { code: 5 });
        assert_eq!(back(&write_puback(7)), Packet::PubAck(7));
        let subscribe = Packet::Subscribe { id: 1, topics: vec!["a".into(), "b/c".into()] };
        assert_eq!(back(&write_subscribe(1, &["a", "b/c"])), subscribe);
        assert_eq!(back(&write_suback(1, 2)), Packet::SubAck { id: 1, granted: true });
        assert_eq!(back(&[0x90, 3, 0, 1, 0x80]), Packet::SubAck { id: 1, granted: false });
        assert_eq!(back(&write_unsuback(2)), Packet::UnsubAck(2));
        assert_eq!(back(&write_pingreq()), Packet::PingReq);
        assert_eq!(back(&write_pingresp()), Packet::PingResp);
        assert_eq!(back(&write_disconnect()), Packet::Disconnect);
        for (id, size) in [(None, 0), (Some(3), 200), (None, 20_000), (Some(9), 3_000_000)] {
            let payload = vec![b'x'; size];
            let mut bytes = write_publish("t", id, size).expect("not too large");
            bytes.extend_from_slice(&payload);
            assert_eq!(back(&bytes), Packet::Publish { topic: "t".into(), id, payload: payload.into() });
        }
    }

    #[test]
    fn what_is_too_large_is_not_begun() {
        assert!(write_publish("t", None, MAX_LENGTH - 3).is_some());
        assert!(write_publish("t", None, MAX_LENGTH - 2).is_none());
    }

    #[test]
    fn faults() {
        let cases: [(&str, &[u8]); 9] = [
            ("a length of five bytes", &[0x30, 0xff, 0xff, 0xff, 0xff, 1]),
            ("no topic", &[0x30, 2, 0, 0]),
            ("a wildcard", &[0x30, 3, 0, 1, b'#']),
            ("QoS 2", &[0x34, 5, 0, 1, b'a', 0, 1]),
            ("not UTF-8", &[0x30, 3, 0, 1, 0xff]),
            ("flags", &[0xc1, 0]),
            ("more than its content", &[0xc0, 1, 0]),
            ("no topics", &[0x82, 2, 0, 1]),
            ("MQTT 5", &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 0, 0]),
        ];
        for (summary, bytes) in cases {
            let mut rest = bytes;
            assert_eq!(read(&mut rest).expect_err(summary).kind(), io::ErrorKind::InvalidData, "{summary}");
        }
        let mut short: &[u8] = &[0x30, 9, 0, 1];
        assert_eq!(read(&mut short).expect_err("short").kind(), io::ErrorKind::UnexpectedEof);
    }
}
