/* Writes down, in order, what a process tells the disk about one directory tree: names made and removed, bytes
 * written, flushes. `disk.rs` makes from it what a power cut may leave. Preloaded (LD_PRELOAD); told by the
 * environment:
 *
 *   VEDETTE_DISK_ROOT   the tree, an absolute path
 *   VEDETTE_DISK_LOG    a file outside of it that gets the records
 *
 * A record is its kind, inode, offset, and the lengths of a path and of data (little-endian, 8 bytes each), then
 * the path and the data. What only starts write-back is not written down: it promises nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAKE = 1, WRITE, CUT, SYNC, SYNC_DIR, MAKE_DIR, RENAME, REMOVE, REMOVE_DIR };

static const char *root;
static int out = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *next(const char *name) {
  void *f = dlsym(RTLD_NEXT, name);
  if (!f) abort();
  return f;
}
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))next(#name)

__attribute__((constructor)) static void begin(void) {
  const char *log = getenv("VEDETTE_DISK_LOG");
  root = getenv("VEDETTE_DISK_ROOT");
  if (!root || !log) return;
  int (*real)(const char *, int, ...) = next("open64");
  out = real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (out < 0) abort();
}

/* The path that a descriptor or a path below one stands for; whether it is below the root. */
static int where(int fd, const char *path, char full[PATH_MAX]) {
  if (!root) return 0;
  full[0] = 0;
  if (!path || path[0] != '/') {
    char link[64];
    ssize_t n = -1;
    if (fd == AT_FDCWD) {
      n = getcwd(full, PATH_MAX) ? (ssize_t)strlen(full) : -1;
    } else {
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      n = readlink(link, full, PATH_MAX - 1);
    }
    if (n < 0) return 0;
    full[n] = 0;
    if (path) {
      strncat(full, "/", PATH_MAX - 1 - strlen(full));
      strncat(full, path, PATH_MAX - 1 - strlen(full));
    }
  } else {
    strncat(full, path, PATH_MAX - 1);
  }
  size_t len = strlen(root);
  return strncmp(full, root, len) == 0 && full[len] == '/';
}

static void put(const void *p, size_t n) {
  ssize_t (*real)(int, const void *, size_t) = next("write");
  for (const char *at = p; n > 0;) {
    ssize_t done = real(out, at, n);
    if (done < 0) abort();
    at += done;
    n -= (size_t)done;
  }
}

static void record(uint64_t kind, uint64_t inode, uint64_t at, const char *path, const void *data, uint64_t n) {
  int before = errno;
  uint64_t head[5] = {kind, inode, at, path ? strlen(path) : 0, n};
  pthread_mutex_lock(&lock);
  put(head, sizeof head);
  if (head[3]) put(path, head[3]);
  if (n) put(data, n);
  pthread_mutex_unlock(&lock);
  errno = before;
}

static uint64_t inode(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 ? s.st_ino : 0;
}

/* Is this a file of the tree? Its position besides, which a plain write moves. */
static int ours(int fd, off_t *at) {
  char full[PATH_MAX];
  int before = errno, is = where(fd, NULL, full);
  if (is && at) *at = lseek(fd, 0, SEEK_CUR);
  errno = before;
  return is;
}

static int synced(int fd, int done) {
  char full[PATH_MAX];
  struct stat s;
  if (done == 0 && where(fd, NULL, full) && fstat(fd, &s) == 0)
    record(S_ISDIR(s.st_mode) ? SYNC_DIR : SYNC, s.st_ino, 0, full, NULL, 0);
  return done;
}
int fsync(int fd) { REAL(fsync); return synced(fd, real(fd)); }
int fdatasync(int fd) { REAL(fdatasync); return synced(fd, real(fd)); }

ssize_t write(int fd, const void *p, size_t n) {
  REAL(write);
  off_t at = 0;
  int is = ours(fd, &at);
  ssize_t done = real(fd, p, n);
  if (is && done > 0) record(WRITE, inode(fd), (uint64_t)at, NULL, p, (uint64_t)done);
  return done;
}
ssize_t writev(int fd, const struct iovec *v, int n) {
  REAL(writev);
  if (ours(fd, NULL)) abort(); /* nobody does, and it would be missed here */
  return real(fd, v, n);
}
static ssize_t wrote_at(int fd, const void *p, ssize_t done, uint64_t at) {
  if (done > 0 && ours(fd, NULL)) record(WRITE, inode(fd), at, NULL, p, (uint64_t)done);
  return done;
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
  REAL(pwrite);
  return wrote_at(fd, p, real(fd, p, n, at), (uint64_t)at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
  REAL(pwrite64);
  return wrote_at(fd, p, real(fd, p, n, at), (uint64_t)at);
}
static int cut(int fd, int done, uint64_t len) {
  if (done == 0 && ours(fd, NULL)) record(CUT, inode(fd), len, NULL, NULL, 0);
  return done;
}
int ftruncate(int fd, off_t len) { REAL(ftruncate); return cut(fd, real(fd, len), (uint64_t)len); }
int ftruncate64(int fd, off64_t len) { REAL(ftruncate64); return cut(fd, real(fd, len), (uint64_t)len); }

static int named(int done, uint64_t kind, int fd, const char *path, const char *to) {
  char full[PATH_MAX], new[PATH_MAX] = "";
  if (done == 0 && where(fd, path, full) && (!to || where(AT_FDCWD, to, new)))
    record(kind, 0, 0, full, new, strlen(new));
  return done;
}
int mkdir(const char *p, mode_t m) { REAL(mkdir); return named(real(p, m), MAKE_DIR, AT_FDCWD, p, NULL); }
int rmdir(const char *p) { REAL(rmdir); return named(real(p), REMOVE_DIR, AT_FDCWD, p, NULL); }
int unlink(const char *p) { REAL(unlink); return named(real(p), REMOVE, AT_FDCWD, p, NULL); }
int rename(const char *a, const char *b) { REAL(rename); return named(real(a, b), RENAME, AT_FDCWD, a, b); }
int unlinkat(int fd, const char *p, int f) {
  REAL(unlinkat);
  return named(real(fd, p, f), f & AT_REMOVEDIR ? REMOVE_DIR : REMOVE, fd, p, NULL);
}

static int opened(int fd, int flags, int was_there, const char *full) {
  if (fd < 0 || !full[0]) return fd;
  if (flags & O_CREAT && !was_there) record(MAKE, inode(fd), 0, full, NULL, 0);
  else if (flags & O_TRUNC) record(CUT, inode(fd), 0, NULL, NULL, 0);
  return fd;
}
#define OPEN(name, params, fd, path, ...)                                                           \
  int name params {                                                                                 \
    REAL(name);                                                                                     \
    char full[PATH_MAX] = "";                                                                       \
    int was_there = 0;                                                                              \
    mode_t mode = 0;                                                                                \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                            \
      va_list more;                                                                                 \
      va_start(more, flags);                                                                        \
      mode = va_arg(more, mode_t);                                                                  \
      va_end(more);                                                                                 \
    }                                                                                               \
    if (flags & (O_CREAT | O_TRUNC)) {                                                              \
      int before = errno;                                                                           \
      if (where(fd, path, full)) was_there = access(full, F_OK) == 0; else full[0] = 0;             \
      errno = before;                                                                               \
    }                                                                                               \
    return opened(real(__VA_ARGS__, flags, mode), flags, was_there, full);                          \
  }
OPEN(open, (const char *p, int flags, ...), AT_FDCWD, p, p)
OPEN(open64, (const char *p, int flags, ...), AT_FDCWD, p, p)
OPEN(openat, (int fd, const char *p, int flags, ...), fd, p, fd, p)
OPEN(openat64, (int fd, const char *p, int flags, ...), fd, p, fd, p)
