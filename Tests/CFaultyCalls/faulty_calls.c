// Preloaded into a tool, makes its file operations fail on the files below the folder RD_FAULTY_FOLDER, as RD_FAULTY says:
//   hindered   every second call is interrupted, and half of what is to be read or written is done
//   error:N    the N-th call that changes something fails with an input/output error
// At the end the number of calls that change something is written to RD_FAULTY_COUNT, where that is given.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static const char *folder, *count_file;
static long failing;
static int hinders;
static atomic_long changes, calls;

__attribute__((constructor)) static void begin(void) {
  const char *fault = getenv("RD_FAULTY");
  folder = getenv("RD_FAULTY_FOLDER");
  count_file = getenv("RD_FAULTY_COUNT");
  if (!fault) return;
  hinders = strcmp(fault, "hindered") == 0;
  if (strncmp(fault, "error:", 6) == 0) failing = atol(fault + 6);
}

__attribute__((destructor)) static void end(void) {
  FILE *file = count_file && atomic_load(&changes) > 0 ? fopen(count_file, "w") : NULL;
  if (!file) return;
  fprintf(file, "%ld\n", atomic_load(&changes));
  fclose(file);
}

static int is_below(const char *path) { return folder && strncmp(path, folder, strlen(folder)) == 0; }

static int is_concerned(int descriptor) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_below(path);
}

// Whether this call is to fail, with errno set.
static int fails(int is_change) {
  if (is_change && atomic_fetch_add(&changes, 1) + 1 == failing) {
    errno = EIO;
    return 1;
  }
  if (hinders && atomic_fetch_add(&calls, 1) % 2 == 0) {
    errno = EINTR;
    return 1;
  }
  return 0;
}

static size_t allowed(size_t size) { return hinders && size > 1 ? size / 2 : size; }

#define NEXT(name) __typeof__(name) *next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
  NEXT(pwrite);
  if (!is_concerned(descriptor)) return next(descriptor, bytes, size, offset);
  return fails(1) ? -1 : next(descriptor, bytes, allowed(size), offset);
}

ssize_t pread(int descriptor, void *bytes, size_t size, off_t offset) {
  NEXT(pread);
  if (!is_concerned(descriptor)) return next(descriptor, bytes, size, offset);
  return fails(0) ? -1 : next(descriptor, bytes, allowed(size), offset);
}

int fsync(int descriptor) {
  NEXT(fsync);
  return is_concerned(descriptor) && fails(1) ? -1 : next(descriptor);
}

int ftruncate(int descriptor, off_t length) {
  NEXT(ftruncate);
  return is_concerned(descriptor) && fails(1) ? -1 : next(descriptor, length);
}

// These are never interrupted.
static int is_refused(const char *path) {
  if (!is_below(path) || atomic_fetch_add(&changes, 1) + 1 != failing) return 0;
  errno = EIO;
  return 1;
}

int rename(const char *path, const char *new_path) {
  NEXT(rename);
  return is_refused(path) ? -1 : next(path, new_path);
}

int unlink(const char *path) {
  NEXT(unlink);
  return is_refused(path) ? -1 : next(path);
}

int mkdir(const char *path, mode_t mode) {
  int (*next)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
  return is_refused(path) ? -1 : next(path, mode);
}
