// An HDF5 file driver for an open file of the system: what is read or written goes straight there, and no memory holds the file.
//
// HDF5 crashes, at the latest at exit, where it cannot write what it still holds. So it is not told of an error in writing: the first one
// is kept, what comes after it is dropped, and whoever writes asks for it. An error in reading is kept as well, since HDF5's own words
// would not tell it from a damaged file.
#pragma once
#include <errno.h>
#include <hdf5.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The system's file and its first error, 0 before there is one.
typedef struct {
  int descriptor;
  int error;
} CHDF5_Target;

typedef struct {
  H5FD_t base;
  CHDF5_Target *target;
  haddr_t allocated;
  haddr_t size;
} CHDF5_File;

static inline H5FD_t *CHDF5_driver_open(const char *name, unsigned flags, hid_t access, haddr_t most) {
  (void)name, (void)most;
  CHDF5_Target *const *target = (CHDF5_Target *const *)H5Pget_driver_info(access);
  struct stat status;
  CHDF5_File *file = (CHDF5_File *)calloc(1, sizeof(CHDF5_File));
  if (!target || !file || fstat((*target)->descriptor, &status) != 0) {
    if (target && file) (*target)->error = errno;
    free(file);
    return NULL;
  }
  file->target = *target;
  file->size = flags & H5F_ACC_TRUNC ? 0 : (haddr_t)status.st_size;
  return &file->base;
}

static inline herr_t CHDF5_driver_close(H5FD_t *file) {
  free(file);
  return 0;
}

// No two open files are the same: HDF5 would share them.
static inline int CHDF5_driver_compare(const H5FD_t *first, const H5FD_t *second) {
  return first < second ? -1 : first > second;
}

static inline herr_t CHDF5_driver_query(const H5FD_t *file, unsigned long *flags) {
  (void)file;
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

static inline haddr_t CHDF5_driver_allocated(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const CHDF5_File *)file)->allocated;
}

static inline herr_t CHDF5_driver_allocate(H5FD_t *file, H5FD_mem_t type, haddr_t size) {
  (void)type;
  ((CHDF5_File *)file)->allocated = size;
  return 0;
}

static inline haddr_t CHDF5_driver_size(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const CHDF5_File *)file)->size;
}

// Beyond the end of the file are zeros.
static inline herr_t CHDF5_driver_read(
    H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t place, size_t size, void *bytes) {
  (void)type, (void)transfer;
  const CHDF5_File *concerned = (const CHDF5_File *)base;
  CHDF5_Target *target = concerned->target;
  const haddr_t most_beyond_end = 1 << 16;
  for (size_t done = 0; done < size;) {
    ssize_t step = pread(target->descriptor, (char *)bytes + done, size - done, (off_t)(place + done));
    if (step < 0 && errno == EINTR) continue;
    if (step < 0) {
      if (!target->error) target->error = errno;
      return -1;
    }
    if (step == 0) {
      // A damaged length is not to fill the memory with zeros.
      haddr_t end = concerned->size > concerned->allocated ? concerned->size : concerned->allocated;
      if (place + size > end && place + size - end > most_beyond_end) return -1;
      memset((char *)bytes + done, 0, size - done);
      break;
    }
    done += (size_t)step;
  }
  return 0;
}

static inline herr_t CHDF5_driver_write(
    H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t place, size_t size, const void *bytes) {
  (void)type, (void)transfer;
  CHDF5_File *file = (CHDF5_File *)base;
  CHDF5_Target *target = file->target;
  for (size_t done = 0; done < size && !target->error;) {
    ssize_t step = pwrite(target->descriptor, (const char *)bytes + done, size - done, (off_t)(place + done));
    if (step < 0 && errno == EINTR) continue;
    if (step <= 0) target->error = step < 0 ? errno : EIO;
    else done += (size_t)step;
  }
  if (file->size < place + size) file->size = place + size;
  return 0;
}

// Makes the file as long as what is allocated in it. Bytes that were never written are zeros.
static inline herr_t CHDF5_driver_truncate(H5FD_t *base, hid_t transfer, hbool_t closing) {
  (void)transfer, (void)closing;
  CHDF5_File *file = (CHDF5_File *)base;
  CHDF5_Target *target = file->target;
  if (file->size == file->allocated || target->error) return 0;
  while (ftruncate(target->descriptor, (off_t)file->allocated) != 0) {
    if (errno == EINTR) continue;
    target->error = errno;
    return 0;
  }
  file->size = file->allocated;
  return 0;
}

// The driver's identifier, to be made once.
static inline hid_t CHDF5_registerDriver(void) {
  static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
      .version = H5FD_CLASS_VERSION,
      .value = 511,  // of those for drivers that no other program knows
#endif
      .name = "open file",
      .maxaddr = ((haddr_t)1 << 63) - 1,
      .fc_degree = H5F_CLOSE_STRONG,
      .fapl_size = sizeof(CHDF5_Target *),
      .open = CHDF5_driver_open,
      .close = CHDF5_driver_close,
      .cmp = CHDF5_driver_compare,
      .query = CHDF5_driver_query,
      .get_eoa = CHDF5_driver_allocated,
      .set_eoa = CHDF5_driver_allocate,
      .get_eof = CHDF5_driver_size,
      .read = CHDF5_driver_read,
      .write = CHDF5_driver_write,
      .truncate = CHDF5_driver_truncate,
      .fl_map = H5FD_FLMAP_DICHOTOMY,
  };
  return H5FDregister(&driver);
}

// Makes a file access list open `target`, which outlives the file.
static inline herr_t CHDF5_setTarget(hid_t access, hid_t driver, CHDF5_Target *target) {
  return H5Pset_driver(access, driver, &target);
}
