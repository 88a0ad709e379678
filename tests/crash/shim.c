/* Stands between a process and its C library, for tests of the spool: counts the calls that change the
 * state of one directory tree, kills the process before the N-th of them, and makes chosen ones fail,
 * wait, or do nothing while they say that they did. Preloaded (LD_PRELOAD); told by the environment:
 *
 *   VEDETTE_SHIM_ROOT   the tree, an absolute path
 *   VEDETTE_SHIM_KILL   N: SIGKILL instead of the N-th call that changes something
 *   VEDETTE_SHIM_COUNT  a file that gets the number of such calls when the process exits
 *   VEDETTE_SHIM_RULES  CALLS:CLASS:ACTION[:TRIGGER];...   the first that fits is taken
 *     CALLS   sync (fsync, fdatasync)  start (sync_file_range)  write read make remove
 *     CLASS   images (their files)  dirs  wal (the index's log)  index (all of the index)  any
 *     ACTION  skip (say that it was done)  a number (fail with that errno)  hold (wait while TRIGGER is there)
 *             kill (SIGKILL instead of the call)
 *     TRIGGER a file; the rule holds while it exists; with ~ before it, once: the file is removed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *root, *rules, *count_file;
static long kill_at, calls;

__attribute__((constructor)) static void begin(void) {
  const char *n = getenv("VEDETTE_SHIM_KILL");
  root = getenv("VEDETTE_SHIM_ROOT");
  rules = getenv("VEDETTE_SHIM_RULES");
  count_file = getenv("VEDETTE_SHIM_COUNT");
  kill_at = n ? atol(n) : 0;
}

__attribute__((destructor)) static void end(void) {
  FILE *f = count_file ? fopen(count_file, "w") : NULL;
  if (f) {
    fprintf(f, "%ld\n", calls);
    fclose(f);
  }
}

static void *next(const char *name) {
  void *f = dlsym(RTLD_NEXT, name);
  if (!f) abort();
  return f;
}
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))next(#name)

/* The path that a descriptor or a path below one stands for; whether it is below the root. */
static int where(int fd, const char *path, char out[PATH_MAX]) {
  if (!root) return 0;
  out[0] = 0;
  if (!path || path[0] != '/') {
    char link[64];
    ssize_t n = -1;
    if (fd == AT_FDCWD) {
      n = getcwd(out, PATH_MAX) ? (ssize_t)strlen(out) : -1;
    } else {
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      n = readlink(link, out, PATH_MAX - 1);
    }
    if (n < 0) return 0;
    out[n] = 0;
    if (path) {
      strncat(out, "/", PATH_MAX - 1 - strlen(out));
      strncat(out, path, PATH_MAX - 1 - strlen(out));
    }
  } else {
    strncat(out, path, PATH_MAX - 1);
  }
  size_t len = strlen(root);
  return strncmp(out, root, len) == 0 && (out[len] == '/' || out[len] == 0);
}

static int is_class(const char *path, const char *class) {
  const char *name = strrchr(path, '/');
  struct stat s;
  name = name ? name + 1 : path;
  if (!strcmp(class, "any")) return 1;
  if (!strcmp(class, "wal")) return !strcmp(name, "index.db-wal");
  if (!strcmp(class, "index")) return !strncmp(name, "index.", 6);
  if (!strcmp(class, "images")) return strstr(path, "/images/") && strlen(name) == 16;
  if (!strcmp(class, "dirs")) return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
  return 0;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void hold(const char *trigger) {
  struct timespec t = {0, 5000000};
  while (access(trigger, F_OK) == 0) nanosleep(&t, NULL);
}

/* What the rules say of a call: 0 do it, -1 say that it was done, else the errno to fail with. */
static int rule(const char *call, const char *path) {
  static __thread int inside;
  char all[4096], *save, *one;
  int said = 0;
  if (!rules || inside) return 0;
  inside = 1;
  snprintf(all, sizeof all, "%s", rules);
  for (one = strtok_r(all, ";", &save); one && !said; one = strtok_r(NULL, ";", &save)) {
    char *part, *which = strtok_r(one, ":", &part), *class = strtok_r(NULL, ":", &part);
    char *action = strtok_r(NULL, ":", &part), *trigger = strtok_r(NULL, ":", &part);
    if (!action || strcmp(which, call) || !is_class(path, class)) continue;
    if (trigger && trigger[0] == '~') {
      if (((int (*)(const char *))next("unlink"))(trigger + 1) != 0) continue;
    } else if (trigger && access(trigger, F_OK) != 0) {
      continue;
    }
    if (trigger && !strcmp(action, "hold")) {
      hold(trigger);
      break;
    }
    if (!strcmp(action, "kill")) die();
    said = !strcmp(action, "skip") ? -1 : atoi(action);
  }
  inside = 0;
  return said;
}

/* Before a call that changes something. */
static int gate(const char *call, int fd, const char *path) {
  char full[PATH_MAX];
  int before = errno, said;
  if (!root || !where(fd, path, full)) {
    errno = before;
    return 0;
  }
  if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) == kill_at) die();
  said = rule(call, full);
  errno = said > 0 ? said : before;
  return said;
}

#define CHANGES(type, call, fd, path, done, ...)                                                    \
  {                                                                                                 \
    int said = gate(call, fd, path);                                                                \
    if (said) return said > 0 ? -1 : (done);                                                        \
    return (type)real(__VA_ARGS__);                                                                 \
  }

int fsync(int fd) { REAL(fsync); CHANGES(int, "sync", fd, NULL, 0, fd) }
int fdatasync(int fd) { REAL(fdatasync); CHANGES(int, "sync", fd, NULL, 0, fd) }
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
  REAL(sync_file_range);
  CHANGES(int, "start", fd, NULL, 0, fd, at, len, flags)
}
ssize_t write(int fd, const void *p, size_t n) {
  REAL(write);
  CHANGES(ssize_t, "write", fd, NULL, (ssize_t)n, fd, p, n)
}
ssize_t writev(int fd, const struct iovec *v, int n) {
  REAL(writev);
  CHANGES(ssize_t, "write", fd, NULL, 0, fd, v, n)
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
  REAL(pwrite);
  CHANGES(ssize_t, "write", fd, NULL, (ssize_t)n, fd, p, n, at)
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
  REAL(pwrite64);
  CHANGES(ssize_t, "write", fd, NULL, (ssize_t)n, fd, p, n, at)
}
int ftruncate(int fd, off_t len) { REAL(ftruncate); CHANGES(int, "write", fd, NULL, 0, fd, len) }
int ftruncate64(int fd, off64_t len) { REAL(ftruncate64); CHANGES(int, "write", fd, NULL, 0, fd, len) }
int mkdir(const char *p, mode_t m) { REAL(mkdir); CHANGES(int, "make", AT_FDCWD, p, 0, p, m) }
int rename(const char *a, const char *b) { REAL(rename); CHANGES(int, "make", AT_FDCWD, b, 0, a, b) }
int unlink(const char *p) { REAL(unlink); CHANGES(int, "remove", AT_FDCWD, p, 0, p) }
int unlinkat(int fd, const char *p, int f) { REAL(unlinkat); CHANGES(int, "remove", fd, p, 0, fd, p, f) }
int rmdir(const char *p) { REAL(rmdir); CHANGES(int, "remove", AT_FDCWD, p, 0, p) }

#define OPEN(name, params, fd, path, ...)                                                           \
  int name params {                                                                                 \
    REAL(name);                                                                                     \
    mode_t mode = 0;                                                                                \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                            \
      va_list more;                                                                                 \
      va_start(more, flags);                                                                        \
      mode = va_arg(more, mode_t);                                                                  \
      va_end(more);                                                                                 \
    }                                                                                               \
    if (flags & (O_CREAT | O_TRUNC) && gate("make", fd, path) > 0) return -1;                       \
    return real(__VA_ARGS__, flags, mode);                                                          \
  }
OPEN(open, (const char *p, int flags, ...), AT_FDCWD, p, p)
OPEN(open64, (const char *p, int flags, ...), AT_FDCWD, p, p)
OPEN(openat, (int fd, const char *p, int flags, ...), fd, p, fd, p)
OPEN(openat64, (int fd, const char *p, int flags, ...), fd, p, fd, p)

/* Reading changes nothing and is not counted. */
static int reads(int fd) {
  char full[PATH_MAX];
  int before = errno, said = rules && where(fd, NULL, full) ? rule("read", full) : 0;
  errno = said > 0 ? said : before;
  return said > 0;
}
ssize_t read(int fd, void *p, size_t n) { REAL(read); return reads(fd) ? -1 : real(fd, p, n); }
ssize_t pread64(int fd, void *p, size_t n, off64_t at) {
  REAL(pread64);
  return reads(fd) ? -1 : real(fd, p, n, at);
}
