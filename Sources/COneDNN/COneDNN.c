#define _GNU_SOURCE  // RTLD_DEFAULT
#include "COneDNN.h"

#include <stdio.h>

static _Thread_local char failure[256];

const char *rd_dnn_error(void) { return failure; }

#ifdef WITH_ONEDNN

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_CPU_RUNTIME != DNNL_RUNTIME_OMP && DNNL_CPU_RUNTIME != DNNL_RUNTIME_SEQ
#error "This oneDNN, built on neither OpenMP nor plain loops, cannot be held to one thread: set RD_WITHOUT_ONEDNN=1"
#endif

// A transposed convolution is an ordinary one read from y to x. Below everything is that ordinary convolution, in
// oneDNN's words: it takes src to dst, and `pass` is the pass of it that computes what the caller asked for.
typedef enum { PASS_FORWARD, PASS_BACKWARD_DATA, PASS_BACKWARD_WEIGHTS } convolution_pass;

typedef struct {
  convolution_pass pass;
  int images;
  rd_dnn_shape shape;
} plan_key;  // made of ints: no padding, so plans compare as bytes

// MARK: What differs between oneDNN 2.x and 3.x

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t layout;
typedef const_dnnl_memory_desc_t layout_reference;

static layout_reference reference(const layout *of) { return *of; }

static dnnl_status_t layout_init(layout *of, const dnnl_dims_t sizes, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_create_with_tag(of, 4, sizes, dnnl_f32, tag);
}

static void layout_release(layout *of) {
  if (*of) dnnl_memory_desc_destroy(*of);
}

#else

typedef dnnl_memory_desc_t layout;
typedef const dnnl_memory_desc_t *layout_reference;

static layout_reference reference(const layout *of) { return of; }

static dnnl_status_t layout_init(layout *of, const dnnl_dims_t sizes, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_init_by_tag(of, 4, sizes, dnnl_f32, tag);
}

static void layout_release(layout *of) { (void)of; }

#endif

typedef struct {
  layout src, dst;
  layout weights;          // as the caller has them
  layout chosen_weights;  // as oneDNN wants them
  dnnl_dims_t strides, padding;
} problem;

/// Makes the descriptor of one pass; a backward pass takes the forward one as `hint`.
static dnnl_status_t describe_pass(
    dnnl_primitive_desc_t *descriptor, convolution_pass pass, const problem *of, dnnl_engine_t engine,
    const_dnnl_primitive_attr_t attributes, const_dnnl_primitive_desc_t hint) {
  layout_reference src = reference(&of->src), weights = reference(&of->chosen_weights), dst = reference(&of->dst);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl_dims_t dilation = {0, 0};
  switch (pass) {
  case PASS_FORWARD:
    return dnnl_convolution_forward_primitive_desc_create(
        descriptor, engine, dnnl_forward_training, dnnl_convolution_direct, src, weights, NULL, dst, of->strides,
        dilation, of->padding, of->padding, attributes);
  case PASS_BACKWARD_DATA:
    return dnnl_convolution_backward_data_primitive_desc_create(
        descriptor, engine, dnnl_convolution_direct, src, weights, dst, of->strides, dilation, of->padding,
        of->padding, hint, attributes);
  default:
    return dnnl_convolution_backward_weights_primitive_desc_create(
        descriptor, engine, dnnl_convolution_direct, src, weights, NULL, dst, of->strides, dilation, of->padding,
        of->padding, hint, attributes);
  }
#else
  dnnl_convolution_desc_t operation;
  dnnl_status_t status;
  switch (pass) {
  case PASS_FORWARD:
    status = dnnl_convolution_forward_desc_init(
        &operation, dnnl_forward_training, dnnl_convolution_direct, src, weights, NULL, dst, of->strides, of->padding,
        of->padding);
    break;
  case PASS_BACKWARD_DATA:
    status = dnnl_convolution_backward_data_desc_init(
        &operation, dnnl_convolution_direct, src, weights, dst, of->strides, of->padding, of->padding);
    break;
  default:
    status = dnnl_convolution_backward_weights_desc_init(
        &operation, dnnl_convolution_direct, src, weights, NULL, dst, of->strides, of->padding, of->padding);
  }
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(descriptor, &operation, attributes, engine, hint);
#endif
}

// MARK: Plans: what a thread keeps of a call

typedef struct plan {
  plan_key key;
  dnnl_primitive_t convolution, reorder;       // reorder is NULL where the caller's weights are as oneDNN wants them
  dnnl_memory_t src, weights, dst, scratch;    // weights as the caller has them
  dnnl_memory_t chosen_weights, reorder_scratch;
  size_t chosen_weights_bytes;                 // what of the thread's buffer lies before the scratch
  size_t buffer_bytes;
  struct plan *next;
} plan;

enum { BUCKETS = 256 };

typedef struct {
  plan *plans[BUCKETS];
  dnnl_stream_t stream;
  char *buffer;
  size_t buffer_bytes;
} thread_state;

// One engine for the process, never destroyed: oneDNN's own cache of primitives refers to it.
static dnnl_engine_t shared_engine;
static dnnl_status_t engine_status;
static pthread_key_t state_key;
static int state_key_error;
static void (*set_openmp_threads)(int);  // NULL where no OpenMP runtime is loaded
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void plan_destroy(plan *old) {
  if (old->convolution) dnnl_primitive_destroy(old->convolution);
  if (old->reorder) dnnl_primitive_destroy(old->reorder);
  dnnl_memory_t memories[] = {
      old->src, old->weights, old->dst, old->scratch, old->chosen_weights, old->reorder_scratch};
  for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
    if (memories[i]) dnnl_memory_destroy(memories[i]);
  free(old);
}

static void state_destroy(void *of) {
  thread_state *state = of;
  for (int bucket = 0; bucket < BUCKETS; bucket++) {
    for (plan *each = state->plans[bucket], *next; each; each = next) {
      next = each->next;
      plan_destroy(each);
    }
  }
  if (state->stream) dnnl_stream_destroy(state->stream);
  free(state->buffer);
  free(state);
}

static void prepare_process(void) {
  engine_status = dnnl_engine_create(&shared_engine, dnnl_cpu, 0);
  state_key_error = pthread_key_create(&state_key, state_destroy);
  // Looked up rather than linked: oneDNN brings its OpenMP runtime along, this target needs none.
  set_openmp_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

static int fail(const char *what, dnnl_status_t status) {
  snprintf(failure, sizeof failure, "oneDNN: %s: %s", what, dnnl_status2str(status));
  return 1;
}

#define TRY(call)                                 \
  do {                                            \
    dnnl_status_t status_ = (call);               \
    if (status_ != dnnl_success) return status_;  \
  } while (0)

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static dnnl_status_t describe_problem(problem *made, const plan_key *key) {
  const rd_dnn_shape *shape = &key->shape;
  // oneDNN divides by the stride before it looks at it, and takes sizes of zero for a call with nothing to write.
  if (key->images < 1 || shape->stride < 1 || shape->kernel < 1 || shape->padding < 0 || shape->input_channels < 1 ||
      shape->output_channels < 1 || shape->input_height < 1 || shape->input_width < 1 || shape->output_height < 1 ||
      shape->output_width < 1)
    return dnnl_invalid_arguments;
  const dnnl_dims_t x = {key->images, shape->input_channels, shape->input_height, shape->input_width};
  const dnnl_dims_t y = {key->images, shape->output_channels, shape->output_height, shape->output_width};
  const dnnl_dim_t *src = shape->transposed ? y : x, *dst = shape->transposed ? x : y;
  const dnnl_dims_t weights = {dst[1], src[1], shape->kernel, shape->kernel};
  made->strides[0] = made->strides[1] = shape->stride;
  made->padding[0] = made->padding[1] = shape->padding;
  TRY(layout_init(&made->src, src, dnnl_nhwc));
  TRY(layout_init(&made->dst, dst, dnnl_nhwc));
  TRY(layout_init(&made->weights, weights, shape->transposed ? dnnl_ohwi : dnnl_hwio));
  return layout_init(&made->chosen_weights, weights, dnnl_format_tag_any);
}

static dnnl_status_t create_memory(dnnl_memory_t *made, layout_reference of) {
  return dnnl_memory_create(made, of, shared_engine, DNNL_MEMORY_NONE);
}

static dnnl_status_t create_convolution(
    plan *made, const problem *of, dnnl_primitive_desc_t descriptor, const_dnnl_primitive_attr_t attributes) {
  bool makes_weights = made->key.pass == PASS_BACKWARD_WEIGHTS;
  layout_reference plain = reference(&of->weights);
  layout_reference chosen =
      dnnl_primitive_desc_query_md(descriptor, makes_weights ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
  layout_reference scratch = dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0);
  TRY(dnnl_primitive_create(&made->convolution, descriptor));
  TRY(create_memory(&made->src, reference(&of->src)));
  TRY(create_memory(&made->dst, reference(&of->dst)));
  TRY(create_memory(&made->weights, plain));
  TRY(create_memory(&made->scratch, scratch));
  size_t scratch_bytes = dnnl_memory_desc_get_size(scratch);
  if (!dnnl_memory_desc_equal(plain, chosen)) {
    TRY(create_memory(&made->chosen_weights, chosen));
    made->chosen_weights_bytes = whole_lines(dnnl_memory_desc_get_size(chosen));
    dnnl_primitive_desc_t reorder;
    TRY(dnnl_reorder_primitive_desc_create(
        &reorder, makes_weights ? chosen : plain, shared_engine, makes_weights ? plain : chosen, shared_engine,
        attributes));
    layout_reference reorder_scratch = dnnl_primitive_desc_query_md(reorder, dnnl_query_scratchpad_md, 0);
    scratch_bytes = larger(scratch_bytes, dnnl_memory_desc_get_size(reorder_scratch));
    dnnl_status_t status = create_memory(&made->reorder_scratch, reorder_scratch);
    if (status == dnnl_success) status = dnnl_primitive_create(&made->reorder, reorder);
    dnnl_primitive_desc_destroy(reorder);
    TRY(status);
  }
  made->buffer_bytes = made->chosen_weights_bytes + whole_lines(scratch_bytes);
  return dnnl_success;
}

static dnnl_status_t plan_fill(plan *made, problem *of, dnnl_primitive_attr_t attributes) {
  TRY(describe_problem(of, &made->key));
  // The caller's memory and strict fp32, whatever ONEDNN_DEFAULT_FPMATH_MODE says.
  TRY(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
  TRY(dnnl_primitive_attr_set_fpmath_mode(attributes, dnnl_fpmath_mode_strict));
  dnnl_primitive_desc_t forward;
  TRY(describe_pass(&forward, PASS_FORWARD, of, shared_engine, attributes, NULL));
  dnnl_primitive_desc_t descriptor = forward;
  dnnl_status_t status = dnnl_success;
  if (made->key.pass != PASS_FORWARD) {
    status = describe_pass(&descriptor, made->key.pass, of, shared_engine, attributes, forward);
    dnnl_primitive_desc_destroy(forward);
  }
  TRY(status);
  status = create_convolution(made, of, descriptor, attributes);
  dnnl_primitive_desc_destroy(descriptor);
  return status;
}

static plan *plan_create(const plan_key *key) {
  plan *made = calloc(1, sizeof *made);
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_status_t status = made ? dnnl_primitive_attr_create(&attributes) : dnnl_out_of_memory;
  if (status == dnnl_success) {
    problem of = {0};
    made->key = *key;
    status = plan_fill(made, &of, attributes);
    layout_release(&of.src);
    layout_release(&of.dst);
    layout_release(&of.weights);
    layout_release(&of.chosen_weights);
    dnnl_primitive_attr_destroy(attributes);
  }
  if (status == dnnl_success) return made;
  const rd_dnn_shape *shape = &key->shape;
  char what[200];
  snprintf(
      what, sizeof what, "%d images, %dx%dx%d to %dx%dx%d, %dx%d %sconvolution, stride %d, padding %d", key->images,
      shape->input_height, shape->input_width, shape->input_channels, shape->output_height, shape->output_width,
      shape->output_channels, shape->kernel, shape->kernel, shape->transposed ? "transposed " : "", shape->stride,
      shape->padding);
  fail(what, status);
  if (made) plan_destroy(made);
  return NULL;
}

static plan *plan_for(thread_state *state, const plan_key *key) {
  unsigned hash = 2166136261u;
  for (size_t i = 0; i < sizeof *key; i++) hash = (hash ^ ((const unsigned char *)key)[i]) * 16777619u;
  plan **bucket = &state->plans[hash % BUCKETS];
  for (plan *each = *bucket; each; each = each->next)
    if (memcmp(&each->key, key, sizeof *key) == 0) return each;
  plan *made = plan_create(key);
  if (made) {
    made->next = *bucket;
    *bucket = made;
  }
  return made;
}

// MARK: Calls

/// This thread's state, made at its first call; NULL, with the failure told, where that is not possible.
static thread_state *this_thread(void) {
  pthread_once(&once, prepare_process);
  if (engine_status != dnnl_success || state_key_error) {
    fail("starting", engine_status != dnnl_success ? engine_status : dnnl_out_of_memory);
    return NULL;
  }
  if (set_openmp_threads) set_openmp_threads(1);
  thread_state *state = pthread_getspecific(state_key);
  if (state) return state;
  state = calloc(1, sizeof *state);
  dnnl_status_t status =
      state ? dnnl_stream_create(&state->stream, shared_engine, dnnl_stream_default_flags) : dnnl_out_of_memory;
  if (status == dnnl_success && pthread_setspecific(state_key, state) != 0) status = dnnl_out_of_memory;
  if (status == dnnl_success) return state;
  fail("starting a thread", status);
  if (state) state_destroy(state);
  return NULL;
}

static dnnl_status_t reserve(thread_state *state, size_t bytes) {
  if (bytes <= state->buffer_bytes) return dnnl_success;
  free(state->buffer);
  state->buffer = aligned_alloc(64, bytes);
  state->buffer_bytes = state->buffer ? bytes : 0;
  return state->buffer ? dnnl_success : dnnl_out_of_memory;
}

static dnnl_status_t reorder_weights(thread_state *state, plan *now, dnnl_memory_t from, dnnl_memory_t to) {
  if (!now->reorder) return dnnl_success;
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, now->reorder_scratch}};
  return dnnl_primitive_execute(now->reorder, state->stream, 3, arguments);
}

static dnnl_status_t execute(thread_state *state, plan *now, float *src, float *weights, float *dst) {
  TRY(reserve(state, now->buffer_bytes));
  char *scratch = state->buffer + now->chosen_weights_bytes;
  TRY(dnnl_memory_set_data_handle(now->src, src));
  TRY(dnnl_memory_set_data_handle(now->weights, weights));
  TRY(dnnl_memory_set_data_handle(now->dst, dst));
  TRY(dnnl_memory_set_data_handle(now->scratch, scratch));
  if (now->reorder) {
    TRY(dnnl_memory_set_data_handle(now->chosen_weights, state->buffer));
    TRY(dnnl_memory_set_data_handle(now->reorder_scratch, scratch));
  }
  dnnl_memory_t used = now->reorder ? now->chosen_weights : now->weights;
  convolution_pass pass = now->key.pass;
  const dnnl_exec_arg_t arguments[] = {
      {pass == PASS_BACKWARD_DATA ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, now->src},
      {pass == PASS_BACKWARD_WEIGHTS ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, used},
      {pass == PASS_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, now->dst},
      {DNNL_ARG_SCRATCHPAD, now->scratch}};
  if (pass != PASS_BACKWARD_WEIGHTS) TRY(reorder_weights(state, now, now->weights, used));
  TRY(dnnl_primitive_execute(now->convolution, state->stream, 4, arguments));
  if (pass == PASS_BACKWARD_WEIGHTS) TRY(reorder_weights(state, now, used, now->weights));
  return dnnl_stream_wait(state->stream);
}

// oneDNN's memory objects know no const; a pass writes only what it computes.
static int run(
    convolution_pass pass, const rd_dnn_shape *shape, int images, const float *src, const float *weights,
    const float *dst) {
  thread_state *state = this_thread();
  if (!state) return 1;
  plan_key key = {pass, images, *shape};
  key.shape.transposed = shape->transposed != 0;
  plan *now = plan_for(state, &key);
  if (!now) return 1;
  dnnl_status_t status = execute(state, now, (float *)src, (float *)weights, (float *)dst);
  return status == dnnl_success ? 0 : fail("executing", status);
}

int rd_dnn_available(void) { return 1; }

const char *rd_dnn_version(void) {
  static _Thread_local char text[32];
  const dnnl_version_t *version = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
  return text;
}

int rd_dnn_forward(const rd_dnn_shape *shape, int images, const float *x, const float *weights, float *y) {
  return shape->transposed ? run(PASS_BACKWARD_DATA, shape, images, y, weights, x)
                           : run(PASS_FORWARD, shape, images, x, weights, y);
}

int rd_dnn_input_gradient(const rd_dnn_shape *shape, int images, const float *dy, const float *weights, float *dx) {
  return shape->transposed ? run(PASS_FORWARD, shape, images, dy, weights, dx)
                           : run(PASS_BACKWARD_DATA, shape, images, dx, weights, dy);
}

int rd_dnn_weight_gradient(const rd_dnn_shape *shape, int images, const float *x, const float *dy, float *dw) {
  return shape->transposed ? run(PASS_BACKWARD_WEIGHTS, shape, images, dy, dw, x)
                           : run(PASS_BACKWARD_WEIGHTS, shape, images, x, dw, dy);
}

#else

static int missing(void) {
  snprintf(failure, sizeof failure, "this build holds no oneDNN: install libdnnl-dev and build again");
  return 1;
}

int rd_dnn_available(void) { return 0; }

const char *rd_dnn_version(void) { return ""; }

int rd_dnn_forward(const rd_dnn_shape *shape, int images, const float *x, const float *weights, float *y) {
  return missing();
}

int rd_dnn_input_gradient(const rd_dnn_shape *shape, int images, const float *dy, const float *weights, float *dx) {
  return missing();
}

int rd_dnn_weight_gradient(const rd_dnn_shape *shape, int images, const float *x, const float *dy, float *dw) {
  return missing();
}

#endif
