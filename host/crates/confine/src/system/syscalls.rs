//! System calls, by seccomp: those that no mail server makes and many attacks go on with are refused with EPERM.
//!
//! A list of what is refused, not of what is let through: a library that begins to use another harmless call must not take
//! the mail down. Refused and not killed for the same reason: the caller sees an error and says so.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use crate::Error;

/// Refused whatever they ask.
const REFUSED: &[&[libc::c_long]] = &[
    // Another program in our place.
    &[libc::SYS_execve, libc::SYS_execveat],
    // Into other processes.
    &[
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
    ],
    // Parts of the kernel that holes are found in, and that nothing of ours uses.
    &[
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_personality,
        libc::SYS_fanotify_init,
        libc::SYS_lookup_dcookie,
    ],
    // Another view of files: mounts, roots, namespaces, handles, devices.
    &[
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_mount_setattr,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_open_by_handle_at,
        libc::SYS_mknodat,
    ],
    // The machine.
    &[
        libc::SYS_kexec_load,
        // Missing in libc for that one.
        #[cfg(not(all(target_arch = "aarch64", target_env = "musl")))]
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_quotactl_fd,
        libc::SYS_syslog,
        libc::SYS_vhangup,
    ],
];

/// The same, where the processor has more of them.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] =
    &[libc::SYS_mknod, libc::SYS_uselib, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Flags of `clone` that begin a namespace of any kind.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// The kinds of socket that a mail server, or a library of its, opens; netlink is for lists of network interfaces.
const SOCKETS: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// In all threads.
pub(crate) fn restrict() -> Result<(), Error> {
    let cannot = |reason: String| Error::Syscalls { reason };
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| cannot(error.to_string()))?;
    let programs = [refused(arch), missing(arch)];
    for program in programs {
        let program = program.map_err(|error| cannot(error.to_string()))?;
        apply_filter_all_threads(&program).map_err(|error| cannot(error.to_string()))?;
    }
    tracing::debug!("system calls are refused");
    Ok(())
}

/// What is answered EPERM.
fn refused(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let always = REFUSED.iter().copied().chain([REFUSED_HERE]).flatten();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = always.map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, begins_namespace()?);
    rules.insert(libc::SYS_socket, vec![is_strange_socket()?]);
    let mut program = compile(rules, libc::EPERM, arch)?;
    if arch == TargetArch::x86_64 {
        refuse_x32(&mut program);
    }
    Ok(program)
}

/// What is answered ENOSYS: `clone3` keeps its flags where a filter cannot look. The C library then uses `clone`.
fn missing(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS, arch)
}

/// Calls of another processor (32-bit ones, say) end the process: the library puts that in front.
fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: libc::c_int,
    arch: TargetArch,
) -> Result<BpfProgram, BackendError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
}

/// A rule for each flag: any of them is enough.
fn begins_namespace() -> Result<Vec<SeccompRule>, BackendError> {
    let bits = (0..u64::BITS).map(|bit| 1_u64 << bit);
    let flags = bits.filter(|bit| u64::from(NAMESPACES.unsigned_abs()) & bit != 0);
    flags
        .map(|flag| SeccompRule::new(vec![SeccompCondition::new(0, Width::Qword, Is::MaskedEq(flag), flag)?]))
        .collect()
}

/// One rule of four conditions: none of the kinds that are used.
fn is_strange_socket() -> Result<SeccompRule, BackendError> {
    let known = SOCKETS.map(|kind| u64::from(kind.unsigned_abs()));
    let none = known.map(|kind| SeccompCondition::new(0, Width::Dword, Is::Ne, kind));
    SeccompRule::new(none.into_iter().collect::<Result<_, _>>()?)
}

/// On x86-64 each call has a second number, of the x32 ABI, with this bit. Few kernels have it on, nobody needs it, and a
/// list of numbers would miss it.
const X32: u32 = 0x4000_0000;

/// Puts "any number with that bit: EPERM" behind the check of the processor, which is the first three instructions.
fn refuse_x32(program: &mut BpfProgram) {
    use libc::{BPF_ABS, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let code =
        |parts: [u32; 3]| u16::try_from(parts.iter().fold(0, |all, part| all | part)).unwrap_or_default();
    let eperm = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let check = [
        (code([BPF_LD, BPF_W, BPF_ABS]), 0, 0, 0),
        (code([BPF_JMP, BPF_JGE, BPF_K]), 0, 1, X32),
        (code([BPF_RET, BPF_K, 0]), 0, 0, eperm),
    ];
    let check = check.map(|(code, jt, jf, k)| seccompiler::sock_filter { code, jt, jf, k });
    program.splice(3..3, check);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u32 = if cfg!(target_arch = "x86_64") { 0xC000_003E } else { 0xC000_00B7 };

    /// What the kernel would do with the program: the few instructions that ours are made of.
    fn run(program: &BpfProgram, call: i64, arch: u32, first: u64) -> u32 {
        let octets = [
            &u32::try_from(call).unwrap().to_le_bytes()[..],
            &arch.to_le_bytes(),
            &[0; 8],
            &first.to_le_bytes(),
            &[0; 40],
        ]
        .concat();
        let (mut at, mut held) = (0, 0);
        loop {
            let step = &program[at];
            let jump = |is_so: bool| usize::from(if is_so { step.jt } else { step.jf });
            at += 1;
            match step.code {
                0x20 => held = u32::from_le_bytes(octets[step.k as usize..][..4].try_into().unwrap()),
                0x54 => held &= step.k,
                0x05 => at += step.k as usize,
                0x15 => at += jump(held == step.k),
                0x25 => at += jump(held > step.k),
                0x35 => at += jump(held >= step.k),
                0x06 => return step.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn here() -> TargetArch {
        TargetArch::try_from(std::env::consts::ARCH).unwrap()
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;

    #[test]
    fn what_is_on_the_list_is_refused_and_what_a_server_does_is_not() {
        let program = refused(here()).unwrap();
        let judge = |call| run(&program, call, HERE, 0);
        for call in REFUSED.iter().copied().chain([REFUSED_HERE]).flatten() {
            assert_eq!(judge(*call), EPERM, "{call}");
        }
        for call in [
            libc::SYS_read,
            libc::SYS_openat,
            libc::SYS_mmap,
            libc::SYS_mprotect,
            libc::SYS_fdatasync,
            libc::SYS_renameat2,
            libc::SYS_accept4,
            libc::SYS_connect,
            libc::SYS_epoll_pwait,
            libc::SYS_futex,
            libc::SYS_setresuid,
            libc::SYS_inotify_add_watch,
            libc::SYS_exit_group,
        ] {
            assert_eq!(judge(call), ALLOW, "{call}");
        }
    }

    #[test]
    fn threads_are_begun_and_namespaces_are_not() {
        let program = refused(here()).unwrap();
        let judge =
            |flags: libc::c_int| run(&program, libc::SYS_clone, HERE, u64::from(flags.unsigned_abs()));
        assert_eq!(judge(libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_FS), ALLOW);
        for flag in
            [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID | libc::CLONE_VM]
        {
            assert_eq!(judge(flag), EPERM, "{flag:#x}");
        }
        // Where flags cannot be seen, the C library is told to use the other call.
        let program = missing(here()).unwrap();
        let enosys = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
        assert_eq!(run(&program, libc::SYS_clone3, HERE, 0), enosys);
        assert_eq!(run(&program, libc::SYS_clone, HERE, 0), ALLOW);
    }

    #[test]
    fn sockets_are_those_of_the_internet_and_our_own() {
        let program = refused(here()).unwrap();
        let judge = |kind: libc::c_int| run(&program, libc::SYS_socket, HERE, u64::from(kind.unsigned_abs()));
        for kind in SOCKETS {
            assert_eq!(judge(kind), ALLOW, "{kind}");
        }
        for kind in
            [libc::AF_PACKET, libc::AF_ALG, libc::AF_VSOCK, libc::AF_KEY, libc::AF_BLUETOOTH, libc::AF_TIPC]
        {
            assert_eq!(judge(kind), EPERM, "{kind}");
        }
    }

    #[test]
    fn there_is_no_way_round_by_another_kind_of_call() {
        let program = refused(here()).unwrap();
        // 11 is execve of 32-bit x86.
        let of_32_bits = 0x4000_0003;
        assert_eq!(run(&program, 11, of_32_bits, 0), libc::SECCOMP_RET_KILL_PROCESS);
        if cfg!(target_arch = "x86_64") {
            let x32 = i64::from(X32);
            // 520 is the execve that only x32 has.
            for call in [x32 | 520, x32 | libc::SYS_execve, x32 | libc::SYS_ptrace, x32] {
                assert_eq!(run(&program, call, HERE, 0), EPERM, "{call:#x}");
            }
        }
    }
}
