# Carries out a list of operations on the files beneath a folder: perl make_tree.pl FOLDER LIST
#
# It needs what the perl-base of any Debian root filesystem has. Each line of the list is a letter and its fields; paths
# and contents are in hexadecimal, so that they may hold any byte.
use strict;
use warnings;
use POSIX ();
use Socket;

my ($root, $list) = @ARGV;
my $arm = (POSIX::uname())[4] eq 'aarch64';
my %number = $arm
    ? (mknodat => 33, lsetxattr => 6, utimensat => 88)
    : (mknodat => 259, lsetxattr => 189, utimensat => 280);
my $here = -100;    # AT_FDCWD

sub text { return pack 'H*', shift }
sub path { return $root . '/' . text(shift) }

sub check {
    my ($ok, $what) = @_;
    return if $ok;
    my $number = $! + 0;
    print STDERR "$what: $! (errno $number)\n";
    exit 1;
}

sub call {
    my ($name, @arguments) = @_;
    return syscall($number{$name}, @arguments) == 0;
}

my %do = (
    # A folder, a file with its content, a link, a second name, a pipe, a socket, a node.
    D => sub { my ($p) = @_; return -d $p || mkdir $p, 0777 },
    F => sub {
        my ($p, $content) = @_;
        open my $file, '>', $p or return 0;
        print {$file} text($content // '');
        return close $file;
    },
    S => sub {
        my ($p, $size, @pieces) = @_;
        open my $file, '>', $p or return 0;
        truncate $file, $size or return 0;
        while (my ($offset, $content) = splice @pieces, 0, 2) {
            seek $file, $offset, 0 or return 0;
            print {$file} text($content);
        }
        return close $file;
    },
    L => sub { my ($p, $target) = @_; return symlink text($target), $p },
    H => sub { my ($p, $other) = @_; return link path($other), $p },
    P => sub { my ($p) = @_; return POSIX::mkfifo($p, 0666) },
    U => sub {
        my ($p) = @_;
        my ($folder, $name) = $p =~ m{^(.*/)([^/]+)$}s;
        socket my $socket, PF_UNIX, SOCK_STREAM, 0 or return 0;
        my $before = POSIX::getcwd();
        my $bound = chdir $folder && bind $socket, sockaddr_un($name);
        chdir $before;
        return $bound;
    },
    N => sub { my ($p, $mode, $device) = @_; return call('mknodat', $here, $p, $mode + 0, $device + 0) },
    # Owner, mode, attribute, time; and away with it.
    O => sub { my ($p, $uid, $gid) = @_; return POSIX::lchown($uid, $gid, $p) },
    M => sub { my ($p, $mode) = @_; return chmod oct $mode, $p },
    X => sub {
        my ($p, $name, $value) = @_;
        my ($n, $v) = (text($name), text($value // ''));
        return call('lsetxattr', $p, $n, $v, length $v, 0);
    },
    T => sub {
        my ($p, $seconds, $nanoseconds) = @_;
        my $times = pack 'q4', ($seconds, $nanoseconds) x 2;
        return call('utimensat', $here, $p, $times, 0x100);
    },
    R => sub { my ($p) = @_; return (-e $p || -l $p) && system('rm', '-rf', '--', $p) == 0 },
);

umask 0;
open my $lines, '<', $list or die "$list: $!\n";
while (my $line = <$lines>) {
    chomp $line;
    my ($letter, $where, @fields) = split / /, $line;
    my $p = path($where);
    check($do{$letter}->($p, @fields), "$letter $p");
}
