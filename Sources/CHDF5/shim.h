// HDF5's predefined identifiers are macros that call H5open() first, which Swift does not import: each is wrapped in a
// function.
#pragma once
#include <hdf5.h>
#include <stdio.h>

#include "driver.h"

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

typedef struct {
  void (*take)(const char *name, void *context);
  void *context;
} CHDF5_NameTaker;

static inline herr_t CHDF5_takeName(hid_t group, const char *name, const H5L_info_t *info, void *taker) {
  (void)group, (void)info;
  ((CHDF5_NameTaker *)taker)->take(name, ((CHDF5_NameTaker *)taker)->context);
  return 0;
}

// Lets `take` have the names of a group's links as they are stored. For any other order HDF5 1.10 makes a table first, of which it frees, where
// the file is damaged, pointers that it has not set yet.
static inline herr_t CHDF5_takeNames(hid_t group, void (*take)(const char *name, void *context), void *context) {
  CHDF5_NameTaker taker = {take, context};
  return H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, CHDF5_takeName, &taker);
}
