"""Shuts the calling process in before it runs text that a model wrote.

After shut_in() the process can compute, read files and write to what is already open. It cannot open anything for
writing, reach a network, start or signal a process, or outgrow its limits. It cannot be undone.

Python's own restrictions (builtins, import lists) are porous: any exception carries a frame, and any frame leads to the
interpreter's modules. So the kernel holds the door: a seccomp filter that allows a short list of system calls and
answers EPERM to every other.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import struct

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9
_EPERM = 1

# What flags of open() mean writing, on both architectures: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, __O_TMPFILE.
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000

# Audit architecture, system calls allowed, and those allowed for reading only (number: index of the flags argument).
_MACHINES = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
            "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
            "pread64": 17, "writev": 20, "access": 21, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32,
            "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39, "exit": 60, "uname": 63,
            "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99, "times": 100,
            "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "sigaltstack": 131,
            "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
            "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
            "exit_group": 231, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "ppoll": 271,
            "set_robust_list": 273, "getrandom": 318, "membarrier": 324, "statx": 332, "rseq": 334,
            "faccessat2": 439,
        },
        {2: 1, 257: 2},
    ),
    "aarch64": (
        0xC00000B7,
        {
            "getcwd": 17, "dup": 23, "faccessat": 48, "close": 57, "getdents64": 61, "lseek": 62, "read": 63,
            "write": 64, "writev": 66, "pread64": 67, "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80,
            "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99, "nanosleep": 101, "getitimer": 102,
            "setitimer": 103, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
            "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132,
            "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153, "uname": 160,
            "getrusage": 165, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175,
            "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179, "brk": 214, "munmap": 215, "mremap": 216,
            "mmap": 222, "mprotect": 226, "madvise": 233, "getrandom": 278, "membarrier": 283, "statx": 291,
            "rseq": 293, "faccessat2": 439,
        },
        {56: 2},
    ),
}

# Classic BPF: load a word of seccomp_data, jump if equal, and with a constant, return.
_LOAD, _JUMP_IF, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | _EPERM
_AT_NUMBER, _AT_MACHINE, _AT_ARGUMENTS = 0, 4, 16


def _filter(machine: str) -> bytes:
    audit, allowed, reading = _MACHINES[machine]
    program = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_JUMP_IF, 1, 0, audit),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _AT_NUMBER),
    ]
    for number, argument in reading.items():
        program += [
            (_JUMP_IF, 0, 5, number),
            (_LOAD, 0, 0, _AT_ARGUMENTS + 8 * argument),
            (_AND, 0, 0, _WRITING),
            (_JUMP_IF, 0, 1, 0),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    for number in sorted(allowed.values()):
        program += [(_JUMP_IF, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def _limit(what: int, value: int) -> None:
    resource.setrlimit(what, (value, value))


def shut_in(memory_bytes: int, cpu_seconds: int) -> None:
    """Shuts this process in. Raises OSError or KeyError when the kernel or the machine cannot do it: then run nothing."""
    code = _filter(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)

    def prctl(option: int, first: int, second: int = 0) -> None:
        result = libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0))
        if result != 0:
            raise OSError(ctypes.get_errno(), "prctl %d is refused" % option)

    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(held, ctypes.c_void_p))
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))
