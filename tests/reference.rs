//! Our Debian root and the one that mmdebstrap makes, compared.

use testkit::Program;

#[test]
fn starts() {
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    assert!(program.succeed(["--version"]).starts_with("ovmlayer-rootfs "));
}
