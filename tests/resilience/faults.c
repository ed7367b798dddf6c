/* Makes a disk fail for one process: loaded with LD_PRELOAD, it answers calls that change files below
 * FAULTS_FOLDER with the error that the file FAULTS_FILE names, as long as that file is there: ENOSPC
 * (no room), EIO (the disk fails; also when data is to be made durable), ESYNC (data can be written and
 * cannot be made durable) or EROFS (nothing may be written, nor opened for writing). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum call { CHANGE, SYNC, OPEN };

/* The error; below zero when only calls that make data durable fail. */
static int fault(void) {
    const char *path = getenv("FAULTS_FILE");
    if (!path) return 0;
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = real_open(path, O_RDONLY);
    if (fd < 0) return 0;
    char word[16] = {0};
    ssize_t n = read(fd, word, sizeof word - 1);
    close(fd);
    if (n <= 0) return 0;
    if (!strncmp(word, "ENOSPC", 6)) return ENOSPC;
    if (!strncmp(word, "EROFS", 5)) return EROFS;
    if (!strncmp(word, "ESYNC", 5)) return -EIO;
    return EIO;
}

static int is_below(const char *path) {
    const char *folder = getenv("FAULTS_FOLDER");
    return folder && !strncmp(path, folder, strlen(folder));
}

/* The error for a call on an open file, or 0. */
static int of_file(int fd, enum call call) {
    int saved = errno, error = fault();
    char link[64], path[PATH_MAX];
    if (error < 0) error = call == SYNC ? -error : 0;
    else if (call == SYNC && error != EIO) error = 0;
    if (error) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n < 0 ? 0 : n] = 0;
        if (!is_below(path)) error = 0;
    }
    errno = saved;
    return error;
}

#define FAIL(error) do { errno = (error); return -1; } while (0)
#define ON_FILE(type, name, call, parameters, arguments)                     \
    type name parameters {                                                   \
        static type(*real) parameters;                                       \
        if (!real) real = dlsym(RTLD_NEXT, #name);                           \
        int error = of_file(fd, call);                                       \
        if (error) FAIL(error);                                              \
        return real arguments;                                               \
    }

ON_FILE(ssize_t, write, CHANGE, (int fd, const void *data, size_t n), (fd, data, n))
ON_FILE(ssize_t, pwrite, CHANGE, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
ON_FILE(ssize_t, pwrite64, CHANGE, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
ON_FILE(int, ftruncate, CHANGE, (int fd, off_t n), (fd, n))
ON_FILE(int, ftruncate64, CHANGE, (int fd, off64_t n), (fd, n))
ON_FILE(int, fsync, SYNC, (int fd), (fd))
ON_FILE(int, fdatasync, SYNC, (int fd), (fd))

static int refuses(const char *path, int flags) {
    int saved = errno;
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    int error = writes && is_below(path) && fault() == EROFS ? EROFS : 0;
    errno = saved;
    return error;
}

#define OPEN_FILE(name)                                                      \
    int name(const char *path, int flags, ...) {                             \
        static int (*real)(const char *, int, ...);                          \
        if (!real) real = dlsym(RTLD_NEXT, #name);                           \
        va_list more;                                                        \
        va_start(more, flags);                                               \
        mode_t mode = va_arg(more, mode_t);                                  \
        va_end(more);                                                        \
        int error = refuses(path, flags);                                    \
        if (error) FAIL(error);                                              \
        return real(path, flags, mode);                                      \
    }

OPEN_FILE(open)
OPEN_FILE(open64)
