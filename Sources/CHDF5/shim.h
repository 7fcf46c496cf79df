// HDF5's predefined identifiers are macros that call H5open() first, which Swift does not import: each is wrapped in a
// function.
#pragma once
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline hid_t CHDF5_F32LE(void) { return H5T_IEEE_F32LE; }
static inline hid_t CHDF5_F64LE(void) { return H5T_IEEE_F64LE; }
static inline hid_t CHDF5_I32LE(void) { return H5T_STD_I32LE; }
static inline hid_t CHDF5_I64LE(void) { return H5T_STD_I64LE; }
static inline hid_t CHDF5_nativeFloat(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t CHDF5_nativeDouble(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t CHDF5_nativeInt32(void) { return H5T_NATIVE_INT32; }
static inline hid_t CHDF5_nativeInt64(void) { return H5T_NATIVE_INT64; }
static inline hid_t CHDF5_string(void) { return H5T_C_S1; }

static inline hid_t CHDF5_fileCreation(void) { return H5P_FILE_CREATE; }
static inline hid_t CHDF5_fileAccess(void) { return H5P_FILE_ACCESS; }
static inline hid_t CHDF5_groupCreation(void) { return H5P_GROUP_CREATE; }
static inline hid_t CHDF5_datasetCreation(void) { return H5P_DATASET_CREATE; }

static inline unsigned CHDF5_readOnly(void) { return H5F_ACC_RDONLY; }
static inline unsigned CHDF5_truncate(void) { return H5F_ACC_TRUNC; }
static inline hid_t CHDF5_default(void) { return H5P_DEFAULT; }
static inline hid_t CHDF5_all(void) { return H5S_ALL; }
static inline hsize_t CHDF5_unlimited(void) { return H5S_UNLIMITED; }

// The default error stack is a thread's own where HDF5 is built for threads.
static inline void CHDF5_silenceErrors(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

typedef struct {
  char text[256];
} CHDF5_Reason;

static inline herr_t CHDF5_takeReason(unsigned position, const H5E_error2_t *error, void *reason) {
  (void)position;
  snprintf(((CHDF5_Reason *)reason)->text, sizeof(CHDF5_Reason), "%s", error->desc ? error->desc : "");
  return 1;
}

// What the innermost function said of the call that has just failed; every further call but those of H5E forgets it.
static inline CHDF5_Reason CHDF5_lastReason(void) {
  CHDF5_Reason reason = {""};
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, CHDF5_takeReason, &reason);
  return reason;
}

// HDF5 copies a file image twice by default; these hand it the caller's memory, which outlives the file and is only
// read.
static inline void *CHDF5_imageItself(size_t size, H5FD_file_image_op_t operation, void *image) {
  (void)size, (void)operation;
  return image;
}
static inline void *CHDF5_copyNothing(
    void *to, const void *from, size_t size, H5FD_file_image_op_t operation, void *image) {
  (void)from, (void)size, (void)operation, (void)image;
  return to;
}
static inline herr_t CHDF5_freeNothing(void *block, H5FD_file_image_op_t operation, void *image) {
  (void)block, (void)operation, (void)image;
  return 0;
}
static inline void *CHDF5_sameData(void *image) { return image; }
static inline herr_t CHDF5_keepData(void *image) {
  (void)image;
  return 0;
}

// Makes a file access list of the core driver read `size` bytes at `image`, in place.
static inline herr_t CHDF5_setImage(hid_t access, const void *image, size_t size) {
  H5FD_file_image_callbacks_t callbacks = {
      CHDF5_imageItself, CHDF5_copyNothing, NULL, CHDF5_freeNothing, CHDF5_sameData, CHDF5_keepData, (void *)image};
  herr_t status = H5Pset_file_image_callbacks(access, &callbacks);
  return status < 0 ? status : H5Pset_file_image(access, (void *)image, size);
}

// The memory of a file that the core driver makes, which stays the caller's when the file is closed.
// (H5Fget_file_image gives the bytes of an open file, whose first checksum is wrong in the format of HDF5 1.10.)
typedef struct {
  void *bytes;
  size_t size;
} CHDF5_Memory;

static inline void *CHDF5_allocate(size_t size, H5FD_file_image_op_t operation, void *memory) {
  (void)operation, (void)memory;
  return malloc(size);
}
static inline void *CHDF5_copy(void *to, const void *from, size_t size, H5FD_file_image_op_t operation, void *memory) {
  (void)operation, (void)memory;
  return memcpy(to, from, size);
}
static inline void *CHDF5_resize(void *bytes, size_t size, H5FD_file_image_op_t operation, void *data) {
  (void)operation;
  CHDF5_Memory *memory = (CHDF5_Memory *)data;
  void *resized = realloc(bytes, size);
  if (!resized) return NULL;
  // Bytes between the objects of the file are never written.
  if (size > memory->size) memset((char *)resized + memory->size, 0, size - memory->size);
  memory->bytes = resized;
  memory->size = size;
  return resized;
}

// Makes a file access list of the core driver put the file into `memory`, to be freed after the file is closed.
static inline herr_t CHDF5_setMemory(hid_t access, CHDF5_Memory *memory) {
  H5FD_file_image_callbacks_t callbacks = {
      CHDF5_allocate, CHDF5_copy, CHDF5_resize, CHDF5_freeNothing, CHDF5_sameData, CHDF5_keepData, memory};
  return H5Pset_file_image_callbacks(access, &callbacks);
}
