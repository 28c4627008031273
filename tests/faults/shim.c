/* Stands between a program and libc: counts the system calls that hlfuzz makes, and lets the n-th fail.
 *
 * A shared object that comes before libc in the order of symbols, by linking or by LD_PRELOAD. It does not see what libc
 * does inside (malloc, thread stacks, stdio). Calls that release something are made even when they report an error, as
 * the kernel does for close(2): the point is what the caller does with the error. */
#define _GNU_SOURCE
#include "shim.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static _Atomic unsigned armed, counted, failing;
static _Atomic int wanted_kind, wanted_error;
static _Atomic long mappings, timers;
static const char *_Atomic hit = "";

void fault_arm(int kind, unsigned nth, int error) {
    wanted_kind = kind;
    wanted_error = error;
    failing = nth;
    counted = 0;
    hit = "";
    armed = 1;
}

unsigned fault_disarm(void) {
    armed = 0;
    return counted;
}

const char *fault_hit(void) { return hit; }
long fault_mappings(void) { return mappings; }
long fault_timers(void) { return timers; }

/* Must this call fail? */
static int fails(int kind, const char *name) {
    if (!armed || (wanted_kind != FAULT_ANY && wanted_kind != kind)) return 0;
    if (atomic_fetch_add(&counted, 1) + 1 != failing) return 0;
    hit = name;
    errno = wanted_error;
    return 1;
}

#define NEXT(result, name, ...) \
    static result (*next_##name)(__VA_ARGS__); \
    if (!next_##name) *(void **)&next_##name = dlsym(RTLD_NEXT, #name)

/* A call with fixed arguments that fails with -1. */
#define WRAP(result, name, parameters, arguments) \
    result name parameters { \
        static result(*next) parameters; \
        if (!next) *(void **)&next = dlsym(RTLD_NEXT, #name); \
        return fails(FAULT_OTHER, #name) ? (result)-1 : next arguments; \
    }

/* A call that releases something: it is made, then it fails. */
#define WRAP_RELEASE(name, parameters, arguments, counter) \
    int name parameters { \
        static int(*next) parameters; \
        if (!next) *(void **)&next = dlsym(RTLD_NEXT, #name); \
        int done = next arguments; \
        if (done == 0) counter; \
        return fails(FAULT_OTHER, #name) ? -1 : done; \
    }

#define POINTER_ARGUMENT(last, name) \
    va_list list; \
    va_start(list, last); \
    void *name = va_arg(list, void *); \
    va_end(list)

int ioctl(int fd, unsigned long request, ...) {
    POINTER_ARGUMENT(request, argument);
    NEXT(int, ioctl, int, unsigned long, ...);
    return fails(FAULT_IOCTL, "ioctl") ? -1 : next_ioctl(fd, request, argument);
}

int fcntl(int fd, int command, ...) {
    POINTER_ARGUMENT(command, argument);
    NEXT(int, fcntl, int, int, ...);
    return fails(FAULT_OTHER, "fcntl") ? -1 : next_fcntl(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    POINTER_ARGUMENT(command, argument);
    NEXT(int, fcntl64, int, int, ...);
    return fails(FAULT_OTHER, "fcntl64") ? -1 : next_fcntl64(fd, command, argument);
}

#define WRAP_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        NEXT(int, name, const char *, int, ...); \
        return fails(FAULT_OTHER, #name) ? -1 : next_##name(path, flags, mode); \
    }
WRAP_OPEN(open)
WRAP_OPEN(open64)

#define WRAP_OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        NEXT(int, name, int, const char *, int, ...); \
        return fails(FAULT_OTHER, #name) ? -1 : next_##name(folder, path, flags, mode); \
    }
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

/* What is called by number: futexes, signals to a thread. Waking a futex at a valid address cannot fail. */
long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
    long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    NEXT(long, syscall, long, ...);
    int wakes = number == SYS_futex && (b & FUTEX_CMD_MASK) == FUTEX_WAKE;
    return !wakes && fails(FAULT_OTHER, "syscall") ? -1 : next_syscall(number, a, b, c, d, e, f);
}

#define WRAP_MMAP(name) \
    void *name(void *address, size_t length, int protection, int flags, int fd, off_t offset) { \
        NEXT(void *, name, void *, size_t, int, int, int, off_t); \
        if (fails(FAULT_OTHER, #name)) return MAP_FAILED; \
        void *made = next_##name(address, length, protection, flags, fd, offset); \
        if (made != MAP_FAILED && !(flags & MAP_FIXED)) mappings++; \
        return made; \
    }
WRAP_MMAP(mmap)
WRAP_MMAP(mmap64)
WRAP_RELEASE(munmap, (void *address, size_t length), (address, length), mappings--)
WRAP_RELEASE(close, (int fd), (fd), (void)0)
WRAP_RELEASE(timer_delete, (timer_t timer), (timer), timers--)

int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer) {
    NEXT(int, timer_create, clockid_t, struct sigevent *, timer_t *);
    if (fails(FAULT_OTHER, "timer_create")) return -1;
    int done = next_timer_create(clock, event, timer);
    if (done == 0) timers++;
    return done;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*body)(void *), void *argument) {
    NEXT(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return fails(FAULT_OTHER, "pthread_create") ? errno : next_pthread_create(thread, how, body, argument);
}

WRAP(int, timer_settime,
     (timer_t timer, int flags, const struct itimerspec *value, struct itimerspec *before), (timer, flags, value, before))
WRAP(int, madvise, (void *address, size_t length, int advice), (address, length, advice))
WRAP(int, mprotect, (void *address, size_t length, int protection), (address, length, protection))
WRAP(int, mincore, (void *address, size_t length, unsigned char *pages), (address, length, pages))
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, eventfd, (unsigned value, int flags), (value, flags))
WRAP(int, ftruncate, (int fd, off_t length), (fd, length))
WRAP(int, ftruncate64, (int fd, off_t length), (fd, length))
WRAP(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(off_t, lseek64, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(ssize_t, read, (int fd, void *to, size_t length), (fd, to, length))
WRAP(ssize_t, pread, (int fd, void *to, size_t length, off_t offset), (fd, to, length, offset))
WRAP(ssize_t, pread64, (int fd, void *to, size_t length, off_t offset), (fd, to, length, offset))
WRAP(ssize_t, write, (int fd, const void *from, size_t length), (fd, from, length))
WRAP(ssize_t, pwrite, (int fd, const void *from, size_t length, off_t offset), (fd, from, length, offset))
WRAP(ssize_t, pwrite64, (int fd, const void *from, size_t length, off_t offset), (fd, from, length, offset))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
