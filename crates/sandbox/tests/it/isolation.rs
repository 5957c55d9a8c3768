//! What a command cannot see and cannot change.

use std::net::TcpListener;

use crate::support::for_everyone;

#[test]
fn processes_outside_cannot_be_seen() {
    for_everyone(|root| {
        let pids = root.shell("echo /proc/[0-9]*").ok();
        assert_eq!(pids, "/proc/1 /proc/2\n");
        // Signals sent to the first process from inside do no harm to it.
        assert_eq!(root.shell("trap '' TERM; kill -9 1; kill -TERM 1; echo alive").ok(), "alive\n");
        assert_ne!(root.shell("cat /proc/1/environ").code, Some(0), "the caller's environment is readable");
    });
}

#[test]
fn the_network_is_that_of_the_sandbox() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for_everyone(|root| {
        let script = format!("nc -w 5 127.0.0.1 {port} </dev/null");
        let arguments = ["--host-network", "--env", "PATH=/bin", "ROOT", "sh", "-c", &script];
        let child = root.command(&arguments).spawn().unwrap();
        drop(listener.accept().unwrap());
        assert!(child.wait_with_output().unwrap().status.success(), "the host's network is not reached");
        assert_ne!(root.shell(&script).code, Some(0), "the host's network is reached");
        assert_eq!(root.shell("ls /proc/sys/net/ipv4/conf").ok(), "all\ndefault\nlo\n");
        assert!(root.shell("ifconfig lo").ok().contains("UP LOOPBACK RUNNING"));
    });
}

#[test]
fn devices_are_few() {
    for_everyone(|root| {
        let expected = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n";
        assert_eq!(root.shell("echo $(ls /dev)").ok(), expected);
        let script = "echo x >/dev/null && head -c 2 /dev/zero | wc -c && echo here >/dev/stdout && \
                      touch /dev/shm/x && head -c 3 /dev/urandom | wc -c && readlink /dev/ptmx";
        let arguments = ["--lines", "--env", "PATH=/bin", "ROOT", "sh", "-c", script];
        assert_eq!(root.run(&arguments).ok(), "| 2\n| here\n| 3\n| pts/ptmx\n");
        assert_ne!(root.shell("echo x >/dev/full").code, Some(0));
    });
}

#[test]
fn the_kernel_cannot_be_changed_from_inside() {
    for_everyone(|root| {
        let tests = [
            "echo 1 >/proc/sys/vm/drop_caches",
            "echo x >/proc/sys/kernel/core_pattern",
            "if [ -e /proc/sysrq-trigger ]; then echo h >/proc/sysrq-trigger; else false; fi",
            "mount -o remount,rw /proc/sys",
            "umount /proc/sys",
            "mount -t tmpfs none /tmp",
            "mknod /tmp/disk b 254 0",
            "cat /proc/kcore | head -c 1 | grep -q .",
            "grep -q . /proc/keys",
            "grep -q . /proc/timer_list",
            "chroot /proc/1/root true",
        ];
        for script in tests {
            assert_ne!(root.shell(script).code, Some(0), "{script}");
        }
        assert_eq!(root.shell("grep CapBnd /proc/self/status").ok(), "CapBnd:\t00000000a80425fb\n");
        let arguments =
            ["--all-capabilities", "--env", "PATH=/bin", "ROOT", "mount", "-t", "tmpfs", "x", "/tmp"];
        root.run(&arguments).ok();
    });
}

#[test]
fn fsync_is_answered_only_if_asked_for() {
    for_everyone(|root| {
        // The kernel cannot sync a device without storage, so success shows that it was not asked.
        let command = ["ROOT", "/bin/dd", "if=/dev/null", "of=/dev/null", "conv=fsync", "status=none"];
        assert_ne!(root.run(&command).code, Some(0));
        root.run(&[&["--defer-fsync"][..], &command].concat()).ok();
        let arguments = ["--defer-fsync", "ROOT", "/bin/grep", "Seccomp:", "/proc/self/status"];
        assert_eq!(root.run(&arguments).ok(), "Seccomp:\t2\n");
    });
}
