/* Kills the process at the n-th file operation below a folder: a crash wherever a crash can happen.
 *
 * Preloaded into a process (LD_PRELOAD). FAILPOINT_FOLDER is the folder, FAILPOINT_CONTROL a file of 32 bytes that
 * the test maps too: armed, kill_at, half, count, each a 64-bit number. While armed, every operation that changes
 * something below the folder is counted and written to FAILPOINT_LOG; operation number kill_at does not happen,
 * or, when it is a write and `half` is set, happens by half. Reading is neither counted nor stopped.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 65536

struct control {
    int64_t armed, kill_at, half, count;
};

static struct control *control;
static const char *folder;
static size_t folder_length;
static int log_descriptor = -1;
static char *names[FILES_MAX]; /* of open files below the folder */

__attribute__((constructor)) static void begin(void) {
    const char *control_path = getenv("FAILPOINT_CONTROL"), *log_path = getenv("FAILPOINT_LOG");
    folder = getenv("FAILPOINT_FOLDER");
    if (!folder || !control_path || !log_path) return;
    folder_length = strlen(folder);
    int descriptor = syscall(SYS_openat, AT_FDCWD, control_path, O_RDWR | O_CLOEXEC, 0);
    if (descriptor < 0) abort();
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) abort();
    syscall(SYS_close, descriptor);
    log_descriptor = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_descriptor < 0) abort();
    control = mapped;
}

/* The absolute form of a path when it is below the folder, else NULL. */
static const char *watched(int at, const char *path, char *room) {
    if (!control || !path) return NULL;
    if (path[0] == '/') {
        snprintf(room, PATH_MAX, "%s", path);
    } else {
        char link[64], base[PATH_MAX];
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = syscall(SYS_readlink, link, base, sizeof base - 1);
        if (length < 0) return NULL;
        base[length] = 0;
        if (snprintf(room, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return NULL;
    }
    if (strncmp(room, folder, folder_length) || (room[folder_length] && room[folder_length] != '/')) return NULL;
    return room;
}

static const char *name_of(int descriptor) {
    return descriptor >= 0 && descriptor < FILES_MAX ? names[descriptor] : NULL;
}

static void remember(int descriptor, const char *path) {
    if (descriptor < 0 || descriptor >= FILES_MAX) return;
    free(names[descriptor]);
    names[descriptor] = path ? strdup(path) : NULL;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Count an operation; 1 when it has to happen by half. Does not return when it must not happen. */
static int reach(const char *operation, const char *path, int can_halve) {
    if (!control || !path || !__atomic_load_n(&control->armed, __ATOMIC_SEQ_CST)) return 0;
    int64_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%lld %s %s\n", (long long)number, operation, path);
    syscall(SYS_write, log_descriptor, line, length);
    if (number != control->kill_at) return 0;
    if (can_halve && control->half) return 1;
    die();
    return 0;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define MODE_OF(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, last); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

#define OPENED(at, call) \
    char room[PATH_MAX]; \
    const char *below = watched(at, path, room); \
    if (below && changes(flags)) reach("open", below, 0); \
    int descriptor = call; \
    if (below) remember(descriptor, below); \
    return descriptor

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE_OF(flags, flags)
    OPENED(AT_FDCWD, real(path, flags, mode));
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE_OF(flags, flags)
    OPENED(AT_FDCWD, real(path, flags, mode));
}

int openat(int at, const char *path, int flags, ...) {
    REAL(openat);
    MODE_OF(flags, flags)
    OPENED(at, real(at, path, flags, mode));
}

int openat64(int at, const char *path, int flags, ...) {
    REAL(openat64);
    MODE_OF(flags, flags)
    OPENED(at, real(at, path, flags, mode));
}

int close(int descriptor) {
    REAL(close);
    if (name_of(descriptor)) remember(descriptor, NULL);
    return real(descriptor);
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    REAL(write);
    if (reach("write", name_of(descriptor), 1)) real(descriptor, bytes, size / 2), die();
    return real(descriptor, bytes, size);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    REAL(pwrite);
    if (reach("write", name_of(descriptor), 1)) real(descriptor, bytes, size / 2, offset), die();
    return real(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
    REAL(pwrite64);
    if (reach("write", name_of(descriptor), 1)) real(descriptor, bytes, size / 2, offset), die();
    return real(descriptor, bytes, size, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(writev);
    if (reach("write", name_of(descriptor), 1)) real(descriptor, parts, count / 2), die();
    return real(descriptor, parts, count);
}

int fsync(int descriptor) {
    REAL(fsync);
    reach("fsync", name_of(descriptor), 0);
    return real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(fdatasync);
    reach("fsync", name_of(descriptor), 0);
    return real(descriptor);
}

int ftruncate(int descriptor, off_t size) {
    REAL(ftruncate);
    reach("truncate", name_of(descriptor), 0);
    return real(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
    REAL(ftruncate64);
    reach("truncate", name_of(descriptor), 0);
    return real(descriptor, size);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    char room[PATH_MAX];
    reach("rename", watched(AT_FDCWD, to, room), 0);
    return real(from, to);
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    REAL(renameat);
    char room[PATH_MAX];
    reach("rename", watched(to_at, to, room), 0);
    return real(from_at, from, to_at, to);
}

int link(const char *from, const char *to) {
    REAL(link);
    char room[PATH_MAX];
    reach("link", watched(AT_FDCWD, to, room), 0);
    return real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    char room[PATH_MAX];
    reach("unlink", watched(AT_FDCWD, path, room), 0);
    return real(path);
}

int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    char room[PATH_MAX];
    reach("unlink", watched(at, path, room), 0);
    return real(at, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    char room[PATH_MAX];
    reach("mkdir", watched(AT_FDCWD, path, room), 0);
    return real(path, mode);
}

int rmdir(const char *path) {
    REAL(rmdir);
    char room[PATH_MAX];
    reach("rmdir", watched(AT_FDCWD, path, room), 0);
    return real(path);
}
